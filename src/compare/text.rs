//! A comparison for people: on a terminal, and in a pull request.

use std::fmt::Write as _;

use super::{Comparison, EntryComparison, MetricComparison, Outcome, Stop};
use crate::regress::{Direction, count, number};
use crate::report::{markdown_code as code, markdown_escape as escape};
use crate::results::Table;

/// Bytes of the Markdown at most: GitHub takes comments of 65 536 characters.
const MARKDOWN_MAX: usize = 60_000;

/// The comparison as text: what was compared, a table, what is to be known, the answer.
pub fn text(c: &Comparison) -> String {
    let mut text = format!("base       {}\ncandidate  {}\n\n", c.base.what, c.candidate.what);
    let mut table = Table::new([
        "ENTRY",
        "METRIC",
        "BETTER",
        "BASE",
        "CANDIDATE",
        "CHANGE",
        "INTERVAL",
        "PAIRS",
        "VERDICT",
    ]);
    let mut rows = 0;
    for (entry, metric) in rows_of(c) {
        rows += 1;
        table.row([
            entry.id.clone(),
            metric.key.clone(),
            better(metric).to_owned(),
            number(metric.base),
            number(metric.candidate),
            metric.change.map(signed).unwrap_or_default(),
            interval(metric),
            metric.pairs.to_string(),
            verdict(metric),
        ]);
    }
    if rows > 0 {
        let _ = writeln!(text, "{table}");
    }
    for line in remarks(c) {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "{}\n{}", headline(c), how(c));
    text
}

/// The comparison as GitHub-flavoured Markdown, for a pull request or a job summary. Its
/// first line is a comment by which a program finds what it posted before.
pub fn markdown(c: &Comparison) -> String {
    let mut text = format!("<!-- mad-compare -->\n**{}**\n\n", escape(&headline(c)));
    let (base, candidate) = (escape(&c.base.what), escape(&c.candidate.what));
    let _ = writeln!(text, "Candidate: {candidate}<br>\nBase: {base}\n");
    let rows: Vec<_> = rows_of(c).collect();
    if !rows.is_empty() {
        text.push_str(
            "| entry | metric | better | base | candidate | change | interval | verdict |\n\
             |---|---|---|--:|--:|--:|--:|---|\n",
        );
    }
    let mut left_out = 0;
    for (entry, m) in rows {
        let word = match m.outcome {
            Outcome::Slower if m.gated => format!("**{}**", verdict(m)),
            _ => verdict(m),
        };
        let row = format!(
            "| {} | {} | {} | {} | {} | {} | {} | {word} |\n",
            code(&entry.id),
            code(&m.key),
            better(m),
            number(m.base),
            number(m.candidate),
            m.change.map(signed).unwrap_or_default(),
            interval(m),
        );
        match text.len() + row.len() > MARKDOWN_MAX / 2 {
            true => left_out += 1,
            false => text.push_str(&row),
        }
    }
    text.push('\n');
    for line in remarks(c) {
        let line = format!("- {}\n", escape(&line));
        match text.len() + line.len() > MARKDOWN_MAX {
            true => left_out += 1,
            false => text.push_str(&line),
        }
    }
    if left_out > 0 {
        let _ = writeln!(text, "\n{} more lines do not fit here; `--json` has all.", left_out);
    }
    let _ = writeln!(text, "\n<sub>{}</sub>", escape(&how(c)));
    text
}

/// The metrics of all entries, those that need attention first.
fn rows_of(c: &Comparison) -> impl Iterator<Item = (&EntryComparison, &MetricComparison)> {
    let rank = |m: &MetricComparison| match m.outcome {
        Outcome::Slower if m.gated => 0,
        Outcome::Changed | Outcome::Undecided if m.gated => 1,
        Outcome::Faster => 2,
        _ => 3,
    };
    let mut rows: Vec<_> =
        c.entries.iter().flat_map(|e| e.metrics.iter().map(move |m| (e, m))).collect();
    rows.sort_by_key(|(_, m)| rank(m));
    rows.into_iter()
}

/// The answer, in one line.
fn headline(c: &Comparison) -> String {
    let failed = c.entries.iter().filter(|e| e.failure.is_some()).count();
    let skipped = c.entries.iter().filter(|e| e.skipped.is_some()).count();
    let told = [
        (c.count(Outcome::Slower), "slower"),
        (failed, "failed"),
        (c.count(Outcome::Undecided), "UNDECIDED"),
        (c.count(Outcome::Changed), "changed"),
        (c.count(Outcome::Faster), "faster"),
        (c.count(Outcome::Same), "the same"),
        (skipped, "not compared"),
    ];
    let told: Vec<String> =
        told.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
    let stopped = match c.stopped {
        Some(Stop::Budget) => ": the time is spent",
        Some(Stop::Interrupted) => ": interrupted",
        None => "",
    };
    let entries = match c.entries.len() {
        1 => "1 entry".to_owned(),
        n => format!("{n} entries"),
    };
    format!("Of {entries}, {}{stopped}", told.join(", "))
}

/// How it was found out.
fn how(c: &Comparison) -> String {
    let executions: usize = c.entries.iter().map(|e| e.executions).sum();
    format!(
        "{} in {:.0} s, in turn (seed {}); the intervals of {} hold together in {} % of comparisons, \
         however often they are looked at",
        count(executions, "execution"),
        c.duration_s,
        c.seed,
        count(c.checks, "metric"),
        number(100.0 * (1.0 - c.false_alarms)),
    )
}

/// What is to be known beside the table.
fn remarks(c: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in &c.entries {
        if let Some(base) = &entry.base_id {
            lines.push(format!("{}: the base is {base}", entry.id));
        }
        let failure = entry.failure.iter().map(|f| format!("{}: FAILED: {}", entry.id, f.message));
        lines.extend(failure);
        lines.extend(entry.skipped.iter().map(|s| format!("{}: not compared: {s}", entry.id)));
        for metric in &entry.metrics {
            let settle = metric.settle.iter();
            lines.extend(
                settle.map(|s| format!("{}: {}: {}: {s}", entry.id, metric.key, metric.outcome)),
            );
        }
        lines.extend(entry.notes.iter().map(|note| format!("{}: note: {note}", entry.id)));
    }
    lines.extend(c.notes.iter().map(|note| format!("note: {note}")));
    lines
}

fn verdict(metric: &MetricComparison) -> String {
    match metric.gated {
        true => metric.outcome.to_string(),
        false => format!("{} (not gated)", metric.outcome),
    }
}

fn better(metric: &MetricComparison) -> &'static str {
    match metric.direction {
        Direction::Higher => "higher",
        Direction::Lower => "lower",
        Direction::Unknown => "?",
    }
}

fn interval(metric: &MetricComparison) -> String {
    metric
        .interval
        .map_or("unknown".to_owned(), |(low, high)| format!("{} … {}", signed(low), signed(high)))
}

/// A relative change with its sign.
fn signed(change: f64) -> String {
    let percent = 100.0 * change;
    match percent.abs() {
        size if size >= 1e4 => format!("{percent:+.1e} %"),
        // No `-0.00`.
        size if size < 0.005 => "0.00 %".to_owned(),
        _ => format!("{percent:+.2} %"),
    }
}
