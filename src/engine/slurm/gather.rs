//! Jobs that are ready at about the same time are submitted together, and those with the same
//! options as one array.
//!
//! Whoever has a job ready puts it into the queue and waits for the answer; a thread submits all
//! that are in the queue, for as long as there are any. So one process asks the controller for one
//! thing at a time, and what gathers meanwhile goes with the next.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};

use super::dir::{JobDir, JobNote};
use super::program::{self, SlurmError};
use super::{script, submit};
use crate::engine::Cancel;

/// The fewest jobs that are worth an array.
const LEAST: usize = 8;
/// The longest array where Slurm does not say: one less than what it allows by default.
const LONGEST: usize = 1000;
/// The script of an array, in the directory of its first job: Slurm copies it.
const SCRIPT: &str = "array.sh";
/// How long the queue has to stay as it is until it is submitted, and how often that is looked at.
const QUIET: (Duration, u32) = (Duration::from_millis(20), 20);

/// What is ready.
struct Queue {
    waiting: Vec<(Request, Sender<Result<Answer>>)>,
    /// Whether a thread submits.
    submitting: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { waiting: Vec::new(), submitting: false });

/// A job that is ready.
pub(super) struct Request {
    /// Options of `sbatch` that make jobs alike.
    pub(super) options: Vec<String>,
    /// A name that no other job has.
    pub(super) name: String,
    /// Its directory.
    pub(super) dir: JobDir,
    /// What is known of it.
    pub(super) note: JobNote,
    /// Whether it is still wanted.
    pub(super) cancel: Cancel,
}

/// What became of a job that was ready.
pub(super) enum Answer {
    /// It was given up before it was submitted.
    Cancelled,
    /// Slurm has it, under the id in its note.
    Job(JobNote),
    /// Slurm does not have it, as far as it says. The note has the name that it would have.
    Not(JobNote, SlurmError),
}

fn queue() -> MutexGuard<'static, Queue> {
    // Each change is whole.
    QUEUE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Submits a job, together with what else is ready, and writes its id down.
pub(super) fn submit(request: Request) -> Result<Answer> {
    let dir = request.dir.clone();
    let (sender, receiver) = channel();
    {
        let mut queue = queue();
        queue.waiting.push((request, sender));
        if !queue.submitting {
            queue.submitting = true;
            std::thread::spawn(submit_all);
        }
    }
    let answer = receiver.recv().context("nobody submitted the job")??;
    if let Answer::Job(note) = &answer {
        dir.write_note(note).with_context(|| {
            format!("job {} was submitted and goes on", note.job.as_deref().unwrap_or_default())
        })?;
    }
    Ok(answer)
}

/// Submits until nothing is left.
fn submit_all() {
    /// Nobody waits for an answer that does not come, nor for a thread that is gone.
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            if std::thread::panicking() {
                *queue() = Queue { waiting: Vec::new(), submitting: false };
            }
        }
    }
    let _guard = Guard;
    loop {
        wait_for_others();
        let all = {
            let mut queue = queue();
            queue.submitting = !queue.waiting.is_empty();
            std::mem::take(&mut queue.waiting)
        };
        if all.is_empty() {
            return;
        }
        let mut alike: BTreeMap<Vec<String>, Vec<_>> = BTreeMap::new();
        for (request, sender) in all {
            if request.cancel.is_cancelled() {
                let _ = sender.send(Ok(Answer::Cancelled));
                continue;
            }
            alike.entry(request.options.clone()).or_default().push((request, sender));
        }
        for group in alike.into_values() {
            let (requests, senders): (Vec<Request>, Vec<_>) = group.into_iter().unzip();
            for (answer, sender) in submit_alike(requests).into_iter().zip(senders) {
                let _ = sender.send(answer);
            }
        }
    }
}

/// Returns when no more jobs come, or enough time has passed.
fn wait_for_others() {
    let mut before = 0;
    for _ in 0..QUIET.1 {
        std::thread::sleep(QUIET.0);
        let now = queue().waiting.len();
        if now == before {
            return;
        }
        before = now;
    }
}

/// Submits jobs with the same options; an answer for each, in order.
fn submit_alike(mut requests: Vec<Request>) -> Vec<Result<Answer>> {
    let mut answers = Vec::new();
    while !requests.is_empty() {
        let most = if requests.len() < LEAST { requests.len() } else { longest() };
        let rest = requests.split_off(most.clamp(1, requests.len()));
        let part = std::mem::replace(&mut requests, rest);
        let together = if part.len() < LEAST { None } else { submit_array(&part) };
        answers.extend(together.unwrap_or_else(|| part.into_iter().map(submit_one).collect()));
    }
    answers
}

