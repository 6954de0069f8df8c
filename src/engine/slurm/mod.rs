//! The Slurm engine: runs a Job on the nodes of a cluster.
//!
//! One Slurm job makes all Executions of a Measurement, one after the other, on the same nodes
//! (`script`). What it needs and what it writes is in a directory that this host and the nodes
//! share (`dir`), and from there the output is followed (`follow`). Unlike what other engines
//! start, a job outlives the process that submitted it: its note in that directory lets the next
//! one collect it, and Slurm is never asked for the same job twice (`submit`).

mod container;
mod dir;
mod follow;
mod gather;
mod left;
mod output;
mod program;
mod queue;
mod script;
mod state;
mod submit;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

pub use dir::JobNote;
pub use left::{LeftJob, left_jobs};

use self::dir::JobDir;
use self::follow::End;
use self::output::Output;
use self::submit::Submitted;
use super::{Cancel, Engine, Execution, NodeEnd, Prepared, Slot, work};
use crate::contract::{Exit, LogFindings};
use crate::plan::{Job, SlurmSpec};

/// The file in which a script that manages its nodes itself leaves numbers.
const PERF: &str = "perf.csv";

/// Runs Jobs on a Slurm cluster.
#[derive(Clone, Copy, Debug, Default)]
pub struct SlurmEngine;

impl Engine for SlurmEngine {
    fn name(&self) -> &'static str {
        "slurm"
    }

    fn prepare(&self, job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Prepared> {
        work::prepare(job, slot, cancel)
    }

    fn execute(
        &self,
        job: &Job,
        prepared: &Prepared,
        slot: &Slot,
        cancel: &Cancel,
    ) -> Result<Execution> {
        let spec = spec(job)?;
        let (dir, submitted, warnings) = submitted(job, spec, prepared, slot, cancel)?;
        let id = match submitted {
            Submitted::Job(id) => id,
            Submitted::Cancelled => {
                dir.forget();
                return Ok(Execution::new(Exit::Cancelled, 0.0, LogFindings::default()));
            }
            Submitted::Refused(why) => {
                let mut execution = Execution::new(Exit::Scheduler, 0.0, LogFindings::default());
                fs::write(slot.log(), format!("{why}\n"))?;
                execution.scheduler = Some(format!("Slurm does not take the job: {why}"));
                return Ok(execution);
            }
        };
        let nodes = if spec.self_managed { 1 } else { spec.nodes };
        let mut output = Output::create(job, slot, nodes)?;
        let end = follow::follow(job, spec, &dir, &id, (slot, cancel), &mut output)?;
        let mut execution = collect(job, &dir, nodes, slot, end, output)?;
        if execution.exit == Exit::Cancelled {
            // There is nothing to collect any more.
            dir.forget();
        }
        execution.stale_results = dir.path.join("stale").exists();
        execution.trouble.splice(..0, warnings);
        Ok(execution)
    }

    fn left_in(&self, attempt: &Path) -> Result<Option<Prepared>> {
        Ok(JobDir::all(attempt)?.into_iter().next().map(|(_, note)| note.prepared))
    }

    fn tidy(&self, attempt: &Path, keep_work: bool) {
        for dir in JobDir::in_attempt(attempt) {
            if !keep_work && let Err(e) = dir.remove() {
                tracing::warn!("cannot remove {}: {e}", dir.path.display());
            }
        }
    }
}

/// Submits the job of an attempt and does not wait for it. Its id; `None` if Slurm does not take
/// it or the Run was cancelled.
///
/// # Errors
/// When it cannot be made ready, or Slurm refuses it.
pub fn submit_only(job: &Job, prepared: &Prepared, slot: &Slot, cancel: &Cancel) -> Result<String> {
    let spec = spec(job)?;
    match submitted(job, spec, prepared, slot, cancel)?.1 {
        Submitted::Job(id) => Ok(id),
        Submitted::Cancelled => anyhow::bail!("cancelled"),
        Submitted::Refused(why) => anyhow::bail!("Slurm does not take the job: {why}"),
    }
}

/// How many jobs a process can wait for at once: each costs it a thread, which sleeps, and open
/// files, of which it may have so many (`ulimit -n`).
pub fn at_once() -> usize {
    /// A lock, a log, and what is read at the moment.
    const FILES: u64 = 4;
    /// All others.
    const OTHERS: u64 = 64;
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let jobs = limit.unwrap_or(u64::MAX).saturating_sub(OTHERS) / FILES;
    usize::try_from(jobs.max(1)).unwrap_or(usize::MAX)
}

/// The command that submits the job, as a person would type it.
pub fn commands(job: &Job) -> Vec<String> {
    let Some(spec) = &job.slurm else { return Vec::new() };
    let dir = JobDir { path: PathBuf::from("DIR") };
    let mut words = vec!["sbatch".to_owned()];
    words.extend(submit::arguments(&submit::options(spec, "RUN"), &dir, "NAME"));
    let mut lines = vec![shell_words::join(words)];
    if let Some(inner) = &spec.container {
        let step = container::step_options(inner, &dir.path);
        let step = (!step.is_empty()).then(|| format!("srun {} ", shell_words::join(step)));
        let inside = container::command(job, inner);
        let line = format!("on each node: {}{inside}", step.unwrap_or_default());
        lines.push(job.masker().mask_str(&line).into_owned());
    }
    lines
}

