//! Slurm's programs.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use thiserror::Error;

use super::state::{self, JobState};
use crate::contract::is_secret;
use crate::engine::environment;

/// Why a program of Slurm's did not do what it was asked to.
#[derive(Clone, Debug, Error)]
pub(super) enum SlurmError {
    /// The controller does not answer; it may again.
    #[error("Slurm's controller does not answer: {0}")]
    Away(String),
    /// It said no.
    #[error("{0}")]
    Refused(String),
    /// It is not there.
    #[error("{program} cannot be started: {why}")]
    Missing {
        /// The program.
        program: &'static str,
        /// What the system says.
        why: String,
    },
}

impl SlurmError {
    /// Whether Slurm answered that there is no such job. Anything else that it refuses, such as a
    /// user whom it cannot authenticate, says nothing about jobs.
    fn is_about_an_unknown_job(&self) -> bool {
        let SlurmError::Refused(said) = self else { return false };
        // Of a task of an array: `Job 8_6 not found`.
        said.contains("Invalid job id") || (said.starts_with("Job ") && said.ends_with("not found"))
    }
}

/// What programs print when the controller is away or too busy.
const AWAY: [&str; 9] = [
    "Unable to contact slurm controller",
    "Unable to establish controller machine",
    "Connection refused",
    "Connection timed out",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "temporarily unable to accept job",
    "Resource temporarily unavailable",
    "slurmctld is in standby mode",
];

/// Runs `program`; its standard output.
pub(super) fn run(program: &'static str, args: &[String]) -> Result<String, SlurmError> {
    let output = command(program, args)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| SlurmError::Missing { program, why: e.to_string() })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stdout);
    // scontrol prints to its standard output which task of an array it does not know.
    let said = if said.trim().is_empty() { printed } else { said };
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    let said = match lines.is_empty() {
        true => format!("{program} ended with {}", output.status),
        false => lines.join("; "),
    };
    let said = match said.contains("node configuration is not available") {
        true => format!(
            "{said}: no node of the cluster has what is asked for (GPUs, memory, processors)"
        ),
        false => said,
    };
    let away = AWAY.iter().any(|words| said.contains(words));
    Err(if away { SlurmError::Away(said) } else { SlurmError::Refused(said) })
}

/// `program` without what a job is not to inherit: what is for the harness, secrets, which Slurm
/// would keep, and the job that this process may itself be in.
fn command(program: &str, args: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    for (name, value) in environment::corrections() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_a_job = text.starts_with("SLURM_") && text != "SLURM_CONF";
        if of_a_job || is_secret(&text) {
            command.env_remove(&name);
        }
    }
    // sacct would cut the numbers of the tasks of an array.
    command.env("SLURM_BITSTR_LEN", "0");
    command
}

/// The states of `jobs`, in one call where that is possible. A job that is not in the answer is
/// one that Slurm has forgotten.
pub(super) fn states(jobs: &[String]) -> Result<Vec<(String, JobState)>, SlurmError> {
    // All tasks of an array at once.
    let arrays: BTreeSet<&str> = jobs.iter().map(|id| array_of(id)).collect();
    let list = arrays.into_iter().collect::<Vec<_>>().join(",");
    let format = format!("--format={}", state::SQUEUE_FORMAT);
    let args =
        ["--noheader", "--array", "--states=all", &format, "--jobs", &list].map(str::to_owned);
    let mut found = match run("squeue", &args) {
        Ok(text) => state::squeue(&text),
        Err(e) if e.is_about_an_unknown_job() => Vec::new(),
        Err(SlurmError::Missing { .. }) => Vec::new(),
        Err(e) => return Err(e),
    };
    let missing = |found: &[(String, JobState)]| -> Vec<String> {
        jobs.iter().filter(|id| found.iter().all(|(other, _)| other != *id)).cloned().collect()
    };
    let forgotten = missing(&found);
    if !forgotten.is_empty() {
        found.extend(accounted(&["--jobs".to_owned(), forgotten.join(",")]));
    }
    for id in missing(&found) {
        match run("scontrol", &["--oneliner", "show", "job", &id].map(str::to_owned)) {
            Ok(text) => found.extend(state::scontrol(&text).map(|state| (id, state))),
            Err(e) if e.is_about_an_unknown_job() => {}
            Err(SlurmError::Missing { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(found)
}

/// What accounting knows; nothing where there is none.
fn accounted(which: &[String]) -> Vec<(String, JobState)> {
    let format = format!("--format={}", state::SACCT_FORMAT);
    let mut args =
        ["--noheader", "--parsable2", "--allocations", &format].map(str::to_owned).to_vec();
    args.extend_from_slice(which);
    run("sacct", &args).map(|text| state::sacct(&text)).unwrap_or_default()
}

/// The array of a task, or the job itself.
fn array_of(id: &str) -> &str {
    id.split('_').next().unwrap_or(id)
}

/// The id of the job with this name, if Slurm has it; of an array, that of this task.
pub(super) fn find(name: &str, task: Option<u32>) -> Result<Option<String>, SlurmError> {
    let format = format!("--format={}", state::SQUEUE_FORMAT);
    let args = ["--noheader", "--array", "--states=all", &format, "--name", name];
    let wanted = |found: Vec<(String, JobState)>| {
        let suffix = task.map(|task| format!("_{task}")).unwrap_or_default();
        found.into_iter().map(|(id, _)| id).rfind(|id| id.ends_with(&suffix))
    };
    match run("squeue", &args.map(str::to_owned)) {
        Ok(text) => {
            if let Some(id) = wanted(state::squeue(&text)) {
                return Ok(Some(id));
            }
        }
        Err(SlurmError::Missing { .. }) => {}
        Err(e) => return Err(e),
    }
    Ok(wanted(accounted(&["--name".to_owned(), name.to_owned()])))
}

/// Ends a job.
pub(super) fn cancel(job: &str) -> Result<(), SlurmError> {
    run("scancel", &[job.to_owned()]).map(drop)
}
