//! The synthesis for a pull request or a job summary.

use std::fmt::Write as _;

use super::Synthesis;
use super::text::headline;
use crate::regress::Direction;
use crate::report::{markdown_code, markdown_escape, plain};

/// The synthesis as Markdown.
pub fn markdown(s: &Synthesis) -> String {
    let mut out = format!("### {}\n\n", markdown_escape(&headline(s)));
    out.push_str("| Cell | Command | Status | Performance | Metric |\n|---|---|---|---:|---|\n");
    for cell in &s.cells {
        let lines = |of: &dyn Fn(&super::Number) -> String| match cell.numbers.is_empty() {
            true => "-".to_owned(),
            false => cell.numbers.iter().map(of).collect::<Vec<_>>().join("<br>"),
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} |",
            markdown_code(&cell.id),
            markdown_code(&cell.command),
            cell.status.word(),
            lines(&|n| plain(n.value)),
            lines(&|n| markdown_escape(&n.key)),
        );
    }
    if !s.extremes.is_empty() {
        out.push_str("\n| Metric | Fastest | | Slowest | |\n|---|---|---:|---|---:|\n");
        for e in &s.extremes {
            let unknown = if e.better == Direction::Unknown { " (higher first)" } else { "" };
            let _ = writeln!(
                out,
                "| {}{unknown} | {} | {} | {} | {} |",
                markdown_escape(&e.metric),
                markdown_code(&e.best.0),
                plain(e.best.1),
                markdown_code(&e.worst.0),
                plain(e.worst.1),
            );
        }
    }
    if !s.scaling.is_empty() {
        out.push_str("\n| Scaling | Metric | GPUs | Value | Speed-up | Of ideal |\n");
        out.push_str("|---|---|---:|---:|---:|---:|\n");
        for series in &s.scaling {
            for p in &series.points {
                let _ = writeln!(
                    out,
                    "| {} | {} | {} | {} | {:.2} | {:.0} % |",
                    markdown_code(&series.series),
                    markdown_escape(&series.metric),
                    p.n_gpus,
                    plain(p.value),
                    p.speedup,
                    100.0 * p.efficiency,
                );
            }
        }
    }
    if !s.look_at.is_empty() {
        out.push_str("\n**Look at**\n\n");
        for line in &s.look_at {
            let _ = writeln!(out, "- {}", markdown_escape(line));
        }
    }
    out
}