fn spec(job: &Job) -> Result<&SlurmSpec> {
    job.slurm.as_ref().context("the Job was not planned for Slurm")
}

/// The job that makes the Execution of `slot`: the one that was submitted for it, or a
/// new one for this and all that are still to come.
fn submitted(
    job: &Job,
    spec: &SlurmSpec,
    prepared: &Prepared,
    slot: &Slot,
    cancel: &Cancel,
) -> Result<(JobDir, Submitted, Vec<String>)> {
    let attempt = slot.dir.parent().context("the slot is in no attempt")?;
    let number = slot.executions.0;
    let has = |note: &JobNote| (note.executions.0..=note.executions.1).contains(&number);
    if let Some((dir, note)) = JobDir::all(attempt)?.into_iter().find(|(_, note)| has(note)) {
        let submitted = match submit::find_again(&dir, &note)? {
            Some(id) => Submitted::Job(id),
            None => submit::send(job, spec, &dir, note, slot, cancel)?,
        };
        return Ok((dir, submitted, Vec::new()));
    }
    let dir = JobDir::of(attempt, number);
    let (submitted, warnings) = submit::submit(job, spec, prepared, &dir, slot, cancel)?;
    Ok((dir, submitted, warnings))
}

/// What came of an Execution, from what its nodes wrote.
fn collect(
    job: &Job,
    dir: &JobDir,
    count: u32,
    slot: &Slot,
    end: End,
    mut output: Output,
) -> Result<Execution> {
    let mut ends: Vec<NodeEnd> = Vec::new();
    let (mut exit, mut scheduler) = (Exit::Code(0), None);
    match &end {
        End::Cancelled => exit = Exit::Cancelled,
        End::Scheduler(why) => {
            output.say(why);
            (exit, scheduler) = (Exit::Scheduler, Some(why.clone()));
        }
        End::Written(written) => {
            let mut first_failure: Option<f64> = None;
            for rank in 0..count {
                let Some(node) = Written::read(written, rank) else { continue };
                let node_exit = node.exit(job.timeout_s);
                // The others are ended because of it.
                if node_exit != Exit::Code(0) && first_failure.is_none_or(|at| node.ended < at) {
                    first_failure = Some(node.ended);
                    exit = node_exit;
                }
                let copy = written.join(format!("work-{rank}"));
                let work = if copy.exists() { copy } else { dir.path.join("work") };
                let results = match &job.results_csv {
                    Some(name) => Some(work.join(name)),
                    // Where such scripts write their numbers for madengine.
                    None => Some(work.join(PERF)).filter(|_| self_managed(job)),
                };
                let kept = match (count, &results) {
                    (_, None) => None,
                    (1, Some(path)) => work::keep_results(job, slot, std::slice::from_ref(path))?,
                    (_, Some(path)) if path.is_file() => {
                        let kept = slot.dir.join(format!("results-{rank}.csv"));
                        work::copy_masked(path, &kept, job.masker())?;
                        Some(kept)
                    }
                    (_, Some(_)) => None,
                };
                ends.push(NodeEnd {
                    name: node.name,
                    exit: node_exit,
                    duration_s: node.ended - node.started,
                    log: LogFindings::default(),
                    results: kept,
                });
            }
            let status = follow::line(&written.join("end")).unwrap_or_default();
            let status = status.trim().parse().unwrap_or(1);
            if exit == Exit::Code(0) && (status != 0 || ends.len() < count as usize) {
                let said = fs::read(dir.output()).unwrap_or_default();
                let said = String::from_utf8_lossy(&said);
                said.lines().for_each(|line| output.say(line));
                let why = format!(
                    "the script left no word of its end on {} of {count} nodes; the job's step \
                     ended with status {status}",
                    count as usize - ends.len()
                );
                (exit, scheduler) = (Exit::Scheduler, Some(why));
            }
        }
    }
    let duration_s = ends.iter().map(|node| node.duration_s).fold(0.0, f64::max);
    let (log, of_nodes, trouble) = output.finish();
    for (node, log) in ends.iter_mut().zip(of_nodes) {
        node.log = log;
    }
    let results = ends.iter().find_map(|node| node.results.clone());
    Ok(Execution {
        results,
        nodes: ends,
        scheduler,
        trouble,
        ..Execution::new(exit, duration_s, log)
    })
}

fn self_managed(job: &Job) -> bool {
    job.slurm.as_ref().is_some_and(|spec| spec.self_managed)
}

/// What a node wrote down about its end.
struct Written {
    status: i32,
    started: f64,
    ended: f64,
    name: String,
}

impl Written {
    fn read(execution: &Path, rank: u32) -> Option<Written> {
        let text = follow::line(&execution.join(format!("node-{rank}.status")))?;
        let mut words = text.split_whitespace();
        Some(Written {
            status: words.next()?.parse().ok()?,
            started: words.next()?.parse().ok()?,
            ended: words.next()?.parse().ok()?,
            name: words.next()?.to_owned(),
        })
    }

    fn exit(&self, timeout_s: Option<f64>) -> Exit {
        match (self.status, timeout_s) {
            // As `timeout` ends, unless the script itself does so earlier.
            (124 | 137, Some(after_s)) if self.ended - self.started >= after_s => {
                Exit::TimedOut { after_s }
            }
            (status, _) => Exit::Code(status),
        }
    }
}
