//! Results against earlier results.
//!
//! Numbers are compared only if model, metric (which is the unit) and setting agree. What
//! `regress` does for accepted runs decides here as well; a suspicion is confirmed by
//! further numbers of the same results, if there are enough of them.

use std::collections::{BTreeSet, HashMap};

use super::{Conclusion, Reading, Row, Rules, Status};
use crate::regress::{Confirmation, Policy, Step, Verdict, WINDOW, judge};

/// A row for each of `now`, and for each of `before` that is not there any more.
pub(super) fn compare(now: Vec<Reading>, before: Vec<Reading>, rules: &Rules<'_>) -> Vec<Row> {
    let mut by_name: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    let mut metrics: HashMap<&str, Vec<&str>> = HashMap::new();
    for (i, reading) in before.iter().enumerate().filter(|(_, r)| !r.metric.is_empty()) {
        let (model, metric) = reading.name();
        by_name.entry((model, metric)).or_default().push(i);
        metrics.entry(model).or_default().push(metric);
    }
    let mut used = BTreeSet::new();
    let mut rows: Vec<Row> = now
        .iter()
        .map(|reading| {
            let found = by_name.get(&reading.name()).map_or(&[][..], Vec::as_slice);
            match partner(reading, found, &before) {
                Partner::This(i) => {
                    used.insert(i);
                    beside(reading, &before[i], rules)
                }
                Partner::Other(why) => {
                    used.extend(found);
                    concluded(reading, Conclusion::NotCompared, why, rules)
                }
                Partner::None => {
                    let others = metrics.get(reading.name().0).map_or(&[][..], Vec::as_slice);
                    new(reading, others, rules)
                }
            }
        })
        .collect();
    let named = |bare: bool| -> BTreeSet<&str> {
        let readings = now.iter().filter(|r| r.metric.is_empty() == bare);
        readings.map(|r| r.name().0).collect()
    };
    // Of a model that failed or was skipped as a whole there is a row that says so.
    let (measured, told) = (named(false), named(true));
    for (i, reading) in before.iter().enumerate() {
        let model = reading.name().0;
        if !used.contains(&i) && !told.contains(model) && reading.status == Status::Success {
            rows.push(gone(reading, measured.contains(model), rules));
        }
    }
    rows
}

/// What a reading may be compared with.
enum Partner {
    This(usize),
    /// Only numbers with which it must not be compared, and why.
    Other(String),
    None,
}

fn partner(reading: &Reading, found: &[usize], before: &[Reading]) -> Partner {
    let setting = &reading.setting;
    if let Some(&same) = found.iter().find(|&&i| before[i].setting.key() == setting.key()) {
        return Partner::This(same);
    }
    let conflicts = |i: usize| setting.conflicts(&before[i].setting);
    let fitting: Vec<usize> = found.iter().copied().filter(|&i| conflicts(i).is_empty()).collect();
    match (fitting.as_slice(), found.first()) {
        ([one], _) => Partner::This(*one),
        ([], None) => Partner::None,
        ([], Some(&first)) => Partner::Other(format!(
            "measured under other conditions: {}",
            conflicts(first).join(", ")
        )),
        (several, _) => Partner::Other(format!(
            "{} earlier numbers could be meant, with other args or on other hosts",
            several.len()
        )),
    }
}

fn concluded(reading: &Reading, as_: Conclusion, why: String, rules: &Rules<'_>) -> Row {
    let mut row = Row::of(reading, rules);
    if row.status == Status::Success {
        (row.conclusion, row.explanation) = (Some(as_), why);
    }
    row
}

fn new(reading: &Reading, others: &[&str], rules: &Rules<'_>) -> Row {
    let why = match others {
        [] => "the model was not there before".to_owned(),
        others => format!(
            "the model had other metrics before ({}); different metrics and units are not compared",
            others.join(", ")
        ),
    };
    concluded(reading, Conclusion::New, why, rules)
}

/// A row about a number that is not there any more.
fn gone(reading: &Reading, model_is_there: bool, rules: &Rules<'_>) -> Row {
    let mut row = Row::of(reading, rules);
    (row.baseline, row.value) = (row.value, None);
    row.text.clear();
    row.values.clear();
    row.status = Status::Absent;
    (row.conclusion, row.explanation) = match model_is_there {
        true => {
            (Some(Conclusion::Gone), "the model does not report this metric any more".to_owned())
        }
        false => (Some(Conclusion::NotMeasured), "these results do not have the model".to_owned()),
    };
    row
}

/// A row about two numbers that may be compared.
fn beside(reading: &Reading, earlier: &Reading, rules: &Rules<'_>) -> Row {
    let mut row = Row::of(reading, rules);
    let (before, now) = (earlier.all(), new_numbers(reading, earlier));
    if before.is_empty() {
        let why = format!("there was no number before: {}", earlier.reason);
        return concluded(reading, Conclusion::New, why, rules);
    }
    let window = &before[before.len().saturating_sub(WINDOW)..];
    row.history = earlier.past();
    row.history.points.extend(earlier.values.iter().map(|&value| super::Point {
        value,
        run: None,
        at: None,
    }));
    if row.status != Status::Success {
        row.baseline = Some(crate::regress::median(window));
        return row;
    }
    let policy = Policy { reference: "earlier", ..rules.rule(reading).policy };
    let (conclusion, verdict) = decide(window, &now, &policy);
    if now.len() > 1 {
        (row.value, row.values) = (verdict.current, now);
        row.text.clear();
    }
    row.baseline = verdict.baseline_median;
    row.change = verdict.change;
    row.worse_by = verdict.worse_by;
    row.interval = verdict.interval;
    row.conclusion = Some(conclusion);
    row.explanation = verdict.explanation;
    row.settle = settle(conclusion, verdict.settle);
    row.notes.extend(reading.setting.differences(&earlier.setting));
    if reading.setting.machine_in_doubt(&earlier.setting) && conclusion.compared() {
        row.conclusion = match conclusion {
            Conclusion::Same => Some(Conclusion::Same),
            _ => Some(Conclusion::Ambiguous),
        };
        row.settle = Some(
            "measure both on one host, or compare runs, which know their class of machines"
                .to_owned(),
        );
    }
    row
}

