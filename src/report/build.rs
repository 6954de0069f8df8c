//! From readings to the [`Report`].

use super::compare::compare;
use super::headline::{headline, summary};
use super::rules::why;
use super::{
    Conclusion, Knowledge, Reading, Report, Row, Rules, SCHEMA, Setting, Source, Status, plain,
};
use crate::regress::{Direction, Verdict, median};

impl Report {
    /// What `source` says, held against `other` if there is one.
    pub fn new(source: Source, other: Option<Source>, rules: &Rules<'_>) -> Report {
        let Source { origin, readings, mut problems, mut notes, run, cases } = source;
        let mut compared_to = None;
        let mut rows: Vec<Row> = match other {
            None => readings.into_iter().map(|r| Row::alone(r, rules)).collect(),
            Some(other) => {
                problems.extend(other.problems);
                notes.extend(other.notes);
                compared_to = Some(other.origin);
                compare(readings, other.readings, rules)
            }
        };
        // Stable: within a rank and without a size they stay in the order of their source.
        rows.sort_by(|a, b| {
            let worse = |row: &Row| row.worse_by.unwrap_or(0.0);
            a.rank().cmp(&b.rank()).then(worse(b).total_cmp(&worse(a)))
        });
        let summary = summary(&rows);
        Report {
            schema: SCHEMA.to_owned(),
            headline: headline(&rows, &summary, compared_to.is_some(), problems.len()),
            summary,
            results: origin,
            compared_to,
            rows,
            problems,
            notes,
            run,
            cases,
        }
    }

    /// The report with the places where levels changed, for plots.
    #[must_use]
    pub fn with_change_points(mut self) -> Report {
        self.rows.iter_mut().for_each(|row| row.history.find_changes(row.value));
        self
    }

    /// Whether some model or metric of the results failed, or is missing.
    pub fn has_failures(&self) -> bool {
        use Conclusion::{Gone, Invalid, Suspected};
        let bad = |c: &Conclusion| self.summary.conclusions.contains_key(c);
        let nothing_compared = self.compared_to.is_some() && self.summary.compared == 0;
        !self.problems.is_empty()
            || self.summary.failed > 0
            || nothing_compared
            || self.compared_to.is_some() && [Gone, Invalid, Suspected].iter().any(bad)
    }

    /// Whether a comparison found a confirmed regression.
    pub fn has_regressions(&self) -> bool {
        self.compared_to.is_some() && self.summary.conclusions.contains_key(&Conclusion::Regressed)
    }
}

impl Row {
    /// A row about a reading, without any comparison.
    pub(super) fn of(reading: &Reading, rules: &Rules<'_>) -> Row {
        let rule = rules.rule(reading);
        let value = (!reading.values.is_empty()).then(|| median(&reading.values));
        Row {
            model: reading.model.clone(),
            metric: reading.metric.clone(),
            setting: reading.setting.clone(),
            status: reading.status,
            value,
            text: reading.text.clone(),
            values: if reading.values.len() > 1 { reading.values.clone() } else { Vec::new() },
            baseline: None,
            change: None,
            worse_by: None,
            interval: None,
            conclusion: None,
            explanation: reading.reason.clone(),
            settle: None,
            better: rule.policy.direction,
            better_from: rule.from,
            notes: reading.notes.clone(),
            logs: reading.logs.clone(),
            history: reading.past(),
        }
    }

    /// A row with what its source says about the change against the accepted numbers.
    fn alone(reading: Reading, rules: &Rules<'_>) -> Row {
        let mut row = Row::of(&reading, rules);
        if row.status != Status::Success {
            return row;
        }
        row.baseline = reading.baseline;
        row.change = match (row.value, row.baseline) {
            (Some(value), Some(baseline)) => change(value, baseline),
            _ => reading.change,
        };
        row.conclusion = reading.conclusion;
        if let Some(verdict) = &reading.verdict {
            row.judged(verdict.clone(), reading.unit());
        }
        row.worse_by = row.change.and_then(|c| worse_by(c, row.better));
        row
    }

    /// Takes over what the gate said, which knew the direction.
    fn judged(&mut self, verdict: Verdict, unit: &str) {
        self.conclusion = Some(verdict.outcome.into());
        self.interval = verdict.interval;
        self.explanation = verdict.explanation;
        self.settle = verdict.settle;
        let now = self.better;
        let then = match (verdict.change, verdict.worse_by) {
            (Some(change), Some(worse)) if change != 0.0 => {
                if change == worse {
                    Direction::Lower
                } else {
                    Direction::Higher
                }
            }
            _ => now,
        };
        if then != now {
            let now = why(self.better_from, now, unit);
            let was = why(Knowledge::Nothing, then, unit);
            self.notes.push(format!("it was judged as {was}; today: {now}"));
            self.better = then;
        }
    }
}

/// The relative change, if there is one.
pub(super) fn change(value: f64, baseline: f64) -> Option<f64> {
    (baseline != 0.0).then(|| (value - baseline) / baseline.abs()).filter(|c| c.is_finite())
}

/// A change with positive meaning worse.
fn worse_by(change: f64, better: Direction) -> Option<f64> {
    match better {
        // No change is not worse by minus zero.
        Direction::Higher => Some(0.0 - change),
        Direction::Lower => Some(change),
        Direction::Unknown => None,
    }
}

/// What the rows of a report are called: the model, with its setting where several rows
/// have one name.
pub(super) fn labels(rows: &[Row]) -> Vec<String> {
    let mut seen = std::collections::HashMap::new();
    for row in rows {
        *seen.entry((row.model.as_str(), row.metric.as_str())).or_insert(0) += 1;
    }
    let several = |row: &Row| seen[&(row.model.as_str(), row.metric.as_str())] > 1;
    let label = |row: &Row| match several(row) && row.setting != Setting::default() {
        true => format!("{} ({})", row.model, row.setting.words()),
        false => row.model.clone(),
    };
    rows.iter().map(label).collect()
}

/// `50 against 100`, as far as both are known.
pub(super) fn numbers(row: &Row) -> String {
    match (row.baseline, row.value) {
        (Some(baseline), Some(_)) => format!(" ({} → {})", plain(baseline), row.shown()),
        _ => String::new(),
    }
}
