//! What matters most, in one line.

use std::collections::BTreeMap;

use super::build::{labels, numbers};
use super::{Conclusion, Row, Status, Summary};

/// Counts the rows.
pub(super) fn summary(rows: &[Row]) -> Summary {
    let mut models: BTreeMap<(&str, [&str; 5]), Status> = BTreeMap::new();
    let mut summary = Summary::default();
    for row in rows {
        if let Some(conclusion) = row.conclusion {
            *summary.conclusions.entry(conclusion).or_default() += 1;
            summary.compared += usize::from(conclusion.compared());
        }
        if row.status == Status::Absent {
            continue;
        }
        let worst = models.entry((&row.model, row.setting.key())).or_insert(row.status);
        // A model fails with any of its rows.
        if row.status == Status::Failure {
            *worst = Status::Failure;
        }
    }
    let count = |status| models.values().filter(|s| **s == status).count();
    summary.passed = count(Status::Success);
    summary.failed = count(Status::Failure);
    summary.skipped = count(Status::Skipped);
    let ran = summary.passed + summary.failed;
    summary.pass_rate = (ran > 0).then(|| summary.passed as f64 / ran as f64);
    summary.biggest_regression = worst(rows);
    summary.biggest_improvement = best(rows);
    summary
}

/// The row that became worse by most: among those of the worst conclusion, if there is
/// one; where nobody judged, by the change alone.
fn worst(rows: &[Row]) -> Option<usize> {
    use Conclusion::{Ambiguous, Regressed, Suspected};
    let judged = [Some(Regressed), Some(Suspected), Some(Ambiguous), None];
    judged.into_iter().find_map(|conclusion| {
        let of = rows.iter().enumerate().filter(|(_, row)| row.conclusion == conclusion);
        let worse = of.filter_map(|(i, row)| Some((i, row.worse_by.filter(|w| *w > 0.0)?)));
        worse.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0))).map(|(i, _)| i)
    })
}

fn best(rows: &[Row]) -> Option<usize> {
    let improved = rows.iter().enumerate();
    let improved = improved.filter(|(_, row)| row.conclusion == Some(Conclusion::Improved));
    let by = |row: &Row| row.change.map_or(0.0, f64::abs);
    improved.max_by(|a, b| by(a.1).total_cmp(&by(b.1)).then(b.0.cmp(&a.0))).map(|(i, _)| i)
}

pub(super) fn headline(rows: &[Row], summary: &Summary, compared: bool, problems: usize) -> String {
    let labels = labels(rows);
    let extreme = |at: usize| {
        let row = &rows[at];
        let doubt = matches!(row.conclusion, Some(Conclusion::Suspected | Conclusion::Ambiguous));
        let word = row.conclusion.filter(|_| doubt);
        let word = word.map(|c| format!(", {}", c.word())).unwrap_or_default();
        let (change, numbers) = (row.shown_change(), numbers(row));
        format!("{} {} {change}{numbers}{word}", labels[at], row.metric)
    };
    let mut parts = Vec::new();
    match summary.biggest_regression {
        Some(at) if rows[at].conclusion.is_none() => {
            parts.push(format!("biggest loss against a baseline: {}", extreme(at)));
        }
        Some(at) if rows[at].conclusion == Some(Conclusion::Ambiguous) => {
            parts.push(format!("no regression that stands out; biggest loss: {}", extreme(at)));
        }
        Some(at) => parts.push(format!("biggest regression: {}", extreme(at))),
        None if summary.compared > 0 => parts.push("no regression".to_owned()),
        None if compared => parts.push("nothing could be compared".to_owned()),
        None => {}
    }
    if let Some(at) = summary.biggest_improvement {
        parts.push(format!("biggest improvement: {}", extreme(at)));
    }
    if compared || summary.compared > 1 {
        let counts = summary.conclusions.iter().map(|(c, n)| format!("{n} {}", c.word()));
        let counts: Vec<String> = counts.collect();
        parts.extend((!counts.is_empty()).then(|| counts.join(", ")));
    }
    parts.push(pass_rate(summary));
    if problems > 0 {
        let s = if problems == 1 { "" } else { "s" };
        parts.push(format!("{problems} problem{s}: not everything is here"));
    }
    parts.join(" · ")
}

/// `2 of 3 passed (66.7%), 1 skipped`.
pub(super) fn pass_rate(summary: &Summary) -> String {
    let ran = summary.passed + summary.failed;
    let skipped = match summary.skipped {
        0 => String::new(),
        n => format!("{n} skipped"),
    };
    match summary.pass_rate {
        None if skipped.is_empty() => "nothing was measured".to_owned(),
        None => format!("nothing was measured, {skipped}"),
        Some(rate) => {
            // 99.96 % of thousands is not everything.
            let rate = if summary.failed > 0 { (rate * 1000.0).floor() / 10.0 } else { 100.0 };
            let skipped = if skipped.is_empty() { skipped } else { format!(", {skipped}") };
            format!("{} of {ran} passed ({rate}%){skipped}", summary.passed)
        }
    }
}
