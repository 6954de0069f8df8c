//! The states of all jobs of this process, asked for in one call.
//!
//! A thread of its own asks for as long as somebody watches a job. The time between two questions
//! grows while nothing changes, and is never shorter than some multiple of what an answer takes.
//! How a job is doing is otherwise seen from its files, so that this need not be often.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::program::{self, SlurmError};
use super::state::JobState;

/// The shortest and the longest time between two questions.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(20));
/// The share of the time that answers may take: one in this many.
const SHARE: u32 = 10;
/// How often Slurm has to say that it does not know a job until that is believed.
const UNKNOWN: u32 = 3;

/// What is known of a watched job.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Its latest state.
    pub(super) state: Option<JobState>,
    /// Slurm answers, and does not know it.
    pub(super) forgotten: bool,
    /// Why Slurm does not answer, while it does not.
    pub(super) away: Option<String>,
    unknown: u32,
}

#[derive(Default)]
struct Watched {
    jobs: BTreeMap<String, (usize, Known)>,
    asking: bool,
    changed: bool,
}

static WATCHED: LazyLock<Mutex<Watched>> = LazyLock::new(Mutex::default);

fn watched() -> MutexGuard<'static, Watched> {
    // Each change is whole.
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A job that is watched as long as this lives.
#[derive(Debug)]
pub(super) struct Watch(String);

impl Watch {
    /// Begins to watch `job`.
    pub(super) fn new(job: &str) -> Watch {
        let mut all = watched();
        all.jobs.entry(job.to_owned()).or_default().0 += 1;
        all.changed = true;
        if !all.asking {
            all.asking = true;
            std::thread::spawn(ask);
        }
        Watch(job.to_owned())
    }

    /// What is known of it.
    pub(super) fn known(&self) -> Known {
        watched().jobs.get(&self.0).map(|(_, known)| known.clone()).unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut all = watched();
        if let Some((watchers, _)) = all.jobs.get_mut(&self.0) {
            *watchers -= 1;
            if *watchers == 0 {
                all.jobs.remove(&self.0);
            }
        }
    }
}

/// Asks until nobody watches.
fn ask() {
    let mut pause = PAUSE.0;
    loop {
        std::thread::sleep(pause);
        let jobs: Vec<String> = {
            let mut all = watched();
            if all.jobs.is_empty() {
                all.asking = false;
                return;
            }
            if std::mem::take(&mut all.changed) {
                pause = PAUSE.0;
            }
            let open = all.jobs.iter().filter(|(_, (_, k))| {
                !k.forgotten && !k.state.as_ref().is_some_and(JobState::ended)
            });
            open.map(|(id, _)| id.clone()).collect()
        };
        if jobs.is_empty() {
            continue;
        }
        let clock = Instant::now();
        let answer = program::states(&jobs);
        let least = clock.elapsed() * SHARE;
        let changed = learn(&jobs, answer);
        pause = if changed { PAUSE.0 } else { pause.mul_f64(1.5) };
        pause = pause.max(least).min(PAUSE.1);
    }
}

/// Writes down an answer; whether it says anything new.
fn learn(jobs: &[String], answer: Result<Vec<(String, JobState)>, SlurmError>) -> bool {
    let mut changed = false;
    let mut all = watched();
    match answer {
        Ok(states) => {
            let mut states: BTreeMap<String, JobState> = states.into_iter().collect();
            for id in jobs {
                let Some((_, known)) = all.jobs.get_mut(id) else { continue };
                known.away = None;
                match states.remove(id) {
                    Some(state) => {
                        changed |= known.state.as_ref() != Some(&state);
                        known.state = Some(state);
                        known.unknown = 0;
                    }
                    None => {
                        known.unknown += 1;
                        known.forgotten = known.unknown >= UNKNOWN;
                        let waited = known.state.as_ref().is_some_and(JobState::waits);
                        if known.forgotten && waited && id.contains('_') {
                            known.state = Some(JobState::cancelled());
                        }
                    }
                }
            }
        }
        Err(e) => {
            for id in jobs {
                if let Some((_, known)) = all.jobs.get_mut(id) {
                    known.away = Some(e.to_string());
                }
            }
        }
    }
    changed
}
