//! A report as people read it.

use std::fmt::Write as _;

use super::report::{Entry, Group, HistoryReport, Series, Shift};
use super::trend::{LEAST_TREND, TREND_CONFIDENCE, Trend};
use crate::regress::{count, number, percent};
use crate::results::Table;

/// The steps of a sparkline, lowest first.
const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A run that failed, and one that has no such number.
const FAILED: char = '×';
const MISSING: char = '·';

/// All models: a line per series.
pub fn overview(report: &HistoryReport) -> String {
    let mut table =
        Table::new(["MODEL", "METRIC", "MACHINE", "RUNS", "LATEST", "LEVEL", "LAST CHANGE"]);
    for series in &report.series {
        let latest = match series.last.last() {
            Some(Entry { value: Some(value), .. }) => number(*value),
            Some(Entry { failure: Some(_), .. }) => "failed".to_owned(),
            _ => "-".to_owned(),
        };
        table.row([
            series.group.model.clone(),
            series.metric.clone(),
            machine(&series.group),
            runs(series.runs, series.failures),
            latest,
            number(series.level.value),
            series.change_points.last().map_or_else(|| "-".to_owned(), last_change),
        ]);
    }
    for model in &report.without_numbers {
        let blank = || "-".to_owned();
        let (name, machine) = (model.group.model.clone(), machine(&model.group));
        let runs = runs(0, model.failures);
        table.row([name, blank(), machine, runs, blank(), blank(), blank()]);
    }
    table.to_string()
}

/// One model: everything that is known.
pub fn detail(report: &HistoryReport) -> String {
    let mut text = String::new();
    let mut group = None;
    for series in &report.series {
        if group != Some(&series.group) {
            group = Some(&series.group);
            let blank = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{blank}{} on {}", series.group.model, machine(&series.group));
        }
        let _ = write!(text, "{}", one(series));
    }
    for model in &report.without_numbers {
        let blank = if text.is_empty() { "" } else { "\n" };
        let why = model.failure.replace('\n', "\n      ");
        let _ = writeln!(text, "{blank}{} on {}", model.group.model, machine(&model.group));
        let _ = writeln!(text, "  no number: {} failed", count(model.failures, "run"));
        let _ = writeln!(text, "    the last, {} at {}:\n      {why}", model.run, model.started);
    }
    text
}

fn one(series: &Series) -> String {
    let mut lines = vec![("level", level(series)), ("trend", trend(series.trend.as_ref()))];
    let none = || "none".to_owned();
    let mut changes: Vec<String> =
        series.change_points.iter().map(|shift| change(shift, &series.unit)).collect();
    if changes.is_empty() {
        changes.push(none());
    }
    lines.push(("changes", changes.join("\n")));
    let mut accepted: Vec<String> = series
        .accepted
        .iter()
        .map(|a| {
            let why = if a.why.is_empty() { String::new() } else { format!(": {}", a.why) };
            let value = number(a.value);
            format!(
                "level {}, {}: {value} {} by {}, run {}{why}",
                a.level, a.at, series.unit, a.by, a.run
            )
        })
        .collect();
    if accepted.is_empty() {
        accepted.push(none());
    }
    lines.push(("accepted", accepted.join("\n")));
    let last = format!("last {}", series.last.len());
    lines.push((&last, sparkline(&series.last)));
    if !series.clock_doubts.is_empty() {
        let runs = series.clock_doubts.join(", ");
        lines.push((
            "clock",
            format!("went back during {runs}: their place in the order is a guess"),
        ));
    }
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let mut text = format!("  {}\n", series.metric);
    for (name, said) in lines {
        for (i, line) in said.lines().enumerate() {
            let name = if i == 0 { name } else { "" };
            let _ = writeln!(text, "    {name:width$}{line}");
        }
    }
    text
}

fn level(series: &Series) -> String {
    let since = match series.change_points.last() {
        Some(shift) => format!("since {}", shift.started),
        None => "no change so far".to_owned(),
    };
    let (value, runs) = (number(series.level.value), count(series.level.runs, "run"));
    format!("{value} {}, {runs}, {since}", series.unit)
}

fn trend(trend: Option<&Trend>) -> String {
    let Some(trend) = trend else {
        return format!("not known: it takes {LEAST_TREND} runs at one level");
    };
    if !trend.significant {
        return format!("none ({}, p = {:.2})", count(trend.runs, "run"), trend.p_value);
    }
    let confidence = TREND_CONFIDENCE * 100.0;
    let runs = count(trend.runs, "run");
    match trend.relative {
        Some(slope) => {
            let share = |x: f64| format!("{:+.3}", x * 100.0);
            let (low, high) = (share(slope.low), share(slope.high));
            format!("{} %/run ({confidence} %: {low} to {high}; {runs})", share(slope.estimate))
        }
        None => {
            let slope = trend.per_run;
            let (low, high) = (number(slope.low), number(slope.high));
            format!("{} per run ({confidence} %: {low} to {high}; {runs})", number(slope.estimate))
        }
    }
}

