//! One value against the accepted runs: distances, bounds, and the words for them.

use super::correlation::weighted_variance_of_mean;
use super::limit::{Known, Noise, assumed_spread};
use super::text::{count, number, percent};
use super::{Direction, Evidence, Outcome, Policy, Verdict};

/// Where the current value lies, in the metric's unit.
pub(super) struct Comparison<'a> {
    policy: &'a Policy,
    pub(super) noise: Noise,
    pub(super) current: f64,
    /// Distance from the accepted median; positive means worse (or, while the direction is
    /// unknown, possibly worse).
    worse: f64,
    /// Change nobody needs to hear of; none where it is undefined (zero median, no floor).
    ignored: Option<f64>,
    known: Option<Known>,
    /// Change that unchanged code may show; none where nothing is known about the noise.
    limit: Option<f64>,
}

/// Where one accepted value lies and where the current ones do, before they are compared.
pub(super) fn worse_by(center: f64, current: f64, direction: Direction) -> f64 {
    match direction {
        Direction::Higher => center - current,
        Direction::Lower => current - center,
        Direction::Unknown => (current - center).abs(),
    }
}

impl<'a> Comparison<'a> {
    pub(super) fn new(baseline: &[f64], current: f64, policy: &'a Policy) -> Self {
        let noise = Noise::of(baseline);
        let worse = worse_by(noise.center, current, policy.direction);
        let relative = (noise.center != 0.0).then(|| policy.tolerance * noise.center.abs());
        let ignored = match (relative, policy.floor) {
            (Some(relative), Some(floor)) => Some(relative.max(floor)),
            (relative, floor) => relative.or(floor),
        };
        let known = noise.known(policy, 0);
        let limit = known.map(|known| known.limit(1.0 - policy.confidence, 1.0));
        Self { policy, noise, current, worse, ignored, known, limit }
    }

    /// How far unchanged code strays in the mean of a first look at `first` Executions and
    /// `fresh` further ones, at the level of the final decision.
    pub(super) fn decision_limit(&self, first: usize, fresh: usize) -> Option<f64> {
        let level = self.policy.level() * self.policy.share_of_look(fresh);
        // One Execution varies more than the median of several, at most `first` times as much.
        let rest = first as f64;
        let rho = self.policy.pool.correlation;
        let variance = weighted_variance_of_mean(1 + fresh, rest, rho);
        self.known.map(|known| self.as_difference(known.limit(level, variance)))
    }

    /// A limit of noise as the difference it allows. Noise multiplies: a fall to a quarter is as
    /// far as a rise to four times, so that a fall of less than the limit may be beyond it. Near
    /// the median both are the same.
    fn as_difference(&self, limit: f64) -> f64 {
        let center = self.noise.center.abs();
        match self.current / self.noise.center < 1.0 {
            true => -center * (-limit / center).exp_m1(),
            false => limit,
        }
    }

    /// Worse by more than the tolerance, and than the `limit` of the decision.
    pub(super) fn decided(&self, limit: Option<f64>) -> bool {
        self.directed()
            && self.beyond_tolerance(self.worse)
            && limit.is_some_and(|limit| self.worse > limit)
    }

    pub(super) fn relative(&self, difference: f64) -> Option<f64> {
        let center = self.noise.center;
        (center != 0.0).then(|| difference / center.abs())
    }

    /// Every number of the verdict fits into an `f64`.
    pub(super) fn is_finite(&self) -> bool {
        let spread = self.noise.spread.unwrap_or(0.0);
        let limit = self.limit.unwrap_or(0.0);
        let center = self.noise.center;
        [
            self.worse,
            spread,
            self.ignored.unwrap_or(0.0),
            center - limit,
            center + limit,
            self.relative(self.worse).unwrap_or(0.0),
            self.relative(spread).unwrap_or(0.0),
            self.relative(limit).unwrap_or(0.0),
        ]
        .iter()
        .all(|x| x.is_finite())
    }

    /// Far enough to care.
    fn beyond_tolerance(&self, difference: f64) -> bool {
        self.ignored.is_some_and(|ignored| difference > ignored)
    }

    /// Further than unchanged code strays.
    fn beyond_limit(&self, difference: f64) -> bool {
        self.limit.is_some_and(|limit| difference > limit)
    }

    pub(super) fn verdict(&self, runs: usize, executions: usize) -> Verdict {
        let (outcome, finding, settle) = self.finding();
        let center = self.noise.center;
        Verdict {
            outcome,
            baseline_n: runs,
            baseline_median: Some(center),
            spread: self.noise.spread.and_then(|s| self.relative(s)),
            current: Some(self.current),
            current_n: executions,
            fresh: Vec::new(),
            change: self.relative(self.current - center),
            worse_by: self.relative(self.worse).filter(|_| self.directed()),
            interval: self.limit.map(|limit| (center - limit, center + limit)),
            needs_confirmation: self.suspected(),
            explanation: format!("{}: {finding}", self.distance(runs)),
            settle,
            evidence: Some(self.evidence()),
        }
    }

