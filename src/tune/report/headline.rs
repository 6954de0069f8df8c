//! The answer in one line. A gain is in it only if it was measured afresh.

use super::{TuningConclusion, words};
use crate::compare::Stop;
use crate::regress::{count, percent};
use crate::tune::{Phase, Status, Tuning};

pub(super) fn conclusion(tuning: &Tuning) -> TuningConclusion {
    let decided = |status| matches!(status, Status::Success | Status::Failure);
    if tuning.recommendation.is_some() && trustworthy(tuning) > 0 {
        return TuningConclusion::Better;
    }
    if tuning.failure.is_some() {
        return TuningConclusion::NoBaseline;
    }
    if tuning.stopped.is_some() || tuning.phase != Phase::Done {
        return TuningConclusion::Unfinished;
    }
    match tuning.candidates.iter().any(|c| decided(c.status)) {
        true => TuningConclusion::NothingBetter,
        false => TuningConclusion::NothingTried,
    }
}

pub(super) fn headline(tuning: &Tuning, conclusion: TuningConclusion) -> String {
    let mut parts = vec![format!("{}: {}", tuning.model, answer(tuning, conclusion))];
    if let Some(stop) = tuning.stopped.filter(|_| conclusion != TuningConclusion::Unfinished) {
        parts.push(ended(tuning, stop));
    }
    parts.extend(bottleneck(tuning).map(|word| format!("bottleneck: {word}")));
    let tried = tuning.candidates.iter().filter(|c| c.status != Status::Waiting).count();
    let (all, trusted) = (tuning.candidates.len(), trustworthy(tuning));
    if all > 0 {
        parts.push(format!("{tried} of {} done, {trusted} trustworthy", count(all, "candidate")));
    }
    parts.join(" · ")
}

fn answer(tuning: &Tuning, conclusion: TuningConclusion) -> String {
    match conclusion {
        TuningConclusion::Better => tuning.recommendation.as_ref().map_or_else(String::new, |r| {
            format!("{} {} with {}", signed(r.gain), interval(r.interval), words(&r.changes))
        }),
        TuningConclusion::NothingBetter => "none beats the baseline".to_owned(),
        TuningConclusion::NothingTried => "nothing was tried".to_owned(),
        TuningConclusion::NoBaseline => "there is no baseline".to_owned(),
        TuningConclusion::Unfinished => match tuning.stopped {
            Some(stop) => ended(tuning, stop),
            None => format!("not finished: phase {}", phase(tuning)),
        },
    }
}

/// Why it ended early.
fn ended(tuning: &Tuning, stop: Stop) -> String {
    let phase = match tuning.phase {
        Phase::Done => "before all was tried".to_owned(),
        _ => format!("in phase {}", phase(tuning)),
    };
    match stop {
        Stop::Budget => format!("ended {phase}: the time is spent"),
        Stop::Interrupted => format!("interrupted {phase}"),
    }
}

/// What holds the entry back, if that was found.
fn bottleneck(tuning: &Tuning) -> Option<&'static str> {
    Some(tuning.diagnosis.as_ref()?.diagnosis.as_ref()?.bottleneck.word())
}

/// Candidates with a gain that can be trusted.
fn trustworthy(tuning: &Tuning) -> usize {
    tuning.candidates.iter().filter(|c| tuning.verified(c).is_some()).count()
}

fn phase(tuning: &Tuning) -> &'static str {
    match tuning.phase {
        Phase::Baseline => "baseline",
        Phase::Diagnose => "diagnose",
        Phase::Propose => "propose",
        Phase::Evaluate => "evaluate",
        Phase::Verify => "verify",
        Phase::Done => "done",
    }
}

/// A gain with its sign.
pub(crate) fn signed(gain: f64) -> String {
    let text = percent(gain);
    // No `-0.0`.
    match text.trim_start_matches('-') {
        "0.0 %" => "0.0 %".to_owned(),
        _ if gain > 0.0 => format!("+{text}"),
        _ => text,
    }
}

/// Where a gain is: `(+2.0 % … +3.1 %)`.
pub(crate) fn interval((low, high): (f64, f64)) -> String {
    format!("({} … {})", signed(low), signed(high))
}
