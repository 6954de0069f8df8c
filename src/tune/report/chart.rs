//! The gains of all candidates with their intervals, as one SVG.

use std::fmt::Write as _;

use super::headline::signed;
use super::{TuningReport, TuningRow};
use crate::report::html_escape as escape;

/// Width of the chart, and of the names beside it.
const WIDTH: f64 = 960.0;
const NAMES: f64 = 300.0;
const MARGIN: f64 = 16.0;
/// Height of a candidate.
const ROW: f64 = 30.0;
/// Distance from the line of no gain at which a label of its own has room.
const LABEL: f64 = 80.0;
/// Characters of a name that fit beside its bar.
const NAME: usize = 40;

/// The chart; none where nothing was measured.
pub(super) fn chart(report: &TuningReport) -> Option<String> {
    let rows: Vec<(&TuningRow, f64, (f64, f64))> = report
        .rows
        .iter()
        .filter_map(|row| Some((row, row.gain?, row.interval?)))
        .filter(|(_, gain, (low, high))| [gain, low, high].iter().all(|x| x.is_finite()))
        .collect();
    if rows.is_empty() {
        return None;
    }
    let low = rows.iter().fold(0.0, |least: f64, (_, gain, (low, _))| least.min(*gain).min(*low));
    let high = rows.iter().fold(0.0, |most: f64, (_, gain, (_, high))| most.max(*gain).max(*high));
    // Where all is the same, the line of no gain is in the middle.
    let (low, high) = if high > low { (low, high) } else { (-0.01, 0.01) };
    let left = MARGIN + NAMES;
    let x = |gain: f64| left + (gain - low) / (high - low) * (WIDTH - left - MARGIN);
    let height = ROW * rows.len() as f64 + 2.0 * MARGIN + 20.0;
    let bottom = height - MARGIN - 14.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Gain of each candidate \
         over the baseline, with its interval\">\n\
         <line class=\"base\" x1=\"{zero:.1}\" x2=\"{zero:.1}\" y1=\"{MARGIN}\" y2=\"{bottom}\"/>\n",
        zero = x(0.0),
    );
    for (i, (row, gain, (from, to))) in rows.iter().enumerate() {
        let y = MARGIN + ROW * (i as f64 + 0.5);
        let class = match row.trustworthy {
            Some(true) if row.verified => "now good",
            _ => "now",
        };
        let told = format!("{}: {}", row.change, super::text::gain(row));
        let name: String = row.change.chars().take(NAME).collect();
        let _ = writeln!(
            svg,
            "<g><title>{}</title><text x=\"{MARGIN}\" y=\"{:.1}\">{}</text>\
             <rect class=\"band\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"12\"/>\
             <circle class=\"{class}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\"/></g>",
            clean(&told),
            y + 4.0,
            clean(&name),
            x(*from),
            y - 6.0,
            (x(*to) - x(*from)).max(1.0),
            x(*gain),
        );
    }
    // Three numbers say what the axis is; the outermost ones stay within the picture.
    let apart = |gain: f64| (x(gain) - x(0.0)).abs() > LABEL;
    let ends = [(low, "start"), (high, "end")].into_iter().filter(|(gain, _)| apart(*gain));
    for (gain, anchor) in ends.chain([(0.0, "middle")]) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            x(gain),
            height - MARGIN,
            signed(gain)
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn clean(text: &str) -> String {
    escape(&text.replace(char::is_control, " "))
}
