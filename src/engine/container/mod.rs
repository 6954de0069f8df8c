//! The container engine: runs a script in a container of Docker or Podman.
//!
//! One container per Execution. Its process 1 is `driver.sh`, which runs the scripts before
//! the model's, the model's and those after it. What the container may do is in `run`,
//! where its image comes from in `image`.

mod build;
mod built;
mod cli;
mod connection;
mod fingerprint;
pub(in crate::engine) mod image;
pub(in crate::engine) mod labels;
mod lifetime;
mod login;
pub(in crate::engine) mod ownership;
mod run;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use built::{BuiltHere, images_to_remove};
pub use cli::{Cli, CliError};
pub use connection::Containers;
pub use labels::{Leftover, leftovers};
pub use lifetime::{Container, ContainerEnd};

use super::supervised::{self, Launch};
use super::{Cancel, Engine, Execution, Prepared, Slot, work};
use crate::contract::{Exit, LogLine};
use crate::plan::{ContainerSpec, ImageSource, Job};

/// What runs in the container as its first process.
const DRIVER: &str = include_str!("driver.sh");

/// Exit status of a client whose engine refused to make the container.
const REFUSED: i32 = 125;

/// Runs Jobs in containers.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContainerEngine;

impl Engine for ContainerEngine {
    fn name(&self) -> &'static str {
        "container"
    }

    fn prepare(&self, job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Prepared> {
        let spec = spec(job)?;
        let containers = reach(spec)?;
        for (inside, host) in &spec.mounts {
            if !host.exists() {
                bail!("docker_mounts: {} for {inside} does not exist", host.display());
            }
        }
        for hook in spec.pre_scripts.iter().chain(&spec.post_scripts) {
            if !hook.script.is_file() {
                bail!("the script {} of the context does not exist", hook.script.display());
            }
        }
        let image = match &spec.image {
            ImageSource::Existing(wanted) => {
                image::find_or_pull(containers, &spec.credentials, job, wanted, slot, cancel)?
            }
            ImageSource::Build(build) => build::build(containers, job, build, slot, cancel)?,
        };
        Ok(Prepared { image: Some(image), ..work::prepare(job, slot, cancel)? })
    }

    fn execute(
        &self,
        job: &Job,
        prepared: &Prepared,
        slot: &Slot,
        cancel: &Cancel,
    ) -> Result<Execution> {
        let spec = spec(job)?;
        let containers = reach(spec)?;
        let image = prepared.image.as_ref().context("the Job has no image")?;
        let (stale_results, warnings) = work::fill(job, prepared, slot, cancel)?;
        let command = run::Run { containers, job, spec, image, slot };
        command.make_ready(DRIVER)?;
        let (name, keep) = (command.name(), slot.keep_container);
        let container = Container { cli: containers.cli.clone(), name, keep, run: None };
        let mut launch = Launch::new(command.argv(), slot.dir.clone());
        launch.timeout_s = job.timeout_s;
        launch.env = command.client_environment();
        launch.container = Some(container.clone());
        let ended = supervised::run(launch, job, slot, cancel)?;
        let how = ended.status.container.clone();
        let mut execution = Execution::supervised(ended);
        execution.stale_results = stale_results;
        execution.trouble.splice(..0, warnings);
        how_it_ended(&mut execution, how);
        if execution.exit == Exit::NotStarted {
            execution.log.last_line = engines_word(&slot.log()).or(execution.log.last_line);
        }
        // The model's own time, where it came that far.
        if let Some(seconds) = command.model_seconds() {
            execution.duration_s = seconds;
        }
        execution.trouble.extend(ownership::take(containers, image, &slot.dir));
        let written = |name: &String| [command.workspace().join(name), slot.work().join(name)];
        let results = job.results_csv.iter().flat_map(written);
        // A link of the container's may lead to anything on this host.
        let own = slot.dir.canonicalize()?;
        let is_own = |path: &PathBuf| path.canonicalize().is_ok_and(|p| p.starts_with(&own));
        let results: Vec<PathBuf> = results.filter(is_own).collect();
        execution.results = work::keep_results(job, slot, &results)?;
        execution.trouble.extend(work::keep(job, slot, execution.exit));
        execution.trouble.extend(work::remove(slot));
        if slot.keep_container {
            execution.trouble.push(container.keep_alive());
        } else {
            for dir in [command.workspace(), command.mad_dir()] {
                let _ = fs::remove_dir_all(dir);
            }
        }
        Ok(execution)
    }
}

/// The command that builds the image of `job`, as a person would type it, secrets as
/// `***`; `None` if none is built. Where no engine answers it is that of the one that would
/// be asked first.
pub fn build_command(job: &Job) -> Option<String> {
    let spec = job.container.as_ref()?;
    let assumed = Containers::assumed(spec.program);
    let command =
        image::command(Containers::here(spec.program).as_ref().unwrap_or(&assumed), spec)?;
    Some(job.masker().mask_str(&command).into_owned())
}

/// The commands that make the image of `job` and run it, as a person would type them: on this
/// host, or on one that is only described. Names that differ from one Execution to the next
/// are left as words.
pub fn commands(job: &Job, described: bool) -> Vec<String> {
    let Some(spec) = &job.container else { return Vec::new() };
    let assumed = described.then(|| Containers::assumed(spec.program));
    let here = || Containers::here(spec.program).as_ref().ok();
    let Some(containers) = assumed.as_ref().or_else(here) else { return Vec::new() };
    let masker = job.masker();
    let lines = [image::command(containers, spec), run::command(containers, job, spec)];
    lines.into_iter().flatten().map(|line| masker.mask_str(&line).into_owned()).collect()
}

fn spec(job: &Job) -> Result<&ContainerSpec> {
    job.container.as_ref().context("the Job was not planned for a container")
}

fn reach(spec: &ContainerSpec) -> Result<&'static Containers> {
    match Containers::here(spec.program) {
        Ok(containers) => Ok(containers),
        Err(why) => bail!("no container engine answers: {why}"),
    }
}

/// What the client said last, apart from where to find its help.
fn engines_word(log: &Path) -> Option<LogLine> {
    let text = fs::read_to_string(log).ok()?;
    let lines = (1..).zip(text.lines());
    let is_help = |line: &str| line.contains(" --help'") || line.starts_with("Usage:");
    let said = |(_, line): &(u64, &str)| !line.trim().is_empty() && !is_help(line);
    let (number, text) = lines.filter(said).last()?;
    Some(LogLine { number, text: text.to_owned() })
}

/// What the engine says about the end of a container that nobody ended.
fn how_it_ended(execution: &mut Execution, container: Option<ContainerEnd>) {
    let Exit::Code(code) = execution.exit else { return };
    match container {
        Some(ContainerEnd::Ran { duration_s, out_of_memory }) => {
            execution.duration_s = duration_s;
            match (out_of_memory, code) {
                (true, 0) => execution.trouble.push(
                    "the kernel ended a process in the container for want of memory".to_owned(),
                ),
                (true, _) => execution.exit = Exit::OutOfMemory,
                (false, _) => {}
            }
        }
        Some(ContainerEnd::NeverStarted) => execution.exit = Exit::NotStarted,
        Some(ContainerEnd::Gone) if code == REFUSED => execution.exit = Exit::NotStarted,
        Some(ContainerEnd::Gone) => {
            execution.exit = Exit::Lost;
            execution.trouble.push("somebody removed the container while it ran".to_owned());
        }
        Some(ContainerEnd::Lost { why }) => {
            execution.exit = Exit::Lost;
            execution.trouble.push(why);
        }
        None => {}
    }
}
