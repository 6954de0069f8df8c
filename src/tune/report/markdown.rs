//! A search for a pull request or a job summary.

use std::fmt::Write as _;

use super::text::{baseline, diagnosis, gain, performance, setting};
use super::{TuningReport, status, trust};
use crate::report::{MARKDOWN_MAX, markdown_code as code, markdown_escape as escape};
use crate::tune::Change;

/// The report as GitHub-flavoured Markdown, at most [`MARKDOWN_MAX`] bytes. Its first line is a
/// comment by which a program finds what it posted before.
pub fn markdown(report: &TuningReport) -> String {
    let tuning = &report.tuning;
    let mut lines = vec!["<!-- mad-tuning -->".to_owned()];
    lines.push(format!("**{}**\n\n{}", escape(&report.headline), escape(&setting(tuning))));
    lines.extend(baseline(tuning).map(|line| format!("<br>{}", escape(&line))));
    let diagnosis = diagnosis(tuning);
    if !diagnosis.is_empty() {
        lines.push("\n### Diagnosis\n".to_owned());
        lines.extend(diagnosis.iter().map(|line| format!("- {}", escape(line))));
    }
    if !report.rows.is_empty() {
        lines.push(
            "\n| candidate | change | evidence | status | performance | vs baseline | trustworthy |\
             \n|---|---|---|---|--:|--:|---|"
                .to_owned(),
        );
        lines.extend(report.rows.iter().map(|row| {
            format!(
                "| {} | {} | {} | {} | {} | {} | {} |",
                code(&row.candidate),
                code(&row.change),
                escape(&row.evidence),
                status(row.status),
                performance(row),
                gain(row),
                escape(&trust(row)),
            )
        }));
    }
    if let Some(recommended) = &report.recommended {
        lines.push("\n### Recommended\n".to_owned());
        lines.extend(
            recommended.context.iter().map(|c| format!("- context {}", code(&c.to_string()))),
        );
        if !recommended.args.is_empty() {
            let words = shell_words::join(&recommended.args);
            lines.push(format!("- arguments {}", code(&words)));
        }
        let config = recommended.config.iter().map(Change::words);
        lines.extend(config.map(|words| format!("- configuration {}", code(&words))));
    }
    if !report.next.is_empty() {
        lines.push("\n### Next\n".to_owned());
        let step = |s: &super::NextStep| format!("- {}: {}", escape(&s.what), code(&s.command));
        lines.extend(report.next.iter().map(step));
    }
    if !tuning.notes.is_empty() {
        lines.push(String::new());
        lines.extend(tuning.notes.iter().map(|note| format!("- note: {}", escape(note))));
    }
    let mut text = String::new();
    for (i, line) in lines.iter().enumerate() {
        // What is said when something does not fit has its place.
        if text.len() + line.len() + 100 > MARKDOWN_MAX {
            let left_out = lines.len() - i;
            let _ = writeln!(text, "\n{left_out} more lines do not fit here; the JSON has all.");
            break;
        }
        let _ = writeln!(text, "{line}");
    }
    text
}
