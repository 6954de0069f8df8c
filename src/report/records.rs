//! A run directory as a source.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Conclusion, Kind, Origin, Reading, Setting, Source, Status};
use crate::contract::Sample;
use crate::record::{self, CaseRecord, CaseStatus, Measurement, RunDir, Stage};
use crate::run::{VerdictRecord, suspicion, suspicion_words};
use crate::slug::{BEFORE_IMAGE, slug};

pub(super) fn read(run: &RunDir) -> Result<Source> {
    let record = run.read_run()?;
    let mut cases = run.cases()?;
    cases.sort_by(|a, b| (a.stage, &a.started, &a.name).cmp(&(b.stage, &b.started, &b.name)));
    let mut measurements = run.measurements()?;
    measurements.sort_by(|a, b| (&a.started, &a.id).cmp(&(&b.started, &b.id)));
    let mut problems = unfinished(run, &cases)?;
    let mut readings = Vec::new();
    let asked = Cases::new(&cases);
    for m in &measurements {
        let verdict: Option<VerdictRecord> =
            record::read_json(&run.model(&m.id).join("verdict.json"))
                .with_context(|| format!("the verdict of {}", m.id))?;
        let lost = verdict.iter().flat_map(|v| &v.problems);
        problems.extend(lost.map(|problem| format!("{}: {problem}", m.id)));
        readings.extend(measured(run.path(), m, verdict, &asked));
    }
    let measured: BTreeSet<&str> = measurements.iter().map(|m| m.id.as_str()).collect();
    let is_measured = |case: &CaseRecord| {
        let variants = format!("{}@", case.model);
        let next = measured.range(variants.as_str()..).next();
        measured.contains(case.model.as_str()) || next.is_some_and(|id| id.starts_with(&variants))
    };
    let rest = cases.iter().filter(|c| c.stage == Stage::Bench && !is_measured(c));
    readings.extend(rest.map(unmeasured));
    // Under nextest, no process but this one sees the whole run.
    let notes = suspicion(run)?.iter().map(suspicion_words).collect();
    let origin = Origin {
        name: run.id.clone(),
        kind: Kind::Run,
        started: Some(record.started.clone()),
        read: readings.len() as u64,
    };
    Ok(Source { origin, readings, problems, notes, run: Some(record), cases })
}

/// Cases by entry.
struct Cases<'a> {
    bench: HashMap<&'a str, &'a CaseRecord>,
    regress: HashMap<&'a str, &'a CaseRecord>,
}

