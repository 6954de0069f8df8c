//! What searches found, as people read it.

use std::fmt::Write as _;

use super::text::machine;
use super::tunings::{TuningHistory, newest_baselines};
use crate::regress::{count, number};
use crate::results::Table;
use crate::tune::{interval, signed, words};

/// What was found, tried and learned.
pub fn tunings(history: &TuningHistory) -> String {
    let mut text = String::new();
    section(&mut text, "baselines", !history.baselines.is_empty(), || {
        let mut table = Table::new(["MODEL", "MACHINE", "STACK", "BASELINE", "SEARCHES", "LATEST"]);
        for (baseline, searches) in newest_baselines(&history.baselines) {
            table.row([
                baseline.search.group.model.clone(),
                machine(&baseline.search.group),
                baseline.search.stack.clone(),
                format!("{} {}", number(baseline.median), baseline.unit),
                searches.to_string(),
                baseline.search.started.clone(),
            ]);
        }
        table
    });
    section(&mut text, "best configurations", !history.best.is_empty(), || {
        let mut table = Table::new(["MODEL", "MACHINE", "METRIC", "CHANGE", "GAIN", "SEARCH"]);
        for best in &history.best {
            table.row([
                best.search.group.model.clone(),
                machine(&best.search.group),
                best.metric.clone(),
                words(&best.changes),
                gain(Some(best.gain), Some(best.interval)),
                best.search.run.clone(),
            ]);
        }
        table
    });
    section(&mut text, "tried", !history.tried.is_empty(), || {
        let mut table =
            Table::new(["MODEL", "MACHINE", "CHANGE", "AGAINST", "STATUS", "GAIN", "BECAUSE"]);
        for tried in &history.tried {
            table.row([
                tried.search.group.model.clone(),
                machine(&tried.search.group),
                tried.change.clone(),
                tried.bottleneck.clone(),
                tried.status.to_ascii_uppercase(),
                gain(tried.gain, tried.interval),
                tried.because.clone(),
            ]);
        }
        table
    });
    section(&mut text, "learned", !history.learned.is_empty(), || {
        let mut table = Table::new(["LEVER", "AGAINST", "STACK", "MACHINE", "TRIED", "GAIN"]);
        for pattern in &history.learned {
            let tried = count(pattern.tried as usize, "time");
            table.row([
                format!("{} = {}", pattern.lever, pattern.value),
                pattern.bottleneck.clone(),
                pattern.stack.clone(),
                pattern.machine_class.clone(),
                format!("{tried}, {} held", pattern.held),
                gain((pattern.gain != 0.0).then_some(pattern.gain), pattern.interval),
            ]);
        }
        table
    });
    let plain = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    text.chars().map(plain).collect()
}

fn section(text: &mut String, title: &str, is_there: bool, table: impl FnOnce() -> Table) {
    if is_there {
        let blank = if text.is_empty() { "" } else { "\n" };
        let _ = write!(text, "{blank}{title}\n{}", table());
    }
}

fn gain(gain: Option<f64>, range: Option<(f64, f64)>) -> String {
    match (gain, range) {
        (Some(gain), Some(range)) => format!("{} {}", signed(gain), interval(range)),
        (Some(gain), None) => signed(gain),
        (None, _) => "-".to_owned(),
    }
}
