//! Candidates, measured one after the other.

use std::time::Duration;

use anyhow::Result;

use super::Search;
use super::measure::Question;
use crate::compare::Duelled;
use crate::tune::overlap::{conflict, merged};
use crate::tune::report::words;
use crate::tune::trust::change;
use crate::tune::{Change, Phase, Status, Strategy, Trust};

impl Search<'_, '_> {
    /// Measures the candidates that wait, each by itself or on top of what was kept.
    pub(super) fn evaluate(&mut self) -> Result<()> {
        if self.tuning.strategy == Strategy::Halving {
            self.halve()?;
        } else {
            for i in self.waiting() {
                if self.tuning.strategy == Strategy::Greedy && !self.build_on_kept(i) {
                    self.update()?;
                    continue;
                }
                let reserve = self.reserve();
                let done = {
                    let base = self.tuning.candidates[i].on_top_of.clone();
                    let changes = merged(&base, &self.tuning.candidates[i].changes);
                    let question = self.question(i, &base, &changes);
                    self.decide(&question, reserve)?
                };
                let Some(done) = done else { break };
                self.take(i, &done)?;
            }
        }
        if self.tuning.stopped == Some(crate::compare::Stop::Budget) && self.any_promising() {
            // The reserve is for this.
            self.tuning.stopped = None;
            self.note("the time was not enough for all candidates");
        }
        if self.tuning.stopped.is_none() {
            self.tuning.phase = Phase::Verify;
        }
        Ok(())
    }

    pub(super) fn question<'c>(
        &self,
        i: usize,
        base: &'c [Change],
        candidate: &'c [Change],
    ) -> Question<'c> {
        let it = &self.tuning.candidates[i];
        Question { name: it.id.clone(), base, candidate, warmup: it.warmup, nth: i }
    }

    /// Puts a candidate on top of what was kept; false if it must not be.
    fn build_on_kept(&mut self, i: usize) -> bool {
        let kept = self.tuning.candidates.iter().filter(|c| c.promising);
        let against = kept.clone().find_map(|k| conflict(&self.tuning.candidates[i], k));
        let against = against.map(str::to_owned);
        let base = kept.fold(Vec::new(), |base, k| merged(&base, &k.changes));
        let candidate = &mut self.tuning.candidates[i];
        match against {
            None => candidate.on_top_of = base,
            Some(lever) => {
                candidate.status = Status::Skipped;
                let why = format!("not to be tried together with {lever}, which was kept");
                candidate.trust = Some(Trust::none(vec![why]));
            }
        }
        candidate.status == Status::Waiting
    }

    /// Writes down what came of the first comparison of a candidate.
    pub(super) fn take(&mut self, i: usize, done: &Duelled) -> Result<()> {
        let candidate = &self.tuning.candidates[i];
        let (id, base) = (candidate.id.clone(), candidate.on_top_of.clone());
        let judge = self.judge()?;
        let against = judge.objections(&done.comparison, &done.measurements, candidate.numerics);
        let seen = judge.target.of(&done.comparison).map(change);
        let csv = match self.changed(&merged(&base, &candidate.changes)) {
            Ok(job) => self.write_rows(&id, done, &job)?,
            Err(_) => None,
        };
        let changes = words(&candidate.changes);
        let candidate = &mut self.tuning.candidates[i];
        candidate.comparison = Some(done.comparison.clone());
        candidate.csv = csv;
        candidate.status = match done.comparison.failure {
            Some(_) => Status::Failure,
            None => Status::Success,
        };
        candidate.promising = against.is_empty();
        let seen = seen.unwrap_or_default();
        let line = match against.first() {
            None => format!("{id} ({changes}): better by {seen}"),
            Some(reason) => {
                format!("{id} ({changes}): {}", reason.lines().next().unwrap_or_default())
            }
        };
        candidate.trust = Some(Trust::none(match against.is_empty() {
            true => vec![format!("better by {seen}, and not measured afresh")],
            false => against,
        }));
        self.say(&line);
        self.update()
    }

    pub(super) fn any_promising(&self) -> bool {
        self.tuning.candidates.iter().any(|c| c.promising)
    }

    /// The time to keep for measuring afresh what looks better, as far as there is anything.
    pub(super) fn reserve(&self) -> Duration {
        if self.any_promising() { self.longest } else { Duration::ZERO }
    }

    /// Says it once, however often the search goes on.
    pub(super) fn note(&mut self, note: &str) {
        if !self.tuning.notes.iter().any(|n| n == note) {
            self.tuning.notes.push(note.to_owned());
        }
    }
}
