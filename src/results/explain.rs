//! `--explain`: every number behind a verdict.

use std::fmt::Write as _;

use crate::regress::{Evidence, Verdict};
use crate::run::VerdictRecord;

/// All numbers of all verdicts.
pub fn explain(records: &[VerdictRecord]) -> String {
    let mut text = String::new();
    for record in records {
        for (key, verdict) in &record.metrics {
            let _ = writeln!(text, "\n{} {key}: {}", record.id, verdict.outcome);
            for (name, value) in lines(verdict) {
                let _ = writeln!(text, "  {name:<22} {value}");
            }
            if let Some(fallback) = &record.fallback {
                let _ = writeln!(text, "  {:<22} {}", "fallback", fallback.words());
            }
            if let Some(remark) = record.remarks.get(key) {
                let _ = writeln!(text, "  {:<22} {remark}", "gate");
            }
        }
        for problem in &record.problems {
            let _ = writeln!(text, "\n{}: {problem}", record.id);
        }
    }
    text
}

fn lines(v: &Verdict) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let mut add = |name, value: Option<String>| {
        if let Some(value) = value {
            lines.push((name, value));
        }
    };
    add("accepted runs", Some(v.baseline_n.to_string()));
    add("accepted median", v.baseline_median.map(|x| x.to_string()));
    add("own spread", v.spread.map(percent));
    add("this run", v.current.map(|x| format!("{x} ({} executions)", v.current_n)));
    let fresh: Vec<String> = v.fresh.iter().map(f64::to_string).collect();
    add("fresh executions", (!fresh.is_empty()).then(|| fresh.join(", ")));
    add("change", v.change.map(|x| format!("{:+.2} %", 100.0 * x)));
    add("worse by", v.worse_by.map(|x| format!("{:+.2} %", 100.0 * x)));
    if let Some(e) = &v.evidence {
        add("tolerance", Some(percent(e.tolerance)));
        add("floor", e.floor.map(|x| x.to_string()));
        add("spread reckoned with", e.spread.map(|s| format!("{}{}", percent(s), freedom(e))));
        add("other metrics", Some(others(e)));
        add("limit of one look", e.limit.map(percent));
        add("interval", v.interval.map(|(low, high)| format!("{low} … {high}")));
        add("limit of the decision", e.decision_limit.map(percent));
        add("level of one check", Some(format!("1 in {:.0}", 1.0 / e.level)));
        let (least, most) = (e.confirmations, e.most_confirmations);
        add("confirmations", Some(format!("{least} at least, {most} at most")));
    }
    add("in a sentence", Some(v.explanation.clone()));
    add("what would settle it", v.settle.clone());
    lines
}

fn freedom(e: &Evidence) -> String {
    e.freedom.map_or(String::new(), |f| format!(" ({f:.0} degrees of freedom)"))
}

fn others(e: &Evidence) -> String {
    let pool = &e.pool;
    let slow = format!("{} of {} runs slow", pool.slow, pool.runs);
    let correlation = format!("correlation at most {:.2}", pool.correlation);
    match pool.spread {
        Some(spread) => format!(
            "{} with a spread of {} that weighs {:.0} runs, {slow}, {correlation}",
            pool.series,
            percent(spread),
            pool.weight
        ),
        None => format!("too few to tell ({}), {slow}, {correlation} assumed", pool.series),
    }
}

fn percent(x: f64) -> String {
    format!("{:.2} %", 100.0 * x)
}
