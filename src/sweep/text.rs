//! The synthesis for a terminal.

use std::fmt::Write as _;

use super::{CellResult, Synthesis};
use crate::regress::Direction;
use crate::report::plain;
use crate::results::Table;

/// The synthesis as text.
pub fn text(s: &Synthesis) -> String {
    let mut table = Table::new(["CELL", "STATUS", "PERFORMANCE", "METRIC", "COMMAND"]);
    for cell in &s.cells {
        let (numbers, metrics) = columns(cell);
        table.row([
            cell.id.clone(),
            cell.status.word().to_owned(),
            numbers,
            metrics,
            cell.command.clone(),
        ]);
    }
    let mut out = format!("{}\n\n{table}", headline(s));
    if !s.extremes.is_empty() {
        let mut table = Table::new(["METRIC", "FASTEST", "", "SLOWEST", ""]);
        for e in &s.extremes {
            let (best, worst) = (e.best.0.clone(), e.worst.0.clone());
            let unknown = if e.better == Direction::Unknown { " (higher first)" } else { "" };
            let metric = format!("{}{unknown}", e.metric);
            table.row([metric, best, plain(e.best.1), worst, plain(e.worst.1)]);
        }
        let _ = write!(out, "\n{table}");
    }
    if !s.scaling.is_empty() {
        let mut table = Table::new(["SCALING", "METRIC", "GPUS", "VALUE", "SPEED-UP", "OF IDEAL"]);
        for series in &s.scaling {
            for p in &series.points {
                table.row([
                    series.series.clone(),
                    series.metric.clone(),
                    p.n_gpus.to_string(),
                    plain(p.value),
                    format!("{:.2}", p.speedup),
                    format!("{:.0} %", 100.0 * p.efficiency),
                ]);
            }
        }
        let _ = write!(out, "\n{table}");
    }
    if !s.look_at.is_empty() {
        out.push_str("\nlook at:\n");
        for line in &s.look_at {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}

/// The headline, and what kind of machine it is about.
pub(super) fn headline(s: &Synthesis) -> String {
    let pretended = if s.simulated { " (simulated machine: no real numbers)" } else { "" };
    format!("{}{pretended}", s.headline)
}

/// The numbers of a Cell and their metrics, line by line.
fn columns(cell: &CellResult) -> (String, String) {
    let numbers: Vec<String> = cell.numbers.iter().map(|n| plain(n.value)).collect();
    let metrics: Vec<&str> = cell.numbers.iter().map(|n| n.key.as_str()).collect();
    match numbers.is_empty() {
        true => ("-".to_owned(), "-".to_owned()),
        false => (numbers.join("\n"), metrics.join("\n")),
    }
}
