//! What looks better is measured afresh, and what holds is tried together.

use std::time::Duration;

use anyhow::Result;

use super::Search;
use super::measure::Question;
use crate::tune::overlap::{fit, merged};
use crate::tune::report::words;
use crate::tune::trust::change;
use crate::tune::{Candidate, Gain, Phase, Recommendation, Status, Strategy, Trust};

/// The candidate of all that holds.
pub(super) const TOGETHER: &str = "together";

/// Number of the first comparison that is made afresh, which has an order of its own.
const AFRESH: usize = 1000;

impl Search<'_, '_> {
    /// Finds what can be recommended. The gain that is reported is that of a comparison made
    /// afresh: the first one was the best of several, which flatters it.
    pub(super) fn verify(&mut self) -> Result<()> {
        if self.tuning.strategy == Strategy::Greedy {
            self.put_kept_together()?;
            if let Some(together) = self.together() {
                if self.verified(together)?.is_none() {
                    return Ok(());
                }
                if self.is_trusted(together) {
                    return self.recommend(Some(together));
                }
            }
        }
        let mut best = None;
        for i in self.by_gain() {
            match self.verified(i)? {
                None => return Ok(()),
                Some(true) => {
                    best = Some(i);
                    break;
                }
                Some(false) => {}
            }
        }
        let Some(best) = best else { return self.recommend(None) };
        if self.tuning.strategy == Strategy::Greedy {
            return self.recommend(Some(best));
        }
        self.put_others_together(best)?;
        let Some(together) = self.together() else { return self.recommend(Some(best)) };
        if self.tuning.candidates[together].status == Status::Waiting {
            let all = self.changes_of(together);
            let base = self.tuning.candidates[together].on_top_of.clone();
            let question = self.question(together, &base, &all);
            let Some(done) = self.decide(&question, Duration::ZERO)? else { return Ok(()) };
            self.take(together, &done)?;
        }
        if self.tuning.candidates[together].promising && self.verified(together)?.is_none() {
            return Ok(());
        }
        self.recommend(Some(if self.is_trusted(together) { together } else { best }))
    }

    /// What looked better by itself, the largest gain first.
    fn by_gain(&self) -> Vec<usize> {
        let gain = |c: &Candidate| {
            let metric = self.tuning.metric.as_ref()?.of(c.comparison.as_ref()?)?;
            Some(Gain::of(metric)?.gain)
        };
        let single = |c: &Candidate| c.promising && c.on_top_of.is_empty() && c.id != TOGETHER;
        let all = self.tuning.candidates.iter().enumerate().filter(|(_, c)| single(c));
        let mut found: Vec<(usize, f64)> = all.filter_map(|(i, c)| Some((i, gain(c)?))).collect();
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found.into_iter().map(|(i, _)| i).collect()
    }

    /// Compares a candidate afresh with the entry as it is, unless that was done; whether it
    /// holds. None if there was no time.
    fn verified(&mut self, i: usize) -> Result<Option<bool>> {
        if self.tuning.candidates[i].verification.is_some() {
            return Ok(Some(self.is_trusted(i)));
        }
        let changes = self.changes_of(i);
        let candidate = &self.tuning.candidates[i];
        let (id, numerics) = (candidate.id.clone(), candidate.numerics);
        self.say(&format!("{id} ({}): measuring it afresh", words(&candidate.changes)));
        let question = Question {
            name: format!("{id}-afresh"),
            base: &[],
            candidate: &changes,
            warmup: candidate.warmup,
            nth: AFRESH + i,
        };
        let Some(done) = self.decide(&question, Duration::ZERO)? else { return Ok(None) };
        let judge = self.judge()?;
        let against = judge.objections(&done.comparison, &done.measurements, numerics);
        let seen = judge.target.of(&done.comparison);
        let pairs = seen.map_or(0, |m| m.pairs);
        let seen = seen.map(change).unwrap_or_default();
        let job = self.changed(&changes)?;
        let csv = self.write_rows(&id, &done, &job)?;
        let trust = match against.is_empty() {
            true => Trust {
                trustworthy: true,
                because: vec![format!(
                    "found again when measured afresh: {seen}, in {pairs} pairs of executions in turn"
                )],
            },
            false => Trust::none(against.iter().map(|a| format!("measured afresh: {a}")).collect()),
        };
        let holds = trust.trustworthy;
        let verdict = if holds { "holds" } else { "does not hold" };
        self.say(&format!("{id}: {verdict}: {seen}"));
        let candidate = &mut self.tuning.candidates[i];
        candidate.csv = csv.or(candidate.csv.take());
        candidate.verification = Some(done.comparison);
        candidate.trust = Some(trust);
        self.update()?;
        Ok(Some(holds))
    }

