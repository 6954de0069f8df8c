//! Comparisons of a search: how they are made and where they go.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{MIN_EFFECT, Search};
use crate::compare::{Duel, Duelled, Failure, Settings, Stop, Watched};
use crate::plan::Job;
use crate::tune::Change;
use crate::tune::trust::accuracy_tolerance;

/// What two configurations are compared for.
pub(super) struct Question<'c> {
    /// Names its records.
    pub(super) name: String,
    /// What the first has.
    pub(super) base: &'c [Change],
    /// What the second has.
    pub(super) candidate: &'c [Change],
    /// Executions of the second that do not count after the change.
    pub(super) warmup: u32,
    /// Tells it from the others that are decided by the same seed.
    pub(super) nth: usize,
}

impl<'s, 'a> Search<'s, 'a> {
    /// Makes both configurations ready. What cannot be is the answer already.
    pub(super) fn duel(&self, question: &Question<'_>) -> Result<Result<Duel<'a>, Duelled>> {
        let failed = |message: String| Duelled::failed(Failure { build: false, message });
        let (base, mut job) = match (self.changed(question.base), self.changed(question.candidate))
        {
            (Ok(base), Ok(job)) => (base, job),
            (_, Err(e)) | (Err(e), _) => return Ok(Err(failed(format!("{e:#}")))),
        };
        job.warmup += question.warmup;
        let place = self.place(&question.name);
        let settings = self.settings()?;
        let duel = Duel::prepare(self.session, [base, job], &place, question.nth, settings);
        Ok(duel.map_err(Duelled::failed))
    }

    /// Measures until it is decided. None when the time is spent or the user ended it, which
    /// the record says then; `reserve` is kept for what is to follow.
    pub(super) fn decide(
        &mut self,
        question: &Question<'_>,
        reserve: Duration,
    ) -> Result<Option<Duelled>> {
        let clock = Instant::now();
        if self.must_stop(reserve) {
            return Ok(None);
        }
        let mut duel = match self.duel(question)? {
            Ok(duel) => duel,
            Err(done) => return Ok(self.unless_interrupted(done)),
        };
        while !duel.is_done() {
            if self.must_stop(reserve + duel.block_time()) {
                return Ok(None);
            }
            duel.block();
        }
        let done = duel.finish();
        self.longest = self.longest.max(clock.elapsed());
        Ok(self.unless_interrupted(done))
    }

    /// What was measured, if it was measured to its end.
    pub(super) fn unless_interrupted(&mut self, done: Duelled) -> Option<Duelled> {
        let cancelled = self.session.cancel.is_cancelled();
        if cancelled {
            self.tuning.stopped = Some(Stop::Interrupted);
        }
        (!cancelled).then_some(done)
    }

    /// Whether nothing further is to be begun that takes so long; the record says why.
    pub(super) fn must_stop(&mut self, needed: Duration) -> bool {
        let late = |budget: Duration| self.spent() + needed.as_secs_f64() > budget.as_secs_f64();
        let stop = match self.session.cancel.is_cancelled() {
            true => Some(Stop::Interrupted),
            false => self.request.budget.is_some_and(late).then_some(Stop::Budget),
        };
        self.tuning.stopped = stop;
        stop.is_some()
    }

    /// How candidates are compared: having looked at several, each has its share of the false
    /// alarms; one share is that of what holds together.
    pub(super) fn settings(&self) -> Result<Settings> {
        let shares = self.tuning.candidates.iter().filter(|c| c.id != super::verify::TOGETHER);
        let shares = shares.count() + 1;
        let target = self.tuning.metric.as_ref().context("the search has no metric")?;
        let mut watched = vec![Watched {
            metric: target.key.clone(),
            min_effect: self.request.min_effect.unwrap_or(MIN_EFFECT),
        }];
        if let Some(tune) = &self.job.model.entry().tune
            && let Some(accuracy) = &tune.accuracy
        {
            let min_effect = accuracy_tolerance(tune);
            watched.push(Watched { metric: accuracy.clone(), min_effect });
        }
        Ok(Settings {
            seed: self.tuning.seed,
            // Of the other metrics their tolerance.
            min_effect: None,
            max_samples: self.request.max_samples,
            budget: None,
            false_alarms: self.tuning.false_alarms / shares as f64,
            watched,
            progress: self.session.progress().clone(),
        })
    }

    /// A name below the search's directory at which nothing is yet: what an earlier process
    /// began there stays as it is.
    pub(super) fn place(&self, name: &str) -> String {
        let taken = |place: &String| self.session.dir().model(place).exists();
        let mut place = name.to_owned();
        for again in 2.. {
            if !taken(&place) {
                break;
            }
            place = format!("{name}-again-{again}");
        }
        place
    }

    /// The file of rows of what was measured, beside perf.csv.
    pub(super) fn csv(&self, id: &str) -> PathBuf {
        let name = format!("perf_tune_{}.csv", crate::slug::slug(id));
        self.session.planner.options.output.with_file_name(name)
    }

    /// Writes the rows of the second of two configurations. None if it has none.
    pub(super) fn write_rows(
        &self,
        id: &str,
        done: &Duelled,
        job: &Job,
    ) -> Result<Option<PathBuf>> {
        let Some(measurement) = done.measurements.get(1) else { return Ok(None) };
        let csv = self.csv(id);
        self.session.write_rows(job, measurement, &csv)?;
        Ok(Some(csv))
    }
}