fn change(shift: &Shift, unit: &str) -> String {
    let (before, after) = (number(shift.before), number(shift.after));
    let relative = shift.change.map(|c| format!(", {}", signed(c))).unwrap_or_default();
    let commits = match (&shift.previous_commit, &shift.commit) {
        (Some(before), Some(after)) if before != after => {
            format!(", commit {} → {}", short(before), short(after))
        }
        _ => String::new(),
    };
    format!("{}, run {}: {before} → {after} {unit}{relative}{commits}", shift.started, shift.run)
}

/// The first digits of a commit, and that it was dirty.
fn short(commit: &str) -> String {
    let (hash, dirty) = match commit.strip_suffix("-dirty") {
        Some(hash) => (hash, "-dirty"),
        None => (commit, ""),
    };
    hash.chars().take(10).chain(dirty.chars()).collect()
}

fn last_change(shift: &Shift) -> String {
    let change = shift
        .change
        .map_or_else(|| format!("{} → {}", number(shift.before), number(shift.after)), signed);
    format!("{change}, {} ago", count(shift.runs_since, "run"))
}

fn signed(change: f64) -> String {
    let sign = if change > 0.0 { "+" } else { "" };
    format!("{sign}{}", percent(change))
}

fn runs(runs: usize, failures: usize) -> String {
    if failures == 0 { runs.to_string() } else { format!("{runs}, {failures} failed") }
}

pub(super) fn machine(group: &Group) -> String {
    let mut words = vec![group.machine_class.clone()];
    if group.n_gpus > 0 {
        words.push(count(group.n_gpus as usize, "GPU"));
    }
    words.extend((!group.precision.is_empty()).then(|| group.precision.clone()));
    words.join(", ")
}

/// A character per measurement between the lowest and the highest value, which it names; those
/// that failed or lack the number have a character of their own, and none is left out.
fn sparkline(last: &[Entry]) -> String {
    let values: Vec<f64> = last.iter().filter_map(|e| e.value).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mark = |entry: &Entry| match entry.value {
        Some(value) => step(value, low, high),
        None if entry.failure.is_some() => FAILED,
        None => MISSING,
    };
    let mut text: String = last.iter().map(mark).collect();
    let mut key = Vec::new();
    if low < high {
        key.push(format!("{} … {}", number(low), number(high)));
    } else if !values.is_empty() {
        key.push(number(low));
    }
    let failed = last.iter().filter(|e| e.failure.is_some()).count();
    let missing = last.len() - values.len() - failed;
    let named = [(FAILED, failed, "failed"), (MISSING, missing, "without this number")];
    key.extend(
        named.iter().filter(|n| n.1 > 0).map(|(mark, n, what)| format!("{mark} {n} {what}")),
    );
    let _ = write!(text, "  {}", key.join("; "));
    text
}

fn step(value: f64, low: f64, high: f64) -> char {
    // Halved, so that huge values do not overflow. All the same is the middle, not the bottom.
    let share = (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0);
    let at = if share.is_finite() { share * STEPS.len() as f64 } else { 3.0 };
    STEPS[(at as usize).min(STEPS.len() - 1)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: Option<f64>) -> Entry {
        Entry {
            run: String::new(),
            host: String::new(),
            attempt: 1,
            started: String::new(),
            value,
            executions: 1,
            verdict: None,
            failure: None,
            engine: String::new(),
            commit: None,
            image: None,
        }
    }

    #[test]
    fn a_sparkline_shows_what_is_missing() {
        let values = [Some(1.0), Some(2.0), None, Some(8.0), None, Some(4.5)];
        let mut last: Vec<Entry> = values.iter().map(|v| entry(*v)).collect();
        last[2].failure = Some("exit status 1".to_owned());
        assert_eq!(sparkline(&last), "▁▂×█·▅  1 … 8; × 1 failed; · 1 without this number");
        assert_eq!(sparkline(&last[2..3]), "×  × 1 failed");
        let huge = [f64::MIN, 0.0, f64::MAX].map(|v| entry(Some(v)));
        assert!(sparkline(&huge).starts_with("▁▅█"));
        assert!(sparkline(&[entry(Some(7.0))]).starts_with("▄  7"));
    }
}
