//! What the numbers of a self-test come to. No I/O.

use serde::Serialize;

use super::{Look, SelfTest};

/// What a self-test found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Red for the slow-down, green without.
    Works,
    /// The slow-down was there, and the gate stayed green.
    Blind,
    /// Nothing was changed, and the gate went red.
    FalseAlarm,
    /// The machine moves by itself as much as what was planted: no word about the gate.
    TooNoisy,
    /// The entry did not get slower when it was told to.
    NotPlanted,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Finding::Works => "works",
            Finding::Blind => "blind",
            Finding::FalseAlarm => "false-alarm",
            Finding::TooNoisy => "too-noisy",
            Finding::NotPlanted => "not-planted",
        })
    }
}

/// Share of the planted change by which the numbers of a steady machine may differ. A gate
/// that is sure of what is four times as large as the whole range is asked no more than a
/// gate can do.
const STEADY: f64 = 0.25;
/// Share of the planted change that the entry must at least show.
const SHOWN: f64 = 0.5;

impl SelfTest {
    /// Relative range of everything that was measured without a slow-down.
    pub fn unsteadiness(&self) -> f64 {
        let steady = self.looks.iter().filter(|look| !look.planted).flat_map(|look| &look.values);
        let values: Vec<f64> = self.accepted.iter().chain(steady).copied().collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (high - low) / crate::regress::median(&values).abs()
    }

    /// Whether the machine moves too much by itself for a word about the gate. A range that is
    /// no number tells nothing either.
    pub(super) fn is_noisy(&self) -> bool {
        let unsteady = self.unsteadiness();
        unsteady.is_nan() || unsteady >= STEADY * self.slowdown
    }

    /// What it comes to, and why.
    pub fn conclude(&self) -> (Finding, String) {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let planted = |look: &&Look| look.planted;
        let (slowed, steady): (Vec<&Look>, Vec<&Look>) = self.looks.iter().partition(planted);
        let missed = slowed.iter().find(|look| !look.red());
        let alarm = steady.iter().find(|look| look.red());
        if missed.is_none() && alarm.is_none() && self.refused.is_none() {
            let seen = slowed.iter().filter_map(|look| look.worse_by).fold(f64::INFINITY, f64::min);
            let text = format!(
                "red when slower by {} ({} seen), green {} times without",
                percent(self.slowdown),
                percent(seen),
                steady.len()
            );
            return (Finding::Works, text);
        }
        if self.is_noisy() {
            let mut text = format!(
                "unchanged, the numbers differ by {}: a slow-down of {} does not stand out from \
                 that; try a quiet machine, or a larger --slowdown",
                percent(self.unsteadiness()),
                percent(self.slowdown)
            );
            if let Some(refused) = &self.refused {
                text += &format!("; not even accepted: {refused}");
            }
            return (Finding::TooNoisy, text);
        }
        if let Some(look) = alarm {
            return (Finding::FalseAlarm, format!("nothing was changed: {}", look.message));
        }
        let look = missed.copied();
        let message = look.map_or_else(String::new, |look| look.message.clone());
        let seen = look.and_then(|look| look.worse_by);
        if seen.is_some_and(|seen| seen < SHOWN * self.slowdown) {
            let text = format!(
                "a slow-down of {} was asked for and {} seen: the script of the entry has to do \
                 that much more work when MAD_PLANT_SLOWDOWN says so",
                percent(self.slowdown),
                percent(seen.unwrap_or_default())
            );
            return (Finding::NotPlanted, text);
        }
        (Finding::Blind, format!("a slow-down of {}: {message}", percent(self.slowdown)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(planted: bool, exit: i32, value: f64) -> Look {
        Look {
            planted,
            exit,
            worse_by: Some(1.0 - value / 100.0),
            values: vec![value],
            executions: 1,
            message: format!("told {value}"),
        }
    }

    fn finding(accepted: &[f64], looks: &[(bool, i32, f64)]) -> (Finding, String) {
        let looks = looks.iter().map(|&(planted, exit, value)| look(planted, exit, value));
        let test = SelfTest {
            schema: "mad-selftest/1",
            entry: "m".into(),
            metric: "tok/s".into(),
            slowdown: 0.1,
            accepted: accepted.to_vec(),
            refused: None,
            spread: None,
            looks: looks.collect(),
            executions: 0,
        };
        test.conclude()
    }

    #[test]
    fn red_for_the_slow_down_alone_is_what_is_wanted() {
        let (found, why) = finding(&[100.0; 5], &[(false, 0, 101.0), (true, 5, 91.0)]);
        assert_eq!(found, Finding::Works);
        assert_eq!(why, "red when slower by 10.0 % (9.0 % seen), green 1 times without");
    }

    #[test]
    fn every_way_to_fail_has_its_name() {
        let steady = [100.0, 100.5, 99.5];
        for (accepted, looks, expected) in [
            (steady, [(false, 0, 100.0), (true, 0, 91.0)], Finding::Blind),
            (steady, [(false, 5, 98.5), (true, 5, 91.0)], Finding::FalseAlarm),
            (steady, [(false, 5, 98.5), (true, 0, 91.0)], Finding::FalseAlarm),
            (steady, [(false, 0, 100.0), (true, 0, 98.0)], Finding::NotPlanted),
            // A machine that moves by as much excuses everything but is never a pass.
            ([100.0, 102.0, 99.0], [(false, 0, 100.0), (true, 0, 91.0)], Finding::TooNoisy),
            (steady, [(false, 5, 90.0), (true, 5, 80.0)], Finding::TooNoisy),
            ([0.0; 3], [(false, 0, 0.0), (true, 0, 0.0)], Finding::TooNoisy),
            // Where the gate was right nevertheless, noise is no reason to doubt it.
            ([100.0, 102.0, 99.0], [(false, 0, 100.0), (true, 5, 91.0)], Finding::Works),
        ] {
            let (found, why) = finding(&accepted, &looks);
            assert_eq!(found, expected, "{why}");
        }
    }
}
