//! JUnit XML of the cases of a Run: one test suite per stage.

use std::path::Path;
use std::sync::LazyLock;

use anyhow::{Context, Result};
use junit_report::{Duration, ReportBuilder, TestCaseBuilder, TestSuiteBuilder};
use regex::Regex;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::record::{CaseRecord, CaseStatus, Stage, write_atomically};

/// The report of `cases`. Properties travel as `[[PROPERTY|key=value]]` lines in
/// `system-out`, which GitLab, Jenkins and others understand.
///
/// # Errors
/// When the XML cannot be made.
pub fn junit_xml(cases: &[CaseRecord]) -> Result<Vec<u8>> {
    let mut report = ReportBuilder::new();
    for stage in Stage::ALL {
        let cases: Vec<&CaseRecord> = cases.iter().filter(|c| c.stage == stage).collect();
        if cases.is_empty() {
            continue;
        }
        let mut suite = TestSuiteBuilder::new(stage.name());
        let started = cases.iter().map(|c| c.started.as_str()).min().unwrap_or_default();
        if let Ok(started) = OffsetDateTime::parse(started, &Rfc3339) {
            suite.set_timestamp(started);
        }
        for case in cases {
            suite.add_testcase(test_case(case).build());
        }
        report.add_testsuite(suite.build());
    }
    let mut xml = Vec::new();
    report.build().write_xml(&mut xml).context("cannot write JUnit XML")?;
    xml.push(b'\n');
    Ok(xml)
}

fn test_case(case: &CaseRecord) -> TestCaseBuilder {
    let name = clean(&case.name);
    // Jenkins' schema takes three decimals.
    let time = Duration::milliseconds((case.duration_s * 1000.0).round() as i64);
    let message = clean(&case.message);
    let mut builder = match case.status {
        CaseStatus::Passed => TestCaseBuilder::success(&name, time),
        CaseStatus::Failed => TestCaseBuilder::failure(&name, time, &clean(&case.kind), &message),
        CaseStatus::Ignored => {
            TestCaseBuilder::skipped_with_cause(&name, &clean(&case.kind), &message)
        }
    };
    builder.set_classname(&clean(&case.model));
    let mut out: String = case
        .properties
        .iter()
        .map(|(key, value)| format!("[[PROPERTY|{}={}]]\n", clean(key), one_line(&clean(value))))
        .collect();
    if case.status == CaseStatus::Passed && !message.is_empty() {
        out.push_str(&message);
        out.push('\n');
    }
    if !out.is_empty() {
        // The crate writes CDATA as it is given, and `]]>` would end it early.
        builder.set_system_out(&out.replace("]]>", "]] >"));
    }
    builder
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

/// `text` without colour codes and without characters that XML 1.0 forbids.
fn clean(text: &str) -> String {
    static COLOUR: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\x1b\[[0-9;?]*[ -/]*[@-~]").ok());
    let plain = match COLOUR.as_ref() {
        Some(colour) => colour.replace_all(text, ""),
        None => text.into(),
    };
    plain
        .chars()
        .filter(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..))
        .collect()
}

/// Writes the report of `cases` to `path`.
///
/// # Errors
/// When the directory cannot be written.
pub fn write_junit(path: &Path, cases: &[CaseRecord]) -> Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    write_atomically(path, &junit_xml(cases)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_case() {
        let case = |name: &str, stage, status, kind: &str, message: &str| CaseRecord {
            name: format!("{name}::m"),
            stage,
            model: "m".into(),
            status,
            kind: kind.into(),
            message: message.into(),
            started: "2026-11-22T10:00:00Z".into(),
            duration_s: 1.5,
            properties: vec![("metric".into(), "tok/s\nx".into()), ("odd".into(), "a]]>b".into())],
        };
        let xml = junit_xml(&[
            case("validate", Stage::Validate, CaseStatus::Passed, "", ""),
            case("bench", Stage::Bench, CaseStatus::Ignored, "gate", "needs 8 AMD GPUs"),
            case(
                "regress",
                Stage::Regress,
                CaseStatus::Failed,
                "regression",
                "\u{1b}[31m<10 %\u{0}",
            ),
        ])
        .unwrap();
        insta::assert_snapshot!(String::from_utf8(xml).unwrap());
    }
}
