//! What may be accepted, and what it makes of a baseline. Pure: [`Store`](super::Store) reads and
//! writes.

use std::collections::BTreeSet;
use std::path::Path;

use super::{Accepted, Baseline, BaselineError};
use crate::regress::{self, Direction, Policy, WINDOW, count};

/// Levels that a file keeps, the newest.
const LEVELS: usize = 20;

/// What must hold of runs that are accepted.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// Runs that must agree before numbers are first accepted.
    pub agree: usize,
    /// Accept fewer, or some that disagree; the file tells.
    pub force: bool,
    /// Why a run starts a new level whatever its numbers say, if it does.
    pub new_level: &'a dyn Fn(&Baseline, &Accepted) -> Option<String>,
    /// How a metric is judged, by its key and its unit word.
    pub policy: &'a dyn Fn(&str, &str) -> Policy,
}

/// What accepting runs makes of a baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Acceptance {
    /// The file.
    pub baseline: Baseline,
    /// Whether these are its first accepted runs.
    pub created: bool,
    /// How the runs differ from the level before, if they start a new one.
    pub new_level: Vec<String>,
    /// What spoke against it and was overruled.
    pub objection: Option<String>,
    /// Earlier runs that the file's bounds left no room for.
    pub forgotten: usize,
}

/// Adds `runs`, oldest first, to the baseline in the file at `path`, which has no accepted run
/// where nothing was accepted yet.
///
/// The first runs of all must be as many as the rules say and agree with each other. A later run
/// joins the current level if noise, or the tolerance, explains its distance from it; otherwise,
/// or when a metric has gone or is better the other way now, it starts the next level.
pub(super) fn accept(
    path: &Path,
    mut baseline: Baseline,
    runs: &[Accepted],
    rules: &Rules<'_>,
) -> Result<Acceptance, BaselineError> {
    for run in runs {
        if let Some((rest, problem)) = run.bad_number() {
            let (run, pointer) = (run.run.clone(), format!("/{rest}"));
            return Err(BaselineError::Unusable { run, pointer, problem });
        }
    }
    let created = baseline.accepted.is_empty();
    let objection = if created { objection(runs, rules) } else { None };
    if let Some(objection) = &objection {
        if !rules.force {
            return Err(unproven(runs.len(), rules.agree, objection));
        }
        demand_why(runs, || format!("forced, though {objection}"))?;
    }
    let mut reasons = Vec::new();
    for run in runs {
        refuse_repetition(path, &baseline, run)?;
        let units = run.metrics.iter().map(|(key, m)| (key.as_str(), m.metric.as_str()));
        refuse_other_units(path, &baseline, units)?;
        let mut different = match created {
            true => Vec::new(),
            false => baseline.differences(run, rules),
        };
        if !created && different.is_empty() {
            different.extend((rules.new_level)(&baseline, run));
        }
        if !different.is_empty() {
            demand_why(runs, || format!("it starts a new level: {}", different.join("; ")))?;
        }
        let level = baseline.current_level().max(1) + u32::from(!different.is_empty());
        reasons.extend(different);
        let (forced, objection) = (objection.is_some(), objection.clone());
        baseline.accepted.push(Accepted { level, forced, objection, ..run.clone() });
    }
    let forgotten = baseline.trim();
    Ok(Acceptance { baseline, created, new_level: reasons, objection, forgotten })
}

