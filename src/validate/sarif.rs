//! Diagnostics in SARIF 2.1.0, as GitHub code scanning and editors read it.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use super::render::Finding;
use super::rules::RULES;
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::slug::digest;

/// GitHub refuses a file with more results.
const MAX_RESULTS: usize = 25_000;
/// GitHub cuts longer descriptions of rules.
const MAX_DESCRIPTION: usize = 1024;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The diagnostics as a SARIF log. `base` is the catalog root as seen from the root of the
/// repository, to which all paths are relative. Of more than 25,000 findings the worst are
/// kept, and a notification says so.
pub fn render_sarif(diags: &[Diagnostic], base: &Path) -> Value {
    let mut findings = Finding::group(diags);
    let dropped = findings.len().saturating_sub(MAX_RESULTS);
    if dropped > 0 {
        findings.sort_by_key(|f| std::cmp::Reverse(f.diagnostic.severity));
        findings.truncate(MAX_RESULTS);
    }
    let mut seen = HashMap::new();
    let results: Vec<Value> = findings.iter().map(|f| result(f, base, &mut seen)).collect();
    let mut invocation = json!({ "executionSuccessful": true });
    if dropped > 0 {
        let text = format!("{dropped} findings are left out: a file may hold {MAX_RESULTS}");
        invocation["toolExecutionNotifications"] =
            json!([{ "level": "warning", "message": { "text": text } }]);
    }
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "mad-validate",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules(),
            } },
            "automationDetails": { "id": "mad-validate/" },
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation],
            "results": results,
        }],
    })
}

fn rules() -> Vec<Value> {
    let short = |text: &str| text.chars().take(MAX_DESCRIPTION).collect::<String>();
    RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.title },
                "fullDescription": { "text": short(rule.explanation) },
                "help": { "text": rule.explanation, "markdown": rule.explanation },
                "defaultConfiguration": { "level": level(rule.severity) },
            })
        })
        .collect()
}

fn result(finding: &Finding<'_>, base: &Path, seen: &mut HashMap<String, usize>) -> Value {
    let diagnostic = finding.diagnostic;
    let mut text = diagnostic.message.clone();
    if let Some(concerned) = finding.concerned() {
        text = format!("{text} ({concerned})");
    }
    if let Some(help) = &diagnostic.help {
        text = format!("{text}: {help}");
    }
    let place = |place: &Place| json!({ "physicalLocation": physical(place, base) });
    let mut result = json!({
        "ruleId": diagnostic.rule,
        "level": level(diagnostic.severity),
        "message": { "text": text },
        "locations": [place(&diagnostic.place)],
        "partialFingerprints": { "primaryLocationLineHash": fingerprint(finding, seen) },
    });
    if let Some(index) = RULES.iter().position(|r| r.id == diagnostic.rule) {
        result["ruleIndex"] = json!(index);
    }
    let related: Vec<Value> = diagnostic
        .related
        .iter()
        .enumerate()
        .map(|(id, (at, label))| {
            let mut location = place(at);
            location["id"] = json!(id);
            location["message"] = json!({ "text": label });
            location
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = json!(related);
    }
    result
}

/// What a finding is known by after lines were added above it: not its place, but what is
/// wrong in which file. Equal ones are numbered.
fn fingerprint(finding: &Finding<'_>, seen: &mut HashMap<String, usize>) -> String {
    let Diagnostic { rule, place, message, model, .. } = finding.diagnostic;
    let key = json!([rule, place.file, message, model]).to_string();
    let hash = digest(key, 8);
    let number = seen.entry(hash.clone()).or_default();
    *number += 1;
    format!("{hash}:{number}")
}

fn physical(place: &Place, base: &Path) -> Value {
    // A finding about a whole file is shown at its first line: GitHub wants one.
    let mut region = json!({ "startLine": place.line.max(1) });
    if place.line > 0 && place.column > 0 {
        region["startColumn"] = json!(place.column);
    }
    json!({
        "artifactLocation": { "uri": uri(&base.join(&place.file)) },
        "region": region,
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    }
}

/// A relative path as a relative URI (RFC 3986).
fn uri(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut uri = String::new();
    for &byte in path.as_os_str().as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_uris() {
        assert_eq!(uri(Path::new("a b/ü:%.json")), "a%20b/%C3%BC%3A%25.json");
    }

    #[test]
    fn too_many_findings_are_cut_to_the_worst() {
        let note = |i| Diagnostic::note("MAD025", Place::file(format!("f{i}")), "m");
        let mut diags: Vec<Diagnostic> = (0..MAX_RESULTS).map(note).collect();
        diags.push(Diagnostic::error("MAD001", Place::file("models.json"), "m"));
        let log = render_sarif(&diags, Path::new("sub"));
        let run = &log["runs"][0];
        assert_eq!(run["results"].as_array().unwrap().len(), MAX_RESULTS);
        assert_eq!(run["results"][0]["ruleId"], "MAD001");
        assert_eq!(
            run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
            "sub/models.json"
        );
        let said = &run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"];
        assert!(said.as_str().unwrap().starts_with("1 findings are left out"));
    }
}
