//! What speaks against a gain.

use super::{Gain, TargetMetric};
use crate::catalog::Tune;
use crate::compare::{EntryComparison, MetricComparison, Outcome};
use crate::record::Measurement;
use crate::regress::{Direction, count, percent};

/// Executions of each side below which nothing is believed.
const FEWEST: usize = 3;

/// Loss of accuracy that is none, where the entry says nothing else.
const ACCURACY_TOLERANCE: f64 = 0.01;

/// What a gain is judged by.
pub(super) struct Judge<'t> {
    /// The metric that shall be better.
    pub(super) target: &'t TargetMetric,
    /// What the entry says about tuning.
    pub(super) tune: Option<&'t Tune>,
    /// Class of machines that everything is measured on.
    pub(super) machine_class: &'t str,
    /// Whether levers that may change the answer are allowed without a metric that shows it.
    pub(super) allow_numerics: bool,
}

/// Relative loss of the accuracy metric that is none.
pub(super) fn accuracy_tolerance(tune: &Tune) -> f64 {
    tune.accuracy_tolerance.unwrap_or(ACCURACY_TOLERANCE)
}

impl Judge<'_> {
    /// Everything that speaks against believing that the second side is better; nothing if it
    /// is. `numerics` says that the change may change the answer, `measurements` are those of
    /// both sides.
    pub(super) fn objections(
        &self,
        comparison: &EntryComparison,
        measurements: &[Measurement],
        numerics: bool,
    ) -> Vec<String> {
        if let Some(failure) = &comparison.failure {
            return vec![failure.message.clone()];
        }
        if let Some(skipped) = &comparison.skipped {
            return vec![format!("not measured: {skipped}")];
        }
        let Some(metric) = self.target.of(comparison) else {
            return vec![format!("not measured: it does not report {}", self.target.key)];
        };
        let mut against = Vec::new();
        let counted = measurements.iter().map(|m| m.counted().count()).min().unwrap_or_default();
        if counted < FEWEST {
            against.push(format!(
                "{} of each side: {FEWEST} are the fewest",
                count(counted, "execution")
            ));
        }
        if measurements.iter().flat_map(|m| &m.executions).any(|e| e.profiled) {
            against.push("measured under a profiler".to_owned());
        }
        if measurements.iter().flat_map(Measurement::counted).any(|e| e.failure.is_some()) {
            against.push("an execution failed".to_owned());
        }
        let elsewhere = measurements.iter().find(|m| m.machine_class != self.machine_class);
        if let Some(m) = elsewhere {
            let here = self.machine_class;
            against.push(format!("measured on another machine: {}, not {here}", m.machine_class));
        }
        against.extend(no_gain(metric));
        for other in comparison.metrics.iter().filter(|m| m.gated && m.key != metric.key) {
            against.extend(self.another_answer(other));
        }
        against.extend(self.without_accuracy(comparison, numerics));
        against
    }

    /// What a metric that must not change says.
    fn another_answer(&self, metric: &MetricComparison) -> Option<String> {
        if self.is_accuracy(metric) {
            return self.accuracy_lost(metric);
        }
        match metric.outcome {
            Outcome::Slower => Some(format!(
                "{} is worse: {}; `regress.metrics.{}.gated` says whether it may be",
                metric.key,
                change(metric),
                metric.metric
            )),
            Outcome::Changed => {
                Some(format!("a different answer: {} changes by {}", metric.key, change(metric)))
            }
            _ => None,
        }
    }

    fn is_accuracy(&self, metric: &MetricComparison) -> bool {
        let name = self.tune.and_then(|t| t.accuracy.as_ref());
        name.is_some_and(|name| *name == metric.key || *name == metric.metric)
    }

    /// Whether the accuracy may be worse than is tolerated: what was not shown counts as lost.
    fn accuracy_lost(&self, metric: &MetricComparison) -> Option<String> {
        let tolerance = self.tune.map_or(ACCURACY_TOLERANCE, accuracy_tolerance);
        let kept = metric.interval.is_some_and(|(low, high)| match metric.direction {
            Direction::Higher => low >= -tolerance,
            Direction::Lower => high <= tolerance,
            Direction::Unknown => low >= -tolerance && high <= tolerance,
        });
        (!kept).then(|| {
            format!(
                "a different answer: {} changes by {}, and it is not shown to be within {}",
                metric.key,
                change(metric),
                percent(tolerance)
            )
        })
    }

    /// Whether the answer was looked at, where it may be another.
    fn without_accuracy(&self, comparison: &EntryComparison, numerics: bool) -> Option<String> {
        let name = self.tune.and_then(|t| t.accuracy.as_deref());
        let reported = comparison.metrics.iter().any(|m| self.is_accuracy(m));
        match name {
            Some(name) if !reported => {
                Some(format!("it does not report {name}, the accuracy that the entry names"))
            }
            None if numerics && !self.allow_numerics => Some(
                "it may change the answer, and the entry names no metric that shows it \
                 (`tune.accuracy`): --allow-numerics tries it all the same"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Why the metric is not better, if it is not.
fn no_gain(metric: &MetricComparison) -> Option<String> {
    let seen = || change(metric);
    match metric.outcome {
        Outcome::Faster => None,
        Outcome::Same => {
            Some(format!("no gain of {} or more: {}", percent(metric.min_effect), seen()))
        }
        Outcome::Slower => Some(format!("it is worse: {}", seen())),
        Outcome::Changed => Some(format!("nobody knows which way {} is better", metric.key)),
        Outcome::Undecided if excluded(metric) => {
            Some(format!("no gain of {} or more: {}", percent(metric.min_effect), seen()))
        }
        Outcome::Undecided => Some(match &metric.settle {
            Some(settle) => format!("within noise: {}; {settle}", seen()),
            None => format!("within noise: {}", seen()),
        }),
    }
}

fn excluded(metric: &MetricComparison) -> bool {
    Gain::of(metric).is_some_and(|gain| gain.interval.1 < metric.min_effect)
}

/// The change and where the true one is.
pub(super) fn change(metric: &MetricComparison) -> String {
    let signed =
        |share: f64| format!("{}{}", if share < 0.0 { "-" } else { "+" }, percent(share.abs()));
    match (metric.change, metric.interval) {
        (Some(change), Some((low, high))) => {
            format!("{} ({} … {})", signed(change), signed(low), signed(high))
        }
        (Some(change), None) => format!("{} (too few executions for an interval)", signed(change)),
        _ => "too few executions to tell".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, outcome: Outcome, change: f64, interval: (f64, f64)) -> MetricComparison {
        MetricComparison {
            key: name.to_owned(),
            metric: name.to_owned(),
            direction: Direction::Higher,
            gated: true,
            outcome,
            base: 1.0,
            candidate: 1.0 + change,
            change: Some(change),
            interval: Some(interval),
            min_effect: 0.02,
            pairs: 8,
            spread: Some(0.01),
            settle: None,
        }
    }

    fn against(metrics: &[MetricComparison], tune: Option<&Tune>, numerics: bool) -> Vec<String> {
        let target = TargetMetric {
            key: "qps".to_owned(),
            metric: "qps".to_owned(),
            direction: Direction::Higher,
        };
        let judge = Judge { target: &target, tune, machine_class: "cpu", allow_numerics: false };
        let comparison =
            EntryComparison { metrics: metrics.to_vec(), ..EntryComparison::default() };
        let mut found = judge.objections(&comparison, &[], numerics);
        // There are no records in these tests.
        found.retain(|o| !o.contains("executions of each side"));
        found
    }

    fn gain() -> MetricComparison {
        metric("qps", Outcome::Faster, 0.1, (0.08, 0.12))
    }

    #[test]
    fn a_clear_gain_without_a_word_against_it() {
        assert_eq!(against(&[gain()], None, false), Vec::<String>::new());
    }

    #[test]
    fn all_that_speaks_against_it_is_said() {
        let noise = metric("qps", Outcome::Undecided, 0.05, (-0.1, 0.2));
        let slower = metric("other", Outcome::Slower, -0.1, (-0.12, -0.08));
        let found = against(&[noise, slower], None, true);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[0].starts_with("within noise: +5.0 % (-10.0 % … +20.0 %)"), "{found:?}");
        assert!(found[1].contains("other is worse"), "{found:?}");
        assert!(found[2].contains("--allow-numerics"), "{found:?}");
        let hopeless = metric("qps", Outcome::Undecided, -0.01, (-0.03, 0.01));
        assert!(against(&[hopeless], None, false)[0].contains("no gain of 2.0 % or more"));
        assert!(against(&[], None, false)[0].contains("does not report qps"));
    }

    #[test]
    fn accuracy_counts_as_lost_until_it_is_shown_to_be_kept() {
        let tune = Tune { accuracy: Some("top1".to_owned()), ..Tune::default() };
        let with = |outcome, change, interval| {
            against(&[gain(), metric("top1", outcome, change, interval)], Some(&tune), true)
        };
        assert_eq!(with(Outcome::Same, 0.0, (0.0, 0.0)), Vec::<String>::new());
        assert_eq!(with(Outcome::Faster, 0.1, (0.09, 0.11)), Vec::<String>::new());
        // Worse by less than is tolerated, for certain.
        assert_eq!(with(Outcome::Slower, -0.005, (-0.006, -0.004)), Vec::<String>::new());
        for (outcome, change, interval) in
            [(Outcome::Slower, -0.2, (-0.21, -0.19)), (Outcome::Undecided, 0.0, (-0.05, 0.05))]
        {
            let found = with(outcome, change, interval);
            assert!(found[0].starts_with("a different answer: top1"), "{found:?}");
        }
        let silent = against(&[gain()], Some(&tune), false);
        assert!(silent[0].contains("does not report top1"), "{silent:?}");
    }
}
