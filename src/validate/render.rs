//! Diagnostics for people, programs and pull requests.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde_json::{Value, json};

use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Place, Severity};

/// Lines longer than this are not shown: nobody reads a snippet of a minified file.
const MAX_SHOWN: usize = 2_000;

/// The diagnostics as a compiler shows them, with the lines they are about.
pub fn render_text(diags: &[Diagnostic], catalog: &Catalog, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii).term_width(100);
    let mut sources = Sources::new(catalog);
    let mut out = String::new();
    let findings = Finding::group(diags);
    for finding in &findings {
        out.push_str(&renderer.render(&report(finding, &mut sources)));
        out.push_str("\n\n");
    }
    out
}

/// What is wrong in one place, and the entries it is wrong for: hundreds may share a
/// script or a Dockerfile.
pub(super) struct Finding<'d> {
    pub(super) diagnostic: &'d Diagnostic,
    pub(super) models: Vec<&'d str>,
}

impl<'d> Finding<'d> {
    pub(super) fn group(diags: &'d [Diagnostic]) -> Vec<Finding<'d>> {
        let mut findings: Vec<Finding<'d>> = Vec::new();
        let mut seen: HashMap<_, usize> = HashMap::new();
        for diagnostic in diags {
            let Diagnostic { rule, place, message, .. } = diagnostic;
            let key = (rule, &place.file, place.line, place.column, message);
            let at = *seen.entry(key).or_insert_with(|| {
                findings.push(Finding { diagnostic, models: Vec::new() });
                findings.len() - 1
            });
            findings[at].models.extend(diagnostic.model.as_deref());
        }
        findings
    }

    /// `in the entry a`, `in 40 entries: a, b, …`.
    pub(super) fn concerned(&self) -> Option<String> {
        match self.models.as_slice() {
            [] => None,
            [one] => Some(format!("in the entry `{one}`")),
            many => {
                let some: Vec<String> = many.iter().take(3).map(|m| format!("`{m}`")).collect();
                let more = if many.len() > 3 { ", …" } else { "" };
                Some(format!("in {} entries: {}{more}", many.len(), some.join(", ")))
            }
        }
    }
}

fn report<'d>(finding: &Finding<'d>, sources: &mut Sources<'_>) -> Vec<Group<'d>> {
    let diagnostic = finding.diagnostic;
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(&diagnostic.message).id(diagnostic.rule);
    let mut group = Group::with_title(title);
    group = show(group, &diagnostic.place, None, sources);
    for (place, label) in &diagnostic.related {
        group = show(group, place, Some(label), sources);
    }
    if let Some(concerned) = finding.concerned() {
        group = group.element(Level::NOTE.message(concerned));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    vec![group]
}

fn show<'d>(
    group: Group<'d>,
    place: &Place,
    label: Option<&'d str>,
    sources: &mut Sources<'_>,
) -> Group<'d> {
    let path = place.file.display().to_string();
    let kind = if label.is_some() { AnnotationKind::Context } else { AnnotationKind::Primary };
    match sources.snippet(place) {
        Some((text, first_line, span)) => {
            let mut annotation = kind.span(span);
            if let Some(label) = label {
                annotation = annotation.label(label);
            }
            let snippet = Snippet::source(text).path(path).line_start(first_line);
            group.element(snippet.annotation(annotation))
        }
        None => {
            let mut origin = Origin::path(path);
            if place.line > 0 {
                origin = origin.line(place.line).char_column(place.column.max(1));
            }
            let group = group.element(origin);
            match label {
                Some(label) => group.element(Level::NOTE.message(label)),
                None => group,
            }
        }
    }
}

/// The texts that snippets are cut from.
struct Sources<'a> {
    catalog: &'a Catalog,
    texts: HashMap<&'a Path, &'a str>,
    read: HashMap<std::path::PathBuf, Option<String>>,
}

impl<'a> Sources<'a> {
    fn new(catalog: &'a Catalog) -> Self {
        // What a program said is not what stands in its file.
        let sources = catalog.models.iter().map(|m| m.source()).filter(|s| s.made_at.is_none());
        let texts = sources.map(|s| (s.file.as_path(), s.text.as_str())).collect();
        Sources { catalog, texts, read: HashMap::new() }
    }

