//! A search as one page that needs nothing else, and runs no script.

use std::fmt::Write as _;

use super::chart::chart;
use super::text::{baseline, diagnosis, gain, performance, setting};
use super::{TuningReport, TuningRow, status, trust};
use crate::report::{html_escape as escape, page_head};
use crate::tune::{Change, Status};

/// What this page has beside the style of all pages.
const STYLE: &str = "h2 { margin: 1.5rem 0 .5rem; font-size: 1.05rem; }
.wide { overflow-x: auto; }
li { overflow-wrap: anywhere; }
figure { padding: .5rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
";

/// The page.
pub fn html(report: &TuningReport) -> String {
    let tuning = &report.tuning;
    let mut page = page_head(&report.headline, STYLE);
    let (first, rest) = report.headline.split_once(" · ").unwrap_or((&report.headline, ""));
    let _ = write!(
        page,
        "<p class=\"origins\">{} <time>{}</time></p>\n<h1>{}</h1>\n<p class=\"rest\">{}</p>\n",
        escape(&setting(tuning)),
        escape(&tuning.started),
        escape(first),
        escape(rest),
    );
    if let Some(line) = baseline(tuning) {
        let _ = writeln!(page, "<p>{}</p>", escape(&line));
    }
    list(&mut page, "Diagnosis", diagnosis(tuning).iter().map(|line| escape(line)));
    if let Some(chart) = chart(report) {
        let _ = write!(
            page,
            "<h2>Gains</h2>\n<figure>{chart}<figcaption>Each candidate against the baseline: the \
             estimate and where the true gain is. Green ones were measured afresh and can be \
             trusted.</figcaption></figure>\n"
        );
    }
    if !report.rows.is_empty() {
        page.push_str(
            "<h2>Candidates</h2>\n<div class=\"wide\"><table>\n<thead><tr><th>Candidate</th>\
             <th>Change</th><th>Evidence</th><th>Status</th><th class=\"number\">Performance</th>\
             <th class=\"number\">vs baseline</th><th>Trustworthy</th></tr></thead>\n<tbody>\n",
        );
        report.rows.iter().for_each(|row| self::row(&mut page, row));
        page.push_str("</tbody></table></div>\n");
    }
    if let Some(recommended) = &report.recommended {
        let mut lines = Vec::new();
        lines.extend(
            recommended.context.iter().map(|c| format!("context {}", code(&c.to_string()))),
        );
        if !recommended.args.is_empty() {
            lines.push(format!("arguments {}", code(&shell_words::join(&recommended.args))));
        }
        let config = recommended.config.iter().map(Change::words);
        lines.extend(config.map(|words| format!("configuration {}", code(&words))));
        list(&mut page, "Recommended", lines);
    }
    let steps = report.next.iter();
    list(&mut page, "Next", steps.map(|s| format!("{}: {}", escape(&s.what), code(&s.command))));
    list(&mut page, "Notes", tuning.notes.iter().map(|note| escape(note)));
    let version = env!("CARGO_PKG_VERSION");
    let _ = writeln!(page, "<footer><p>mad-harness {version}</p></footer>\n</body>\n</html>");
    page
}

fn row(page: &mut String, row: &TuningRow) {
    let (badge, mark) = match (row.status, row.trustworthy) {
        (Status::Failure, _) => (" bad", ""),
        (_, Some(true)) => (" good", " class=\"better\""),
        _ => ("", ""),
    };
    let _ = writeln!(
        page,
        "<tr class=\"row\"><td>{}</td><td data-title=\"Change\">{}</td>\
         <td data-title=\"Evidence\">{}</td>\
         <td data-title=\"Status\"><span class=\"badge{badge}\">{}</span></td>\
         <td data-title=\"Performance\" class=\"number\">{}</td>\
         <td data-title=\"vs baseline\" class=\"number\">{}</td>\
         <td data-title=\"Trustworthy\"{mark}>{}</td></tr>",
        escape(&row.candidate),
        code(&row.change),
        escape(&row.evidence),
        status(row.status),
        performance(row),
        gain(row),
        escape(&trust(row)),
    );
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escape(text))
}

/// A title and its lines, which are markup; nothing where there are none.
fn list(page: &mut String, title: &str, lines: impl IntoIterator<Item = String>) {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return;
    }
    let _ = write!(page, "<h2>{title}</h2>\n<ul>");
    lines.for_each(|line| _ = write!(page, "<li>{line}</li>"));
    page.push_str("</ul>\n");
}
