//! Following an Execution of a job: its output while it grows, and its end.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::dir::JobDir;
use super::output::Output;
use super::program;
use super::queue::{Known, Watch};
use super::state::{JobState, meaning};
use crate::engine::{Cancel, Slot};
use crate::plan::{Job, SlurmSpec};
use crate::progress::Activity;

/// The shortest and the longest time between two looks at the files of a job.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// How long a file that a job wrote may take to be seen here, on a network file system.
const LAG: Duration = Duration::from_secs(60);
/// The same for a job that failed, and may have written nothing.
const SHORT_LAG: Duration = Duration::from_secs(5);

/// What shells add to the number of a signal.
const SIGNALS: i32 = 128;

/// How an Execution came to its end.
pub(super) enum End {
    /// Its script ended on all nodes; what it wrote is here.
    Written(PathBuf),
    /// Slurm ended it, or never started it; why.
    Scheduler(String),
    /// We ended it because the Run was cancelled.
    Cancelled,
}

/// Waits for the end of the Execution of `slot` in the job `id`; the output goes to `output` as it comes.
pub(super) fn follow(
    job: &Job,
    spec: &SlurmSpec,
    dir: &JobDir,
    id: &str,
    (slot, cancel): (&Slot, &Cancel),
    output: &mut Output,
) -> Result<End> {
    let watch = Watch::new(id);
    let clock = Instant::now();
    let mut say = Say::new(job, id, slot.activity.clone());
    let mut current: Option<u32> = None;
    let mut pending_since = Instant::now();
    let mut over_since: Option<Instant> = None;
    loop {
        if cancel.is_cancelled() {
            end(id);
            return Ok(End::Cancelled);
        }
        let known = watch.known();
        let latest = dir.latest_try();
        if let Some((n, path)) = &latest {
            if current.is_some_and(|before| before != *n) {
                output.restart(job, slot)?;
                say.now(&format!("Slurm started job {id} anew (try {n})"));
            }
            current = Some(*n);
            let execution = path.join(slot.executions.0.to_string());
            let ended = line(&JobDir::look(&execution).join("end"));
            output.read(&execution);
            // What a signal ended, Slurm may have ended: it has the last word.
            let status: Option<i32> = ended.map(|text| text.trim().parse().unwrap_or(1));
            match status {
                Some(status) if status < SIGNALS || known.forgotten => {
                    return Ok(End::Written(execution));
                }
                Some(_) if known.state.as_ref().is_some_and(JobState::is_of_the_script) => {
                    return Ok(End::Written(execution));
                }
                _ => {}
            }
        }
        say.about(&known);
        let over = known.forgotten || known.state.as_ref().is_some_and(JobState::ended);
        if over {
            let since = *over_since.get_or_insert_with(Instant::now);
            let done = known.state.as_ref().is_some_and(|s| s.state == "COMPLETED");
            let lag = if done || known.forgotten { LAG } else { SHORT_LAG };
            // A job that never began has nothing to write, if we can know.
            if since.elapsed() > lag || never_began(&known) {
                return Ok(End::Scheduler(why(dir, id, &known, latest.is_some())));
            }
        }
        let waits = known.state.as_ref().is_none_or(JobState::waits) && current.is_none();
        if !waits {
            pending_since = Instant::now();
        }
        if let Some(limit) = spec.queue_timeout_s
            && waits
            && pending_since.elapsed().as_secs_f64() > limit
        {
            end(id);
            let reason = known.state.map(|s| s.reason).filter(|r| !r.is_empty());
            let reason = reason.unwrap_or_else(|| "Slurm gives no reason".to_owned());
            return Ok(End::Scheduler(format!(
                "Slurm job {id} did not start within {limit} s (--queue-timeout): {reason}"
            )));
        }
        std::thread::sleep((clock.elapsed() / 20).clamp(LOOK.0, LOOK.1));
    }
}

