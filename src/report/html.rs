//! The report as one page that needs nothing else: no network, no other file.
//!
//! Everything from outside is data, a JSON document that the script of the page reads and
//! puts in as text. The policy of the page lets no other script or style run.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::columns::Columns;
use super::text::{directions, origins};
use super::{Origin, Report, Row, Summary};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Earlier numbers in one page at most, over all rows.
const POINTS_MAX: usize = 1_000_000;

/// What the script of the page reads.
#[derive(Serialize)]
struct Data<'a> {
    compared: bool,
    results: &'a Origin,
    summary: &'a Summary,
    count: usize,
    rows: Columns<'a>,
}

/// The page. `beside` is the directory it will be in, from where logs are linked.
///
/// # Errors
/// When the report cannot be written as JSON.
pub fn html(report: &Report, beside: &Path) -> Result<String> {
    let mut notes: Vec<String> = report.notes.iter().cloned().chain(directions(report)).collect();
    let rows = shortened(&report.rows, &mut notes);
    let data = Data {
        compared: report.compared_to.is_some(),
        results: &report.results,
        summary: &report.summary,
        count: report.rows.len(),
        rows: Columns::new(rows.as_deref().unwrap_or(&report.rows), |row| {
            row.logs.iter().map(|log| (log.display().to_string(), link(log, beside))).collect()
        }),
    };
    // Within a script element only `<` could begin something else.
    let data = serde_json::to_string(&data)?.replace('<', "\\u003c");
    let (first, further) = report.headline_parts();
    let mut page = String::with_capacity(data.len() + (64 << 10));
    let mut rest = PAGE;
    while let Some((before, (name, after))) =
        rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
    {
        page.push_str(before);
        match name {
            "style" => page.push_str(STYLE),
            "script" => page.push_str(SCRIPT),
            "style-hash" => page.push_str(&hash(STYLE)),
            "script-hash" => page.push_str(&hash(SCRIPT)),
            "data" => page.push_str(&data),
            "headline" => page.push_str(&escape(&report.headline)),
            "first" => page.push_str(&escape(first)),
            "rest" => page.push_str(&escape(further.unwrap_or_default())),
            "origins" => page.push_str(&escape(&origins(report))),
            "started" => {
                page.push_str(&escape(report.results.started.as_deref().unwrap_or_default()));
            }
            "problems" => list(&mut page, "problems", &report.problems),
            "notes" => list(&mut page, "notes", &notes),
            "version" => page.push_str(env!("CARGO_PKG_VERSION")),
            other => debug_assert!(false, "the page has no {other}"),
        }
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

/// What pages look like.
pub(crate) fn style() -> &'static str {
    STYLE
}

/// The beginning of a page that runs no script, to the beginning of its body: `title` is text,
/// and `style` is added to that of all pages.
pub(crate) fn head(title: &str, style: &str) -> String {
    let style = format!("{STYLE}{style}");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src {}\">\n\
         <title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n",
        hash(&style),
        escape(title),
    )
}

/// The rows with less history, where a page of all of it would be too heavy.
fn shortened(rows: &[Row], notes: &mut Vec<String>) -> Option<Vec<Row>> {
    let points: usize = rows.iter().map(|row| row.history.points.len()).sum();
    if points <= POINTS_MAX {
        return None;
    }
    let each = POINTS_MAX / rows.len().max(1);
    notes.push(format!("of {points} earlier numbers, the page has the last {each} of each row"));
    let mut rows = rows.to_vec();
    rows.iter_mut().for_each(|row| row.history.keep(each));
    Some(rows)
}

/// The source expression of an inline script or style in a content security policy.
pub(crate) fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

fn list(page: &mut String, class: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    let _ = write!(page, "<ul class=\"{class}\">");
    for item in items {
        let _ = write!(page, "<li>{}</li>", escape(item));
    }
    page.push_str("</ul>");
}

/// Text in HTML, also in a quoted attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The link from a page in `beside` to a file: relative, so that both can be moved
/// together.
fn link(file: &Path, beside: &Path) -> String {
    let (file, beside) = (absolute(file), absolute(beside));
    let common = file.components().zip(beside.components()).take_while(|(a, b)| a == b).count();
    let mut link = ".".to_owned();
    link.push_str(&"/..".repeat(beside.components().count() - common));
    for part in file.components().skip(common) {
        link.push('/');
        for byte in part.as_os_str().as_encoded_bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
                    link.push(char::from(*byte));
                }
                other => {
                    let _ = write!(link, "%{other:02X}");
                }
            }
        }
    }
    link
}

/// The path from the root, without `.` and `..`.
fn absolute(path: &Path) -> PathBuf {
    let mut whole = PathBuf::new();
    // Nothing is the directory we are in, which `absolute` does not say.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        match part {
            Component::ParentDir => {
                whole.pop();
            }
            part => whole.push(part),
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_linked_from_where_the_page_is() {
        let log = Path::new("/a/mad/runs/1/x%2Fy/run.log");
        assert_eq!(link(log, Path::new("/a")), "./mad/runs/1/x%252Fy/run.log");
        assert_eq!(link(log, Path::new("/a/mad/../out")), "./../mad/runs/1/x%252Fy/run.log");
        assert_eq!(link(Path::new("/a/javascript:b\""), Path::new("/a")), "./javascript%3Ab%22");
    }

    #[test]
    fn the_policy_names_the_script_and_the_style() {
        // `printf '' | openssl dgst -sha256 -binary | base64`
        assert_eq!(hash(""), "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='");
        assert!(!SCRIPT.contains("</") && !STYLE.contains("</"));
        assert!(!PAGE.contains("http:") && !PAGE.contains("https:"));
    }
}