fn submit_one(request: Request) -> Result<Answer> {
    let Request { options, name, dir, note: noted, .. } = request;
    let note = JobNote { name, task: None, job: None, ..noted.clone() };
    if note != noted {
        dir.write_note(&note)?;
    }
    match sbatch(&submit::arguments(&options, &dir, &note.name)) {
        Ok(id) => Ok(found(note, id)),
        Err(e) => Ok(Answer::Not(note, e)),
    }
}

/// Submits the jobs as one array; `None` if Slurm does not take it, or it cannot be made ready.
fn submit_array(requests: &[Request]) -> Option<Vec<Result<Answer>>> {
    let name = submit::array_name(&requests[0].dir);
    let home = requests[0].dir.array(&name)?;
    let not = |why: &dyn std::fmt::Display| {
        let _ = fs::remove_dir_all(&home);
        tracing::info!("{} jobs are submitted one by one: {why}", requests.len());
    };
    let notes = match make_ready(requests, &name, &home) {
        Ok(notes) => notes,
        Err(e) => {
            not(&format!("{e:#}"));
            return None;
        }
    };
    match sbatch(&array_arguments(&requests[0], &home, &name, requests.len())) {
        Ok(array) => {
            let ids = (0..requests.len()).map(|task| format!("{array}_{task}"));
            Some(notes.into_iter().zip(ids).map(|(note, id)| Ok(found(note, id))).collect())
        }
        // Whether an array is not allowed, or none of the jobs is: that is seen one by one.
        Err(e @ SlurmError::Refused(_)) => {
            not(&e);
            None
        }
        Err(e) => Some(notes.into_iter().map(|note| Ok(Answer::Not(note, e.clone()))).collect()),
    }
}

/// Makes the directory in which each task finds its job, as the link with its number, and writes
/// the script of the array, and the notes: with them a job is found again whose id was not written
/// down.
fn make_ready(requests: &[Request], name: &str, home: &Path) -> Result<Vec<JobNote>> {
    fs::create_dir_all(home).with_context(|| format!("cannot make {}", home.display()))?;
    requests[0].dir.write(SCRIPT, &script::array(home))?;
    let mut notes = Vec::new();
    for (task, Request { dir, note, .. }) in (0..).zip(requests) {
        let link = home.join(task.to_string());
        symlink(&dir.path, &link).with_context(|| format!("cannot make {}", link.display()))?;
        let name = name.to_owned();
        let note = JobNote { name, task: Some(task), job: None, ..note.clone() };
        dir.write_note(&note)?;
        notes.push(note);
    }
    Ok(notes)
}

/// The options of `sbatch` for an array of `count` jobs, of which this is the first.
fn array_arguments(first: &Request, home: &Path, name: &str, count: usize) -> Vec<String> {
    let directory = home.display().to_string();
    let mut args = vec![
        "--parsable".to_owned(),
        format!("--job-name={name}"),
        format!("--array=0-{}", count - 1),
        format!("--output={}/%a/{}", submit::literal(&directory), JobDir::OUTPUT),
        format!("--chdir={directory}"),
    ];
    args.extend_from_slice(&first.options);
    args.push(first.dir.path.join(SCRIPT).display().to_string());
    args
}

/// Submits; the id that Slurm gives.
fn sbatch(args: &[String]) -> Result<String, SlurmError> {
    let text = program::run("sbatch", args)?;
    // `id`, or `id;cluster`.
    let id = text.trim().lines().last().unwrap_or_default();
    let id = id.split(';').next().unwrap_or_default().trim();
    match id.is_empty() {
        // It may have it nonetheless.
        true => Err(SlurmError::Away(format!("sbatch printed no job id: {text:?}"))),
        false => Ok(id.to_owned()),
    }
}

/// The answer for a job to which Slurm gave this id.
fn found(note: JobNote, id: String) -> Answer {
    Answer::Job(JobNote { job: Some(id), ..note })
}

/// The most tasks that an array may have; asked for once.
fn longest() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let said = program::run("scontrol", &["show", "config"].map(str::to_owned));
        said.ok().and_then(|text| max_array_size(&text)).unwrap_or(LONGEST)
    })
}

/// What `scontrol show config` says of it.
fn max_array_size(text: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize"))?;
    line.trim_start().strip_prefix('=')?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_an_array() {
        let text = "KillWait                = 30 sec\nMaxArraySize            = 1001\n";
        assert_eq!(max_array_size(text), Some(1001));
        assert_eq!(max_array_size("MaxArraySizes = 3\nx"), None);
        assert_eq!(max_array_size(""), None);
    }
}