/// The line that a node wrote to `path`, once it is there whole.
pub(super) fn line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
}

/// Ends a job; that it cannot be ended is said.
fn end(id: &str) {
    if let Err(e) = program::cancel(id) {
        tracing::warn!("Slurm job {id} could not be cancelled, and may go on: {e}");
    }
}

/// Whether it ended without any node.
fn never_began(known: &Known) -> bool {
    known.state.as_ref().is_some_and(|s| s.ended() && s.nodes.is_empty())
}

/// What Slurm says about a job that ended without the word of its own script.
fn why(dir: &JobDir, id: &str, known: &Known, began: bool) -> String {
    let Some(state) = &known.state else {
        return format!(
            "Slurm knows nothing of job {id} any more, and its script left no word of its end"
        );
    };
    let mut text = format!("Slurm job {id}: {}", state.state);
    if let Some(by) = &state.by {
        text.push_str(&format!(" by {by}"));
    }
    if !state.reason.is_empty() {
        text.push_str(&format!(" ({})", state.reason));
    }
    if !state.nodes.is_empty() {
        text.push_str(&format!(" on {}", state.nodes));
    }
    text.push_str(&format!(": {}", meaning(&state.state)));
    let said = last_words(&dir.output());
    match said {
        Some(said) => text.push_str(&format!("; Slurm printed \"{said}\"")),
        None if !began && state.reason != "TimeLimit" && !state.nodes.is_empty() => {
            text.push_str(&format!(
                "; nothing was written to {}: is it on a file system that the nodes share with \
                 this host? (--run-dir)",
                dir.path.display()
            ));
        }
        None => {}
    }
    text
}

/// The last line that Slurm itself printed.
fn last_words(path: &Path) -> Option<String> {
    const TAIL: u64 = 4096;
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().rfind(|line| !line.trim().is_empty())?;
    Some(line.trim().to_owned())
}

/// Tells how a job is doing, each thing once.
struct Say {
    who: String,
    activity: Activity,
    said: String,
    away: bool,
}

impl Say {
    fn new(job: &Job, id: &str, activity: Activity) -> Say {
        let who = format!("{}: Slurm job {id}", job.id);
        Say { who, activity, said: String::new(), away: false }
    }

    fn now(&self, what: &str) {
        tracing::warn!("{}: {what}", self.who);
    }

    fn about(&mut self, known: &Known) {
        match (&known.away, self.away) {
            (Some(why), false) => self.now(&format!("{why}; the job goes on, and is waited for")),
            (None, true) => self.now("Slurm answers again"),
            _ => {}
        }
        self.away = known.away.is_some();
        let Some(state) = &known.state else { return };
        // These are over in a moment.
        let trivial = ["None", "", "Priority", "Resources"].contains(&state.reason.as_str());
        let text = format!("{} {}", state.state, state.reason);
        if text == self.said {
            return;
        }
        match state.waits() && !trivial {
            true => tracing::warn!("{} waits: {}", self.who, state.reason),
            false => tracing::info!("{}: {text}", self.who),
        }
        self.activity.printed(format!("{text}\n").as_bytes());
        self.said = text;
    }
}

/// Reads what was appended to a file since the last time.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    at: u64,
}

impl Tail {
    pub(super) fn new(path: PathBuf) -> Tail {
        Tail { path, at: 0 }
    }

    /// Hands what is new to `sink`, in pieces.
    pub(super) fn read(&mut self, buffer: &mut [u8], mut sink: impl FnMut(&[u8])) {
        // It is not there yet, or the file system does not answer: there is a next time.
        let Ok(mut file) = File::open(&self.path) else { return };
        if fs::metadata(&self.path).is_ok_and(|m| m.len() <= self.at)
            || file.seek(SeekFrom::Start(self.at)).is_err()
        {
            return;
        }
        while let Ok(n @ 1..) = file.read(buffer) {
            self.at += n as u64;
            sink(&buffer[..n]);
        }
    }
}
