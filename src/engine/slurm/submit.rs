//! Submitting a job once, whatever happens in between.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::dir::{JobDir, JobNote, NOTE_SCHEMA};
use super::gather::{self, Answer, Request};
use super::program::{self, SlurmError};
use super::script;
use crate::engine::{Cancel, Prepared, Slot, outside_name, work};
use crate::plan::{Job, SlurmSpec};
use crate::record;
use crate::slug::digest;

/// Time between two tries while Slurm's controller is away.
const RETRY: Duration = Duration::from_secs(2);

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
    dir.make(first)?;
    let inner = Slot { dir: dir.path.clone(), ..slot.clone() };
    let (stale, warnings) = work::fill(job, prepared, &inner, cancel)?;
    if spec.self_managed {
        // One of an earlier run would be taken for this one's.
        let _ = std::fs::remove_file(inner.work().join(super::PERF));
    }
    dir.write("job.sh", &script::batch(job, spec, dir, first, last))?;
    dir.write("task.sh", &script::task(job, spec, dir, first == last))?;
    dir.write("environment", &script::environment(&job.env))?;
    if stale {
        dir.write("stale", "")?;
    }
    let note = JobNote {
        schema: NOTE_SCHEMA.to_owned(),
        name: name(job, dir),
        task: None,
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
    mut note: JobNote,
    slot: &Slot,
    cancel: &Cancel,
) -> Result<Submitted> {
    let clock = Instant::now();
    let mut told = false;
    loop {
        if cancel.is_cancelled() {
            return Ok(Submitted::Cancelled);
        }
        let request = Request {
            options: options(spec, &slot.run),
            name: name(job, dir),
            dir: dir.clone(),
            note,
            cancel: cancel.clone(),
        };
        let (asked, why) = match gather::submit(request)? {
            Answer::Cancelled => return Ok(Submitted::Cancelled),
            Answer::Job(note) => return Ok(Submitted::Job(note.job.unwrap_or_default())),
            Answer::Not(note, SlurmError::Away(why)) => (note, why),
            Answer::Not(_, e) => return Ok(Submitted::Refused(e.to_string())),
        };
        note = asked;
        if !told {
            told = true;
            tracing::warn!("{}: {why}; submitting again until it answers", job.id);
        }
        if spec.queue_timeout_s.is_some_and(|s| clock.elapsed().as_secs_f64() > s) {
            return Ok(Submitted::Refused(format!("{why} (see --queue-timeout)")));
        }
        std::thread::sleep(RETRY);
        // It may have taken the job and not been able to say so.
        if let Ok(Some(id)) = program::find(&note.name, note.task) {
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
    let found = program::find(&note.name, note.task);
    found.context("it is not known whether the job was submitted; try again when Slurm answers")
}

/// The options of sbatch that say what a job needs: one word each, so that nothing in them is read
/// by a shell. Jobs for which they are the same can be one array.
pub(super) fn options(spec: &SlurmSpec, run: &str) -> Vec<String> {
    let nodes = spec.nodes;
    let mut options = vec![
        format!("--comment=mad {run}"),
        format!("--nodes={nodes}"),
        format!("--ntasks={nodes}"),
        "--ntasks-per-node=1".to_owned(),
    ];
    // A measurement that is started anew is what the user may want, and says so.
    if !spec.requeues() {
        options.push("--no-requeue".to_owned());
    }
    options.extend(spec.options.iter().cloned());
    options
}

/// The words after `sbatch` for one job.
pub(super) fn arguments(options: &[String], dir: &JobDir, name: &str) -> Vec<String> {
    let mut args = vec![
        "--parsable".to_owned(),
        format!("--job-name={name}"),
        format!("--output={}", literal(&dir.output().display().to_string())),
        format!("--chdir={}", dir.path.display()),
    ];
    args.extend_from_slice(options);
    args.push(dir.path.join("job.sh").display().to_string());
    args
}

/// `path` where Slurm would replace what begins with a %.
pub(super) fn literal(path: &str) -> String {
    path.replace('%', "%%")
}

/// A name that no other array has, nor any job, of which the first job is that of `dir`.
pub(super) fn array_name(dir: &JobDir) -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    format!("mad-array-{}", unique(dir, &format!("{number} {}", record::now())))
}

/// A name that no other job has.
fn name(job: &Job, dir: &JobDir) -> String {
    outside_name(job, &unique(dir, ""))
}

/// A word for the directory, this process, and `also`.
fn unique(dir: &JobDir, also: &str) -> String {
    let (path, run, process) = (dir.path.display(), record::run_id(), std::process::id());
    digest(format!("{path}\0{run}\0{process}\0{also}"), 8)
}