impl<'a> Cases<'a> {
    fn new(cases: &'a [CaseRecord]) -> Cases<'a> {
        let of = |stage: Stage| {
            let cases = cases.iter().filter(|c| c.stage == stage);
            cases.map(|c| (c.model.as_str(), c)).collect()
        };
        Cases { bench: of(Stage::Bench), regress: of(Stage::Regress) }
    }

    /// The accepted number that the bench case names for a metric of the Measurement `id`.
    /// The properties of several images are each begun by their id.
    fn accepted(&self, id: &str, key: &str) -> Option<f64> {
        let entry = id.split('@').next().unwrap_or(id);
        let case = self.bench.get(id).or_else(|| self.bench.get(entry))?;
        let mut of_images = case.properties.chunk_by(|_, (key, _)| key != "id");
        let named = |p: &&[(String, String)]| p[0].0 != "id" || p[0].1 == id;
        let properties = of_images.find(named)?;
        let at = properties.iter().position(|(k, v)| k == "metric" && v == key)?;
        let group = properties[at + 1..].iter().take_while(|(k, _)| k != "metric");
        group.into_iter().find(|(k, _)| k == "baseline").and_then(|(_, v)| v.parse().ok())
    }
}

/// The readings of one Measurement.
fn measured(
    dir: &Path,
    m: &Measurement,
    verdict: Option<VerdictRecord>,
    cases: &Cases<'_>,
) -> Vec<Reading> {
    let machine = m.provenance.machine.as_ref();
    let gpus = machine.filter(|_| m.n_gpus > 0).and_then(|m| m.gpus.first());
    let setting = Setting {
        n_gpus: m.n_gpus.to_string(),
        precision: m.precision.clone(),
        machine_class: m.machine_class.clone(),
        gpu_architecture: gpus.map(|g| g.arch.clone()).unwrap_or_default(),
        host: machine.map(|m| m.hostname.clone()).unwrap_or_default(),
        ..Setting::default()
    };
    let mut base = Reading::new(&m.id, "", setting);
    base.logs = m.executions.iter().map(|e| dir.join(&e.log)).collect();
    base.notes.clone_from(&m.warnings);
    if m.executions.windows(2).any(|pair| pair[1].started < pair[0].started) {
        base.notes.push("the host's clock went backwards between its executions".to_owned());
    }
    if let Some(failure) = &m.failure {
        (base.status, base.reason) = (Status::Failure, failure.clone());
        return vec![base];
    }
    if m.skipped() {
        (base.status, base.reason) = (Status::Skipped, "the model was not run".to_owned());
        return vec![base];
    }
    let mut verdicts = BTreeMap::new();
    if let Some(record) = verdict {
        base.notes.extend(record.notes);
        verdicts = record.metrics;
        for (key, remark) in record.remarks {
            if let Some(verdict) = verdicts.get_mut(&key) {
                verdict.explanation += &format!(" [{remark}]");
            }
        }
    }
    let no_baseline = cases.regress.get(m.id.as_str()).is_some_and(|c| c.kind == "no-baseline");
    let reading = |(key, samples): (String, Vec<&Sample>)| {
        let mut reading = base.clone();
        reading.alias = samples.first().map(|sample| alias(m, &key, sample));
        reading.values = samples.iter().map(|s| s.value).collect();
        if let [sample] = samples.as_slice() {
            reading.text.clone_from(&sample.text);
        }
        reading.verdict = verdicts.remove(&key);
        reading.baseline = match &reading.verdict {
            Some(verdict) => verdict.baseline_median,
            None => cases.accepted(&m.id, &key),
        };
        reading.conclusion = no_baseline.then_some(Conclusion::NoBaseline);
        reading.metric = key;
        reading
    };
    m.values().into_iter().map(reading).collect()
}

/// What perf.csv calls the metric `key`.
fn alias(m: &Measurement, key: &str, sample: &Sample) -> (String, String) {
    match &sample.row {
        // `row/metric #2` keeps its number.
        Some(row) => (format!("{}_{row}", m.id), key[row.len() + 1..].to_owned()),
        None => (m.id.clone(), key.to_owned()),
    }
}

fn unmeasured(case: &CaseRecord) -> Reading {
    let mut reading = Reading::new(&case.model, "", Setting::default());
    reading.status = match case.status {
        CaseStatus::Ignored => Status::Skipped,
        CaseStatus::Failed | CaseStatus::Passed => Status::Failure,
    };
    reading.reason.clone_from(&case.message);
    reading
}

/// Entries that were begun and never recorded: their process was killed, or is at work.
fn unfinished(run: &RunDir, cases: &[CaseRecord]) -> Result<Vec<String>> {
    let known: BTreeSet<String> =
        cases.iter().filter(|c| c.stage != Stage::Validate).map(|c| slug(&c.model)).collect();
    let entry = |name: &str| name.split(BEFORE_IMAGE).next().unwrap_or(name).to_owned();
    let mut found = Vec::new();
    let dirs = fs::read_dir(run.path())
        .with_context(|| format!("cannot list {}", run.path().display()))?;
    for dir in dirs.flatten().filter(|d| d.path().join("attempt-1").is_dir()) {
        let name = dir.file_name().to_string_lossy().into_owned();
        let recorded = fs::read_dir(dir.path())
            .into_iter()
            .flatten()
            .flatten()
            .any(|attempt| attempt.path().join("measurement.json").is_file());
        if !recorded && !known.contains(&name) && !known.contains(&entry(&name)) {
            let path = dir.path();
            found.push(format!(
                "{name} was begun and not recorded: killed, or still running; what it printed is \
                 below {}",
                path.display()
            ));
        }
    }
    found.sort();
    Ok(found)
}
