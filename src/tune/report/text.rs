//! A search for a terminal. Control characters are spelled out.

use std::fmt::Write as _;

use super::headline::{interval, signed};
use super::{TuningReport, TuningRow, status, trust};
use crate::profile::{Diagnosis, Hotspot};
use crate::regress::{Direction, count, number, percent};
use crate::results::Table;
use crate::tune::{Change, Tuning};

/// Kernels of the diagnosis that are named.
const HOTSPOTS: usize = 5;

/// The report as text.
pub fn text(report: &TuningReport) -> String {
    let tuning = &report.tuning;
    let mut text = format!("{}\n{}\n", report.headline, setting(tuning));
    if let Some(baseline) = baseline(tuning) {
        let _ = writeln!(text, "{baseline}");
    }
    let diagnosis = diagnosis(tuning);
    if !diagnosis.is_empty() {
        let _ = writeln!(text, "\ndiagnosis");
        diagnosis.iter().for_each(|line| _ = writeln!(text, "  {line}"));
    }
    if !report.rows.is_empty() {
        let mut table = Table::new([
            "CANDIDATE",
            "CHANGE",
            "EVIDENCE",
            "STATUS",
            "PERFORMANCE",
            "VS BASELINE",
            "TRUSTWORTHY",
        ]);
        for row in &report.rows {
            table.row([
                row.candidate.clone(),
                row.change.clone(),
                row.evidence.clone(),
                status(row.status).to_owned(),
                performance(row),
                gain(row),
                trust(row),
            ]);
        }
        let _ = write!(text, "\n{table}");
    }
    if let Some(recommended) = &report.recommended {
        let _ = writeln!(text, "\nrecommended");
        if let Some(context) = &recommended.context {
            let _ = writeln!(text, "  context  {context}");
        }
        if !recommended.args.is_empty() {
            let _ = writeln!(text, "  args     {}", shell_words::join(&recommended.args));
        }
        let config = recommended.config.iter().map(Change::words);
        config.for_each(|words| _ = writeln!(text, "  config   {words}"));
    }
    if !report.next.is_empty() {
        let _ = writeln!(text, "\nnext");
        for step in &report.next {
            let _ = writeln!(text, "  {}:\n    {}", step.what, step.command);
        }
    }
    if !tuning.notes.is_empty() {
        let _ = writeln!(text, "\nnotes");
        tuning.notes.iter().for_each(|note| _ = writeln!(text, "  {note}"));
    }
    let plain = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    text.chars().map(plain).collect()
}

/// What it was measured on.
pub(super) fn setting(tuning: &Tuning) -> String {
    let mut parts = vec![format!("search {}", tuning.run), tuning.machine_class.clone()];
    if tuning.n_gpus > 0 {
        parts.push(count(tuning.n_gpus as usize, "GPU"));
    }
    parts.extend(tuning.precision.clone());
    parts.push(format!("stack {}", tuning.stack));
    parts.push(format!("{:.0} s", tuning.duration_s));
    parts.join(" · ")
}

/// The entry as it is, or why it has no number.
pub(super) fn baseline(tuning: &Tuning) -> Option<String> {
    if let Some(failure) = &tuning.failure {
        return Some(format!("no baseline: {failure}"));
    }
    let (baseline, metric) = tuning.baseline.as_ref().zip(tuning.metric.as_ref())?;
    let better = match metric.direction {
        Direction::Higher => ", more is better",
        Direction::Lower => ", less is better",
        Direction::Unknown => "",
    };
    let executions = count(baseline.values.len(), "execution");
    Some(format!("baseline {} {} ({executions}{better})", number(baseline.median), metric.metric))
}

/// What holds the entry back, a line each.
pub(super) fn diagnosis(tuning: &Tuning) -> Vec<String> {
    let Some(diagnosed) = &tuning.diagnosis else { return Vec::new() };
    let mut lines = Vec::new();
    if let Some(found) = &diagnosed.diagnosis {
        lines.push(format!("{}, because {}", found.bottleneck.word(), found.because));
        let spots = found.hotspots.iter().take(HOTSPOTS);
        lines.extend(spots.map(|spot| format!("{} {}", percent(spot.share), kernel(spot))));
        lines.extend(left_out(found));
    }
    if let Some(failure) = &diagnosed.failure {
        lines.push(format!("no diagnosis: {failure}"));
    }
    let tools = match diagnosed.tools.is_empty() {
        true => "an existing trace".to_owned(),
        false => format!("one execution under {}", diagnosed.tools.join(", ")),
    };
    let traces = diagnosed.traces.as_ref();
    let traces = traces.map_or_else(String::new, |path| format!(": {}", path.display()));
    lines.push(format!("from {tools}{traces}"));
    lines
}

fn kernel(spot: &Hotspot) -> String {
    crate::profile::kernel_name(&spot.name) + &format!(" ({})", spot.kind.word())
}

fn left_out(found: &Diagnosis) -> Option<String> {
    let more = found.hotspots.len().checked_sub(HOTSPOTS).filter(|more| *more > 0)?;
    Some(format!("{} more", count(more, "kernel")))
}

/// The number of a candidate, with that of what it was compared with.
pub(super) fn performance(row: &TuningRow) -> String {
    match row.performance.zip(row.base) {
        Some((value, base)) => format!("{} against {}", number(value), number(base)),
        None => "-".to_owned(),
    }
}

/// The gain of a candidate, and whether it is a first look only.
pub(super) fn gain(row: &TuningRow) -> String {
    let Some((gain, range)) = row.gain.zip(row.interval) else { return "-".to_owned() };
    let first = if row.verified { "" } else { ", first look" };
    format!("{} {}{first}", signed(gain), interval(range))
}