    /// The lines a place is about, the number of the first, and what to mark in them.
    fn snippet(&mut self, place: &Place) -> Option<(String, usize, Range<usize>)> {
        if place.line == 0 {
            return None;
        }
        let text = match self.texts.get(place.file.as_path()) {
            Some(text) => *text,
            None => {
                let path = self.catalog.root.join(&place.file);
                // Catalogs are read without their byte order mark, and places are as read.
                let json = path.extension().is_some_and(|e| e == "json");
                let plain = |text: String| match text.strip_prefix('\u{feff}') {
                    Some(plain) if json => plain.to_owned(),
                    _ => text,
                };
                let read = || std::fs::read_to_string(path).ok().map(plain);
                self.read.entry(place.file.clone()).or_insert_with(read).as_deref()?
            }
        };
        let start = match place.line {
            1 => 0,
            line => memchr::memchr_iter(b'\n', text.as_bytes()).nth(line - 2)? + 1,
        };
        let line_end = text[start..].find('\n').map_or(text.len(), |i| start + i);
        let line = text[start..line_end].trim_end();
        if line.is_empty() || line.len() > MAX_SHOWN {
            return None;
        }
        // A value that spans lines is shown by its first one.
        let span = match &place.span {
            Some(span) if span.start >= start => {
                span.start - start..span.end.min(start + line.len()).saturating_sub(start)
            }
            _ => {
                let skip = place.column.saturating_sub(1);
                let from = line.char_indices().nth(skip).map_or(0, |(i, _)| i);
                let indent = line.len() - line.trim_start().len();
                from.max(indent)..line.len()
            }
        };
        let from = span.start.min(line.len());
        Some((line.to_owned(), place.line, from..span.end.max(from)))
    }
}

/// `3 errors, 1 warning in 2 of 12 entries`: what was found in `checked` entries.
pub fn summary(diags: &[Diagnostic], checked: usize) -> String {
    let plural =
        |n: usize, one: &str, many: &str| format!("{n} {}", if n == 1 { one } else { many });
    let of = |severity| diags.iter().filter(|d| d.severity == severity).count();
    let counts = [
        (of(Severity::Error), "error", "errors"),
        (of(Severity::Warning), "warning", "warnings"),
        (of(Severity::Note), "note", "notes"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|c| c.0 > 0).map(|(n, one, many)| plural(*n, one, many)).collect();
    let all = plural(checked, "entry", "entries");
    if counts.is_empty() {
        return format!("{all}: nothing to complain about");
    }
    let counts = counts.join(", ");
    let concerned: HashSet<&str> = diags.iter().filter_map(|d| d.model.as_deref()).collect();
    match concerned.len() {
        0 => counts,
        n => format!("{counts} in {n} of {all}"),
    }
}

/// The diagnostics as one JSON document; `checked` entries were looked at.
pub fn render_json(diags: &[Diagnostic], checked: usize) -> Value {
    let of = |severity| diags.iter().filter(|d| d.severity == severity).count();
    json!({
        "schema": "mad-validate/1",
        "checked": checked,
        "errors": of(Severity::Error),
        "warnings": of(Severity::Warning),
        "notes": of(Severity::Note),
        "diagnostics": diags,
    })
}

/// The diagnostics as GitHub workflow commands, which become annotations of the
/// changed files. `base` is the catalog root as seen from the root of the repository.
pub fn render_github(diags: &[Diagnostic], base: &Path) -> String {
    let mut out = String::new();
    for finding in Finding::group(diags) {
        let diagnostic = finding.diagnostic;
        let command = match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "notice",
        };
        let place = &diagnostic.place;
        let mut properties =
            format!("file={}", property(&base.join(&place.file).display().to_string()));
        if place.line > 0 {
            properties.push_str(&format!(",line={}", place.line));
        }
        if place.column > 0 {
            properties.push_str(&format!(",col={}", place.column));
        }
        let mut message = diagnostic.message.clone();
        if let Some(concerned) = finding.concerned() {
            message = format!("{message} ({concerned})");
        }
        if let Some(help) = &diagnostic.help {
            message.push_str(&format!("\nhelp: {help}"));
        }
        let (title, message) = (property(diagnostic.rule), data(&message));
        out.push_str(&format!("::{command} {properties},title={title}::{message}\n"));
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