/// The numbers of a reading that count: all of a Run; of a file those that the earlier one
/// does not have, if it is that one with rows added, else as many as are looked back on.
fn new_numbers(reading: &Reading, earlier: &Reading) -> Vec<f64> {
    let (mut all, before) = (reading.all(), earlier.all());
    if reading.alias.is_some() {
        return all;
    }
    let whole = reading.earlier_left_out == 0 && earlier.earlier_left_out == 0;
    match all.strip_prefix(before.as_slice()) {
        Some(added) if whole && !added.is_empty() => added.to_vec(),
        _ => all.split_off(all.len().saturating_sub(WINDOW)),
    }
}

/// What becomes of a change. Further numbers of the same results stand in for the fresh
/// Executions with which the gate confirms a suspicion; without them it stays one.
fn decide(before: &[f64], now: &[f64], policy: &Policy) -> (Conclusion, Verdict) {
    let fresh = policy.max_confirmations as usize;
    let first = now.len().saturating_sub(fresh).max(1).min(now.len());
    let mut step = Confirmation::start(before, &now[..first], policy);
    for value in &now[first..] {
        step = match step {
            Step::MeasureAgain { so_far, .. } => so_far.measured(*value),
            done => done,
        };
    }
    let verdict = match step {
        // Over all numbers that were needed; those that were not count as well.
        Step::Done(verdict) if verdict.current_n == now.len() => verdict,
        Step::Done(verdict) if !verdict.fresh.is_empty() => verdict,
        _ => judge(before, now, policy),
    };
    match verdict.needs_confirmation {
        true => (Conclusion::Suspected, verdict),
        false => (verdict.outcome.into(), verdict),
    }
}

/// What would settle it where nothing can be accepted.
fn settle(conclusion: Conclusion, by_the_gate: Option<String>) -> Option<String> {
    match conclusion {
        Conclusion::Suspected => Some(
            "these results have too few numbers to confirm it: measure with --samples 4 or more, \
             or accept a baseline and let `mad benchmark` look again"
                .to_owned(),
        ),
        Conclusion::Ambiguous => by_the_gate.map(|text| match text.starts_with("accept") {
            true => "compare with results of more runs: a single one tells little about the noise"
                .to_owned(),
            false => text,
        }),
        _ => by_the_gate,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::Setting;

    fn reading() -> impl Strategy<Value = Reading> {
        let numbers = prop::collection::vec(-10.0..200.0_f64, 0..6);
        ("[ab]", "(tok/s|ms)?", "[48]?", "[xy]?", numbers).prop_map(
            |(model, metric, n_gpus, args, mut values)| {
                let setting = Setting { n_gpus, args, ..Setting::default() };
                let mut reading = Reading::new(&model, &metric, setting);
                reading.values.extend(values.pop().filter(|_| !metric.is_empty()));
                if reading.values.is_empty() {
                    reading.status = Status::Failure;
                }
                reading.earlier = values;
                reading
            },
        )
    }

    /// A source has one reading per model, metric and setting.
    fn readings() -> impl Strategy<Value = Vec<Reading>> {
        prop::collection::vec(reading(), 1..6).prop_map(|mut all| {
            let mut seen = BTreeSet::new();
            all.retain(|r| {
                let key = [r.model.as_str(), &r.metric].into_iter().chain(r.setting.key());
                seen.insert(key.map(str::to_owned).collect::<Vec<_>>())
            });
            all
        })
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_compared_that_must_not_be(
            now in readings(),
            before in readings(),
        ) {
            let rows = compare(now.clone(), before.clone(), &Rules::default());
            let present = rows.iter().filter(|r| r.status != Status::Absent).count();
            prop_assert_eq!(present, now.len());
            for row in &rows {
                prop_assert!(row.conclusion.is_some() || row.status != Status::Success);
                if row.conclusion.is_some_and(Conclusion::compared) {
                    let like = |b: &&Reading| {
                        b.metric == row.metric && b.setting.conflicts(&row.setting).is_empty()
                    };
                    prop_assert!(before.iter().any(|b| like(&b) && b.model == row.model));
                }
                let change = row.change.filter(|c| !c.is_finite());
                prop_assert_eq!(change, None);
            }
            // Of what was there before, every model is still spoken of.
            for model in before.iter().filter(|b| b.status == Status::Success).map(|b| &b.model) {
                prop_assert!(rows.iter().any(|row| row.model == *model));
            }
        }

        #[test]
        fn results_are_the_same_as_themselves(all in readings()) {
            for row in compare(all.clone(), all, &Rules::default()) {
                let worse = matches!(
                    row.conclusion,
                    Some(Conclusion::Regressed | Conclusion::Gone | Conclusion::NotMeasured)
                );
                prop_assert!(!worse, "{row:?}");
            }
        }
    }
}