    fn is_trusted(&self, i: usize) -> bool {
        self.tuning.candidates[i].trust.as_ref().is_some_and(|t| t.trustworthy)
    }

    /// All that is different from the entry as it is.
    fn changes_of(&self, i: usize) -> Vec<crate::tune::Change> {
        let candidate = &self.tuning.candidates[i];
        merged(&candidate.on_top_of, &candidate.changes)
    }

    fn together(&self) -> Option<usize> {
        self.tuning.candidates.iter().position(|c| c.id == TOGETHER)
    }

    /// Makes one candidate of everything that `mad tune` kept.
    fn put_kept_together(&mut self) -> Result<()> {
        let kept: Vec<&Candidate> = self.tuning.candidates.iter().filter(|c| c.promising).collect();
        if self.together().is_some() || kept.len() < 2 {
            return Ok(());
        }
        let changes = kept.iter().fold(Vec::new(), |all, c| merged(&all, &c.changes));
        let together =
            Candidate { changes, status: Status::Success, promising: true, ..union(&kept) };
        self.tuning.candidates.push(together);
        self.update()
    }

    /// Makes one candidate of everything that looked better and can be tried on top of the
    /// best one.
    fn put_others_together(&mut self, best: usize) -> Result<()> {
        if self.together().is_some() {
            return Ok(());
        }
        let all = &self.tuning.candidates;
        let mut with = vec![&all[best]];
        for i in self.by_gain() {
            let open = all[i].verification.is_none();
            if open && with.iter().all(|c| fit(c, &all[i])) {
                with.push(&all[i]);
            }
        }
        let others = &with[1..];
        if others.is_empty() {
            return Ok(());
        }
        let changes = others.iter().flat_map(|c| c.changes.clone()).collect();
        let on_top_of = all[best].changes.clone();
        let together = Candidate { changes, on_top_of, ..union(&with) };
        self.tuning.candidates.push(together);
        self.update()
    }

    /// Writes down what is recommended, if anything is.
    fn recommend(&mut self, i: Option<usize>) -> Result<()> {
        if let Some(i) = i {
            let candidate = &self.tuning.candidates[i];
            let gain = self.tuning.verified(candidate);
            let (id, changes) = (candidate.id.clone(), self.changes_of(i));
            self.tuning.recommendation = gain.map(|found| Recommendation {
                candidates: self.members(&id, &changes),
                changes,
                gain: found.gain,
                interval: found.interval,
            });
            let others = self.tuning.candidates.iter_mut();
            for other in others.filter(|c| c.promising && c.verification.is_none()) {
                let Some(trust) = &mut other.trust else { continue };
                trust.because.push(format!("{id} was measured afresh instead"));
            }
        }
        self.tuning.phase = Phase::Done;
        Ok(())
    }

    /// The candidates whose changes these are.
    fn members(&self, id: &str, changes: &[crate::tune::Change]) -> Vec<String> {
        if id != TOGETHER {
            return vec![id.to_owned()];
        }
        let single = self.tuning.candidates.iter().filter(|c| c.id != TOGETHER && c.promising);
        let part = single.filter(|c| c.changes.iter().all(|change| changes.contains(change)));
        part.map(|c| c.id.clone()).collect()
    }
}

/// What several candidates have in common when they are tried together.
fn union(parts: &[&Candidate]) -> Candidate {
    let ids: Vec<&str> = parts.iter().map(|c| c.id.as_str()).collect();
    let evidence = format!("{} looked better by themselves", ids.join(", "));
    Candidate {
        numerics: parts.iter().any(|c| c.numerics),
        warmup: parts.iter().map(|c| c.warmup).max().unwrap_or_default(),
        conflicts: parts.iter().flat_map(|c| c.conflicts.clone()).collect(),
        ..Candidate::new(TOGETHER.to_owned(), "search", evidence)
    }
}
