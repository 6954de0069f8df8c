//! The comparison itself: blocks of all entries in turn, until everything is decided.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::record::{COMPARISON_SCHEMA, Comparison, EntryComparison, Failure, Origin, Stop};
use super::subject::Subject;
use super::{Order, Outcome};
use crate::catalog::Model;
use crate::engine::Cancel;
use crate::plan::{Job, Planner};
use crate::progress::Progress;
use crate::record::{self, RunDir};
use crate::run::{Obstacle, Session};

/// How long to go on, and what to call a change.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Decides the order of the Executions.
    pub seed: u64,
    /// Relative change that nobody needs to hear of, instead of each metric's tolerance.
    pub min_effect: Option<f64>,
    /// Most Executions of an entry on each side.
    pub max_samples: u32,
    /// Time after which no further block begins.
    pub budget: Option<Duration>,
    /// Share of comparisons of equal sides in which any metric may be called different.
    pub false_alarms: f64,
    /// Metrics that count whatever their entry says.
    pub watched: Vec<Watched>,
    /// Tells people how it gets on.
    pub progress: Progress,
}

/// A metric with a smallest effect of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Watched {
    /// Its key, or its unit word.
    pub metric: String,
    /// Relative change that nobody needs to hear of.
    pub min_effect: f64,
}

/// The two sides of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Sides<'a> {
    /// What the candidate is measured against.
    pub base: Planner<'a>,
    /// What is measured; how it is judged stands in its catalog.
    pub candidate: Planner<'a>,
}

/// An entry of the candidate, and its counterpart.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The entry of the base, if it has it.
    pub base: Option<Model>,
    /// The entry of the candidate.
    pub candidate: Model,
}

/// Compares the entries, and writes everything to `dir`.
///
/// # Errors
/// When the records cannot be written. What goes wrong with an entry stands in the result.
pub fn compare(
    dir: &RunDir,
    sides: Sides<'_>,
    origins: (Origin, Origin),
    notes: Vec<String>,
    entries: &[Entry],
    settings: &Settings,
    cancel: &Cancel,
) -> Result<Comparison> {
    let (started, clock) = (record::now(), Instant::now());
    let open = |planner| {
        Session::of_comparison(dir.clone(), planner, cancel.clone(), settings.progress.clone())
    };
    let sessions = [open(sides.base)?, open(sides.candidate)?];
    let jobs: Vec<_> = entries.iter().flat_map(|entry| jobs(&sessions, entry)).collect();
    let whole = settings.progress.whole(jobs.iter().filter(|(_, jobs)| jobs.is_ok()).count());
    let mut slots = Vec::new();
    for (id, jobs) in jobs {
        if cancel.is_cancelled() {
            let skipped = Some("interrupted before it began".to_owned());
            slots.push(Err(EntryComparison { id, skipped, ..EntryComparison::default() }));
            continue;
        }
        let order = Order::new(settings.seed, slots.len());
        let prepared = match jobs {
            Err(closed) => Err(closed),
            Ok(jobs) => {
                let config = &sides.candidate.catalog.config;
                let activity = settings.progress.activity(&id, None);
                Subject::prepare(sessions.each_ref(), jobs, &id, order, config, activity)
                    .map_err(EntryComparison::failed)
            }
        };
        slots.push(prepared.map_err(|e| EntryComparison { id, ..e }));
    }
    let (mut stopped, mut checks) = (None, 0);
    loop {
        let mut waiting = slots.iter_mut().flatten().filter(|s| !s.is_done()).peekable();
        if waiting.peek().is_none() {
            break;
        }
        for subject in waiting {
            let late = |budget| clock.elapsed() + subject.block_time() > budget;
            stopped = match cancel.is_cancelled() {
                true => Some(Stop::Interrupted),
                false => settings.budget.is_some_and(late).then_some(Stop::Budget),
            };
            if stopped.is_some() {
                break;
            }
            subject.block(settings);
            if cancel.is_cancelled() {
                subject.interrupted();
            }
        }
        checks = slots.iter().flatten().map(Subject::checks).sum();
        let level = settings.false_alarms / checks.max(1) as f64;
        slots.iter_mut().flatten().for_each(|s| s.look(level, settings));
        if cancel.is_cancelled() {
            stopped = Some(Stop::Interrupted);
        }
        if stopped.is_some() {
            break;
        }
    }
    if cancel.is_cancelled() {
        stopped = Some(Stop::Interrupted);
    }
    drop(whole);
    let finished = |slot: Result<Subject<'_>, EntryComparison>| match slot {
        Ok(subject) => subject.finish(settings).0,
        Err(entry) => entry,
    };
    let entries = slots.into_iter().map(finished).collect();
    let comparison = Comparison {
        schema: COMPARISON_SCHEMA.to_owned(),
        run: dir.id.clone(),
        started,
        duration_s: clock.elapsed().as_secs_f64(),
        base: origins.0,
        candidate: origins.1,
        seed: settings.seed,
        false_alarms: settings.false_alarms,
        checks,
        max_samples: settings.max_samples,
        budget_s: settings.budget.map(|b| b.as_secs_f64()),
        stopped,
        entries,
        notes,
    };
    record::write_json(&dir.path().join("comparison.json"), &comparison)?;
    Ok(comparison)
}

/// The Jobs of both sides of an entry, by image; why there are none otherwise.
fn jobs(
    sessions: &[Session<'_>; 2],
    entry: &Entry,
) -> Vec<(String, Result<[Job; 2], EntryComparison>)> {
    let id = entry.candidate.id();
    let none = |why: EntryComparison| vec![(id.clone(), Err(why))];
    let skipped =
        |why: String| EntryComparison { skipped: Some(why), ..EntryComparison::default() };
    let held = |side: &str, held: Obstacle| match held.failed {
        true => {
            let message = format!("the {side}: {}", held.message);
            EntryComparison::failed(Failure { build: held.build, message })
        }
        false => skipped(held.message),
    };
    let Some(base) = &entry.base else {
        return none(skipped("the base has no such entry".to_owned()));
    };
    let candidates = match sessions[1].jobs(&entry.candidate) {
        Ok(jobs) => jobs,
        Err(why) => return none(held("candidate", why)),
    };
    let bases = match sessions[0].jobs(base) {
        Ok(jobs) => jobs,
        Err(why) => return none(held("base", why)),
    };
    let single = candidates.len() == 1 && bases.len() == 1;
    let with_base = |job: Job| {
        let base = bases.iter().find(|base| single || base.id == job.id);
        let why = || skipped("the base has no such image of the entry".to_owned());
        (job.id.clone(), base.map(|base| [base.clone(), job]).ok_or_else(why))
    };
    candidates.into_iter().map(with_base).collect()
}

impl Comparison {
    /// Whether anything was compared.
    pub fn compared(&self) -> bool {
        self.entries.iter().any(|e| e.outcome.is_some())
    }

    /// Whether a question was left without an answer.
    pub fn is_open(&self) -> bool {
        let open =
            |e: &EntryComparison| matches!(e.outcome, Some(Outcome::Undecided | Outcome::Changed));
        self.entries.iter().any(open)
    }
}
