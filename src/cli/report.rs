//! `mad report`: what a Run measured and what was made of it.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Exit, Global, print, print_json};
use crate::record::{CaseRecord, CaseStatus, RunDir, Stage};
use crate::results::{Table, junit_xml};

/// Summarise a run.
#[derive(Args, Debug)]
pub(super) struct Report {
    /// Run id, run directory, or `latest`
    #[arg(value_name = "RESULTS", default_value = "latest")]
    results: String,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Where runs are
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    run_dir: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Junit,
}

impl Report {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let run = RunDir::find(&self.run_dir, &self.results)?;
        let mut cases = run.cases()?;
        cases.sort_by(|a, b| (a.stage, &a.name).cmp(&(b.stage, &b.name)));
        match (global.json, self.format) {
            (true, _) | (_, Format::Json) => {
                let document =
                    json!({ "schema": "mad-report/1", "run": run.read_run()?, "cases": cases });
                print_json(&document)?;
            }
            (_, Format::Junit) => print(&String::from_utf8_lossy(&junit_xml(&cases)?))?,
            (_, Format::Text) => {
                print(&format!("run {}\n", run.id))?;
                print(&text(&cases))?;
            }
        }
        let failed = cases.iter().any(|c| c.status == CaseStatus::Failed);
        Ok(if failed { Exit::Findings } else { Exit::Ok })
    }
}

/// The table of a Run: one line per metric, then what needs words.
pub(super) fn text(cases: &[CaseRecord]) -> String {
    let mut table = Table::new(["MODEL", "STATUS", "PERFORMANCE", "METRIC", "CHANGE", "VERDICT"]);
    let mut words = String::new();
    let mut any = false;
    let mut new = Vec::new();
    for bench in cases.iter().filter(|c| c.stage == Stage::Bench) {
        any = true;
        let regress = cases.iter().find(|c| c.stage == Stage::Regress && c.model == bench.model);
        for one in measurements(bench) {
            let judged = regress.into_iter().flat_map(measurements).find(|r| r.id == one.id);
            let metrics = metrics(one.properties);
            if metrics.is_empty() {
                let blank = String::new;
                table.row([one.id.into(), one.status.into(), blank(), blank(), blank(), blank()]);
            }
            for metric in metrics {
                let verdict = judged
                    .as_ref()
                    .and_then(|r| property(r.properties, &format!("verdict.{}", metric.key)));
                table.row([
                    one.id.to_owned(),
                    one.status.to_owned(),
                    metric.value,
                    metric.key,
                    metric.change,
                    verdict.unwrap_or("-").to_owned(),
                ]);
            }
        }
        for case in [Some(bench), regress].into_iter().flatten() {
            let repeated = case.stage == Stage::Regress && case.message == bench.message;
            if case.kind == "no-baseline" && case.status == CaseStatus::Ignored {
                // What failed cannot be accepted.
                if bench.status == CaseStatus::Passed {
                    new.push(case.model.as_str());
                }
            } else if !case.message.is_empty() && !repeated {
                let message = case.message.replace('\n', "\n    ");
                words.push_str(&format!("\n{}\n    {message}\n", case.name));
            }
        }
    }
    if !new.is_empty() {
        let ids = shell_words::join(&new);
        words.push_str(&format!("\nno baseline yet; accept this run: mad baseline accept {ids}\n"));
    }
    match any {
        true => format!("{table}{words}"),
        false => "nothing was measured in this run\n".to_owned(),
    }
}

struct Metric {
    key: String,
    value: String,
    change: String,
}

/// What a case says about one Measurement.
struct Measured<'c> {
    id: &'c str,
    status: &'c str,
    properties: &'c [(String, String)],
}

/// The Measurements of a case: one, or one per image, each begun by its `id` and `status`.
fn measurements(case: &CaseRecord) -> Vec<Measured<'_>> {
    let mut of_images = case.properties.chunk_by(|_, (key, _)| key != "id").peekable();
    if of_images.peek().is_none_or(|first| first[0].0 != "id") {
        let status = case.status.word();
        return vec![Measured { id: &case.model, status, properties: &case.properties }];
    }
    let text = |properties, key| property(properties, key).unwrap_or_default();
    of_images
        .map(|p| Measured { id: text(p, "id"), status: text(p, "status"), properties: p })
        .collect()
}

/// The metrics in the properties of a Measurement, which are written in groups that begin
/// with `metric`.
fn metrics(properties: &[(String, String)]) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for (key, value) in properties {
        match (key.as_str(), metrics.last_mut()) {
            ("metric", _) => metrics.push(Metric {
                key: value.clone(),
                value: String::new(),
                change: String::new(),
            }),
            ("value", Some(metric)) => metric.value.clone_from(value),
            ("change", Some(metric)) => metric.change.clone_from(value),
            _ => {}
        }
    }
    metrics
}

fn property<'p>(properties: &'p [(String, String)], key: &str) -> Option<&'p str> {
    properties.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}
