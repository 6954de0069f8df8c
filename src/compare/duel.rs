//! Two Jobs of one entry, compared for a search.

use std::time::Duration;

use super::record::{EntryComparison, Failure};
use super::subject::Subject;
use super::{Order, Settings};
use crate::plan::Job;
use crate::record::Measurement;
use crate::run::Session;

/// Two Jobs of one entry, executed in turn until it is known whether the second is better.
pub(crate) struct Duel<'a> {
    subject: Subject<'a>,
    settings: Settings,
    /// The metric that shall be better.
    key: String,
}

/// What came of a [`Duel`].
pub(crate) struct Duelled {
    /// What is said about it.
    pub(crate) comparison: EntryComparison,
    /// Those of the first and the second Job, as far as there are any.
    pub(crate) measurements: Vec<Measurement>,
}

impl Duelled {
    /// One of which nothing was measured.
    pub(crate) fn failed(failure: Failure) -> Duelled {
        Duelled { comparison: EntryComparison::failed(failure), measurements: Vec::new() }
    }
}

impl<'a> Duel<'a> {
    /// Makes both ready and warms them up; the records go to `place` in the directory of
    /// `session`. The first of what `settings` watch is what shall be better.
    ///
    /// # Errors
    /// When they cannot be made ready, or not be compared.
    pub(crate) fn prepare(
        session: &Session<'a>,
        jobs: [Job; 2],
        place: &str,
        nth: usize,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let order = Order::new(settings.seed, nth);
        let config = &session.planner.catalog.config;
        let activity = settings.progress.activity(place, None);
        let subject = Subject::prepare([session; 2], jobs, place, order, config, activity)?;
        let key = settings.watched.first().map(|w| w.metric.clone()).unwrap_or_default();
        Ok(Duel { subject, settings, key })
    }

    /// Whether nothing more is to be measured: it is decided, it failed, or a gain is ruled out.
    pub(crate) fn is_done(&self) -> bool {
        self.subject.is_done() || self.subject.rules_out(&self.key)
    }

    /// How much better the second is by now.
    pub(crate) fn gain(&self) -> Option<f64> {
        self.subject.gain(&self.key)
    }

    /// What a block takes, as far as is known.
    pub(crate) fn block_time(&self) -> Duration {
        self.subject.block_time()
    }

    /// One block of four Executions, and a look at what they say.
    pub(crate) fn block(&mut self) {
        self.subject.block(&self.settings);
        let level = self.settings.false_alarms / self.subject.checks().max(1) as f64;
        self.subject.look(level, &self.settings);
    }

    /// Writes the records; what came of it.
    pub(crate) fn finish(self) -> Duelled {
        let (comparison, measurements) = self.subject.finish(&self.settings);
        Duelled { comparison, measurements }
    }
}
