//! Submitting a job once, whatever happens in between.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::dir::{JobDir, JobNote, NOTE_SCHEMA};
use super::program::{self, SlurmError};
use super::script;
use crate::engine::{Cancel, Prepared, Slot, work};
use crate::plan::{Job, SlurmSpec};
use crate::record;

/// Longest part of the entry's name in a job's name.
const NAME_MAX: usize = 40;
/// Time between two tries while Slurm's controller is away.
const RETRY: Duration = Duration::from_secs(2);

/// Whose turn it is to submit.
static TURN: Mutex<()> = Mutex::new(());

/// What became of a submission.
pub(super) enum Submitted {
    /// Slurm has it under this id.
    Job(String),
    /// Slurm does not take it; its own words.
    Refused(String),
    /// It was given up before it was submitted.
    Cancelled,
}

/// Makes the directory of the job for the Executions that `slot` names, and submits it. The note is
/// written before and after, so that a job is found again, and never submitted a second time,
/// wherever this process dies.
pub(super) fn submit(
    job: &Job,
    spec: &SlurmSpec,
    prepared: &Prepared,
    dir: &JobDir,
    slot: &Slot,
    cancel: &Cancel,
) -> Result<(Submitted, Vec<String>)> {
    let (first, last) = slot.executions;
    dir.make()?;
    let inner = Slot { dir: dir.path.clone(), ..slot.clone() };
    let (stale, warnings) = work::fill(job, prepared, &inner, cancel)?;
    if spec.self_managed {
        // One of an earlier run would be taken for this one's.
        let _ = std::fs::remove_file(inner.work().join(super::PERF));
    }
    dir.write("job.sh", &script::batch(job, spec, dir, first, last))?;
    dir.write("task.sh", &script::task(job, spec, dir))?;
    dir.write("environment", &script::environment(&job.env))?;
    if stale {
        dir.write("stale", "")?;
    }
    let note = JobNote {
        schema: NOTE_SCHEMA.to_owned(),
        name: name(job, dir),
        job: None,
        submitted: record::now(),
        executions: (first, last),
        prepared: prepared.clone(),
    };
    dir.write_note(&note)?;
    Ok((send(job, spec, dir, note, slot, cancel)?, warnings))
}

/// Submits what the note of `dir` is about, unless Slurm has it already.
pub(super) fn send(
    job: &Job,
    spec: &SlurmSpec,
    dir: &JobDir,
    note: JobNote,
    slot: &Slot,
    cancel: &Cancel,
) -> Result<Submitted> {
    let args = arguments(spec, dir, &note.name, &slot.run);
    let clock = Instant::now();
    let mut told = false;
    loop {
        if cancel.is_cancelled() {
            return Ok(Submitted::Cancelled);
        }
        // One at a time: the controller takes them no faster.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = program::run("sbatch", &args);
        drop(turn);
        let why = match answer {
            Ok(text) => {
                // `id`, or `id;cluster`.
                let id = text.trim().lines().last().unwrap_or_default();
                let id = id.split(';').next().unwrap_or_default().trim().to_owned();
                anyhow::ensure!(!id.is_empty(), "sbatch printed no job id: {text:?}");
                dir.write_note(&JobNote { job: Some(id.clone()), ..note })
                    .with_context(|| format!("job {id} was submitted and goes on"))?;
                return Ok(Submitted::Job(id));
            }
            Err(SlurmError::Away(why)) => why,
            Err(e) => return Ok(Submitted::Refused(e.to_string())),
        };
        if !told {
            told = true;
            tracing::warn!("{}: {why}; submitting again until it answers", job.id);
        }
        if spec.queue_timeout_s.is_some_and(|s| clock.elapsed().as_secs_f64() > s) {
            return Ok(Submitted::Refused(format!("{why} (see --queue-timeout)")));
        }
        std::thread::sleep(RETRY);
        // It may have taken the job and not been able to say so.
        if let Ok(Some(id)) = program::find(&note.name) {
            dir.write_note(&JobNote { job: Some(id.clone()), ..note })?;
            return Ok(Submitted::Job(id));
        }
    }
}

/// The id of a job that was submitted, or was about to be, by a process that is gone. `None` if
/// Slurm never had it.
///
/// # Errors
/// When Slurm does not say.
pub(super) fn find_again(dir: &JobDir, note: &JobNote) -> Result<Option<String>> {
    if let Some(id) = note.job.clone().or_else(|| dir.begun_as()) {
        return Ok(Some(id));
    }
    let found = program::find(&note.name);
    found.context("it is not known whether the job was submitted; try again when Slurm answers")
}

/// The options of sbatch: one word each, so that nothing in them is read by a shell.
pub(super) fn arguments(spec: &SlurmSpec, dir: &JobDir, name: &str, run: &str) -> Vec<String> {
    let nodes = spec.nodes;
    // In a name of a file, % begins what Slurm replaces.
    let output = dir.output().display().to_string().replace('%', "%%");
    let mut args = vec![
        "--parsable".to_owned(),
        format!("--job-name={name}"),
        format!("--comment=mad {run}"),
        format!("--output={output}"),
        format!("--chdir={}", dir.path.display()),
        format!("--nodes={nodes}"),
        format!("--ntasks={nodes}"),
        "--ntasks-per-node=1".to_owned(),
    ];
    // A measurement that is started anew is what the user may want, and says so.
    if !spec.options.iter().any(|o| o == "--requeue") {
        args.push("--no-requeue".to_owned());
    }
    args.extend(spec.options.iter().cloned());
    args.push(dir.path.join("job.sh").display().to_string());
    args
}

/// A name that no other job has.
fn name(job: &Job, dir: &JobDir) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let model: String =
        job.id.chars().take(NAME_MAX).map(|c| if is_plain(c) { c } else { '_' }).collect();
    let unique = format!("{}\0{}\0{}", dir.path.display(), record::run_id(), std::process::id());
    let digest = Sha256::digest(unique);
    let hash: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("mad-{model}-{hash}")
}