/// What speaks against a first baseline of these runs.
fn objection(runs: &[Accepted], rules: &Rules<'_>) -> Option<String> {
    if runs.len() < rules.agree {
        return Some(format!("there {}, not {}", are(runs.len()), rules.agree));
    }
    let keys: BTreeSet<&String> = runs.iter().flat_map(|run| run.metrics.keys()).collect();
    let names: Vec<&str> = runs.iter().map(|run| run.run.as_str()).collect();
    let mut problems = Vec::new();
    for key in &keys {
        let found: Vec<_> = runs.iter().map(|run| run.metrics.get(*key)).collect();
        if let Some(i) = found.iter().position(Option::is_none) {
            problems.push(format!("run {} did not report {key}", names[i]));
            continue;
        }
        let metrics: Vec<_> = found.into_iter().flatten().collect();
        let values: Vec<f64> = metrics.iter().map(|m| m.median).collect();
        let policy = (rules.policy)(key, &metrics[0].metric);
        let found = regress::disagreement(&names, &values, &policy, keys.len());
        problems.extend(found.map(|problem| format!("{key}: {problem}")));
    }
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// `is 1 run`, `are 2 runs`.
fn are(runs: usize) -> String {
    format!("{} {}", if runs == 1 { "is" } else { "are" }, count(runs, "run"))
}

fn unproven(runs: usize, agree: usize, objection: &str) -> BaselineError {
    let advice = match agree.saturating_sub(runs) {
        0 => "measure again on a quiet machine, name the runs with `--run`, set a larger \
              tolerance, or overrule this with `--force --why TEXT`"
            .to_owned(),
        more => format!(
            "run it {more} more {} and accept again, or overrule this with `--force --why TEXT`",
            if more == 1 { "time" } else { "times" }
        ),
    };
    BaselineError::Unproven { agree, objection: objection.to_owned(), advice }
}

fn demand_why(runs: &[Accepted], what: impl Fn() -> String) -> Result<(), BaselineError> {
    match runs.iter().all(|run| !run.why.trim().is_empty()) {
        true => Ok(()),
        false => Err(BaselineError::WhyMissing { what: what() }),
    }
}

fn refuse_repetition(
    path: &Path,
    baseline: &Baseline,
    run: &Accepted,
) -> Result<(), BaselineError> {
    match baseline.accepted.iter().find(|accepted| accepted.run == run.run) {
        None => Ok(()),
        Some(before) => Err(BaselineError::AlreadyAccepted {
            path: path.to_owned(),
            run: run.run.clone(),
            at: before.at.clone(),
            by: before.by.clone(),
        }),
    }
}

/// Compares the units of metrics, by metric key, with those they were accepted with.
pub(super) fn refuse_other_units<'a>(
    path: &Path,
    baseline: &Baseline,
    units: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), BaselineError> {
    for (key, now) in units {
        if let Some(was) = baseline.unit(key).filter(|was| *was != now) {
            return Err(BaselineError::UnitChanged {
                path: path.to_owned(),
                key: key.to_owned(),
                was: was.to_owned(),
                now: now.to_owned(),
            });
        }
    }
    Ok(())
}

impl Baseline {
    /// What sets a run apart from the current level; nothing if it belongs to it.
    fn differences(&self, run: &Accepted, rules: &Rules<'_>) -> Vec<String> {
        let mut found = Vec::new();
        for key in self.metric_keys() {
            match run.metrics.get(key) {
                None => found.push(format!("{key} is gone")),
                Some(now) if flipped(self.direction(key), now.direction) => {
                    found.push(format!("{key}: {} is better now", now.direction));
                }
                Some(now) => {
                    let policy = (rules.policy)(key, &now.metric);
                    let window = self.window(key);
                    let checks = run.metrics.len();
                    let told = regress::stands_out(&window, now.median, &policy, checks);
                    found.extend(told.map(|told| format!("{key}: {told}")));
                }
            }
        }
        found
    }

    /// Leaves out what exceeds the file's bounds: of each level stay the first run, which says
    /// who started it and why, and those of the window; of all levels the newest. How many runs
    /// that are.
    fn trim(&mut self) -> usize {
        let before = self.accepted.len();
        let recent = self.window.max(WINDOW);
        let kept: Vec<Accepted> = self
            .levels()
            .iter()
            .rev()
            .take(LEVELS)
            .rev()
            .flat_map(|level| {
                let from = level.runs.len().saturating_sub(recent);
                let first = level.runs.iter().take(from.min(1));
                first.chain(&level.runs[from..]).cloned()
            })
            .collect();
        self.accepted = kept;
        before - self.accepted.len()
    }
}

/// Whether better became worse.
pub(crate) fn flipped(was: Direction, is: Direction) -> bool {
    was != is && was != Direction::Unknown && is != Direction::Unknown
}