    fn evidence(&self) -> Evidence {
        Evidence {
            tolerance: self.policy.tolerance,
            floor: self.policy.floor,
            spread: self.known.and_then(|known| self.relative(known.spread)),
            freedom: self.known.map(|known| known.freedom),
            limit: self.limit.and_then(|limit| self.relative(limit)),
            decision_limit: None,
            level: self.policy.level(),
            pool: self.policy.pool.clone(),
            confirmations: self.policy.least_confirmations(),
            most_confirmations: self.policy.max_confirmations,
        }
    }

    fn directed(&self) -> bool {
        self.policy.direction != Direction::Unknown
    }

    /// Known to be worse, by more than both bounds.
    fn suspected(&self) -> bool {
        self.directed() && self.beyond_tolerance(self.worse) && self.beyond_limit(self.worse)
    }

    /// Away from the accepted runs, whichever way, by more than both bounds.
    pub(super) fn stands_out(&self) -> bool {
        let difference = (self.current - self.noise.center).abs();
        match self.ignored {
            Some(ignored) => difference > ignored && self.beyond_limit(difference),
            None => difference != 0.0,
        }
    }

    /// The outcome, why, and what would settle it.
    fn finding(&self) -> (Outcome, String, Option<String>) {
        if self.ignored.is_none() && self.worse != 0.0 {
            let outcome = if self.worse > 0.0 { Outcome::Ambiguous } else { Outcome::Same };
            let why = "there is no relative change of zero".to_owned();
            let settle = "set an absolute floor: `regress.metrics.<m>.floor`".to_owned();
            return (outcome, why, Some(settle));
        }
        if self.beyond_tolerance(self.worse) {
            let settle = if !self.directed() {
                "say which way is better: `regress.metrics.<m>.direction`".to_owned()
            } else if self.suspected() {
                "fresh Executions that are worse as well".to_owned()
            } else {
                self.settle_by_runs()
            };
            return (Outcome::Ambiguous, self.against_bounds(self.worse), Some(settle));
        }
        if self.beyond_tolerance(-self.worse) && self.beyond_limit(-self.worse) {
            return (Outcome::Improved, self.against_bounds(-self.worse), None);
        }
        (Outcome::Same, self.within(), None)
    }

    /// `90 is 10.0 % worse than the accepted 100 (5 runs, spread 2.0 %)`.
    fn distance(&self, runs: usize) -> String {
        let word = match self.policy.direction {
            _ if self.worse == 0.0 => "away from",
            Direction::Unknown => "away from",
            _ if self.worse > 0.0 => "worse than",
            _ => "better than",
        };
        let spread = match self.noise.spread.map(|s| self.size(s)) {
            Some(spread) => format!("spread {spread}"),
            None if self.policy.pool.spread.is_some() && self.noise.center != 0.0 => format!(
                "spread of other metrics {}",
                percent(self.policy.pool.spread.unwrap_or_default())
            ),
            None if self.limit.is_some() => {
                format!("spread assumed {}", percent(assumed_spread(self.policy)))
            }
            None => "spread unknown".to_owned(),
        };
        format!(
            "{} is {} {word} the {} {} ({}, {spread})",
            number(self.current),
            self.size(self.worse.abs()),
            self.policy.reference,
            number(self.noise.center),
            count(runs, "run"),
        )
    }

    /// A difference as a percentage of the median, or as it is where that is zero.
    pub(super) fn size(&self, difference: f64) -> String {
        self.relative(difference).map_or_else(|| number(difference), percent)
    }

    fn against_bounds(&self, difference: f64) -> String {
        let tolerance = self.size(self.ignored.unwrap_or(0.0));
        let noise = match self.limit.map(|limit| self.size(limit)) {
            None => ", noise unknown".to_owned(),
            Some(limit) if self.beyond_limit(difference) => {
                format!(" and the noise limit of {limit}")
            }
            Some(limit) => format!(", inside the noise limit of {limit}"),
        };
        format!("beyond the tolerance of {tolerance}{noise}")
    }

    fn within(&self) -> String {
        match self.ignored {
            _ if self.worse == 0.0 => "no change".to_owned(),
            Some(ignored) if self.worse.abs() <= ignored => {
                format!("within the tolerance of {}", self.size(ignored))
            }
            _ if self.limit.is_none() => "noise unknown, so not called an improvement".to_owned(),
            _ => "inside the noise limit, so not called an improvement".to_owned(),
        }
    }

    /// The smallest number of accepted runs, up to the policy's window, whose limit would be below
    /// the difference if further runs vary as the present ones do; with that limit.
    fn runs_to_decide(&self) -> Option<(usize, f64)> {
        let level = 1.0 - self.policy.confidence;
        let runs = self.noise.values.len();
        (runs + 1..=self.policy.window)
            .filter_map(|n| Some((n, self.noise.known(self.policy, n - runs)?.limit(level, 1.0))))
            .find(|(_, limit)| *limit < self.worse)
    }

    /// How many further accepted runs would make this difference decidable.
    fn settle_by_runs(&self) -> String {
        if self.limit.is_none() {
            return "accept a second run: one says nothing about the noise".to_owned();
        }
        match self.runs_to_decide() {
            Some((runs, limit)) => format!(
                "accept runs until there are {runs}: if they vary as these do, the noise limit \
                 is then {}",
                self.size(limit)
            ),
            None => format!(
                "not even {} accepted runs that vary as these do would tell: make the metric \
                 steadier or compare side by side with `mad compare`",
                self.policy.window
            ),
        }
    }
}
