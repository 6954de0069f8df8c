//! From the records of run directories into the index.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result, ensure};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::store::{Index, IndexError, RunRows, TuningRows};
use super::timeline::{Measured, Metric, Point, Value};
use crate::record::{
    AttemptFiles, MEASUREMENT_SCHEMA, Measurement, RunRecord, attempts, read_json,
};
use crate::regress::median;
use crate::run::VerdictRecord;
use crate::slug::slug;
use crate::tune::{self, TUNING_FILE, directory};

/// Runs that are in memory at a time, and in one transaction.
const BATCH: usize = 100;

/// Takes in the runs and searches below `base` that are not in `index`, or that have changed
/// since. What cannot be read is left out, named in the result, and tried again next time.
///
/// # Errors
/// When the index cannot be read or written.
pub(super) fn ingest(index: &mut Index, base: &Path) -> Result<Vec<String>, IndexError> {
    let mut problems = Vec::new();
    runs(index, base, &mut problems)?;
    tunings(index, base, &mut problems)?;
    Ok(problems)
}

fn runs(index: &mut Index, base: &Path, problems: &mut Vec<String>) -> Result<(), IndexError> {
    let known: HashSet<(String, String)> =
        index.signatures()?.into_iter().map(|(id, signature)| (slug(&id), signature)).collect();
    let runs = directories(&base.join("runs"), problems);
    let mut batch = Vec::new();
    for name in &runs {
        let dir = base.join("runs").join(name);
        // Without run.json it is none of ours, or not begun yet.
        if !dir.join("run.json").is_file() {
            continue;
        }
        let known = |signature: &str| known.contains(&(name.clone(), signature.to_owned()));
        match read_if_changed(&dir, name, known, problems) {
            Ok(run) => batch.extend(run),
            Err(e) => problems.push(format!("{e:#}")),
        }
        if batch.len() == BATCH {
            index.put(&batch)?;
            batch.clear();
        }
    }
    if !batch.is_empty() {
        index.put(&batch)?;
    }
    Ok(())
}

fn tunings(index: &mut Index, base: &Path, problems: &mut Vec<String>) -> Result<(), IndexError> {
    let known = index.tuning_signatures()?;
    let known: HashSet<(String, String)> =
        known.into_iter().map(|(id, signature)| (slug(&id), signature)).collect();
    let dir = directory(base);
    let mut changed = Vec::new();
    for name in directories(&dir, problems) {
        let dir = dir.join(&name);
        let signature = signature(&[&dir.join(TUNING_FILE), &dir.join("run.json")]);
        // Without a record it has not begun yet.
        if !dir.join(TUNING_FILE).is_file() || known.contains(&(name.clone(), signature.clone())) {
            continue;
        }
        match tuning(&dir, &name, signature) {
            Ok(tuning) => changed.push(tuning),
            Err(e) => problems.push(format!("{e:#}")),
        }
    }
    changed.chunks(BATCH).try_for_each(|batch| index.put_tunings(batch))
}

/// The search in `dir`.
fn tuning(dir: &Path, name: &str, signature: String) -> Result<TuningRows> {
    let path = dir.join(TUNING_FILE);
    let tuning = tune::read(&path)?;
    ensure!(
        slug(&tuning.run) == name,
        "{} is the record of search {}, a copy under another name; it is left out",
        path.display(),
        tuning.run
    );
    let started = second(&tuning.started).with_context(|| time_trouble(&path, &tuning.started))?;
    let run: Option<RunRecord> = read_json(&dir.join("run.json"))?;
    let host = run.map(|run| run.machine.hostname).unwrap_or_default();
    Ok(TuningRows { host, started, signature, tuning })
}

/// Names of what is in `dir`, in order; nothing if there is no such directory.
fn directories(dir: &Path, problems: &mut Vec<String>) -> Vec<String> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(e) => {
            problems.push(format!("cannot list {}: {e}", dir.display()));
            return Vec::new();
        }
    };
    let names = entries.flatten().filter_map(|e| e.file_name().into_string().ok());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// The run in `dir`, unless it looks as it did when it was read.
fn read_if_changed(
    dir: &Path,
    name: &str,
    known: impl Fn(&str) -> bool,
    problems: &mut Vec<String>,
) -> Result<Option<RunRows>> {
    let files = attempts(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let run = dir.join("run.json");
    let records = files.iter().flat_map(|f| [f.measurement.as_path(), f.verdict.as_path()]);
    let signature = signature(&records.chain([run.as_path()]).collect::<Vec<&Path>>());
    if known(&signature) {
        return Ok(None);
    }
    let path = dir.join("run.json");
    let record: RunRecord = read_json(&path)?.context("the run has gone")?;
    ensure!(
        slug(&record.id) == name,
        "{} is the record of run {}, a copy under another name; it is left out",
        path.display(),
        record.id
    );
    let started = second(&record.started).with_context(|| time_trouble(&path, &record.started))?;
    let host = record.machine.hostname;
    let before = problems.len();
    let mut measurements = Vec::new();
    // Of each entry, what came before the attempt at hand.
    let mut since: HashMap<&Path, String> = HashMap::new();
    for file in &files {
        let since = since.entry(&file.entry).or_insert_with(|| started.clone());
        match measured(file, &host, since, problems) {
            Ok(measured) => {
                measured.iter().for_each(|m| since.clone_from(&m.point.started));
                measurements.extend(measured);
            }
            Err(e) => problems.push(format!("{e:#}")),
        }
    }
    let signature = if problems.len() == before { signature } else { String::new() };
    Ok(Some(RunRows { host, id: record.id, started, signature, measurements }))
}

/// What tells whether anything was added to `records`: they are written whole, so number, sizes
/// and newest time of those that are there do.
fn signature(records: &[&Path]) -> String {
    let (mut count, mut bytes, mut newest) = (0, 0, 0);
    for meta in records.iter().filter_map(|path| fs::metadata(path).ok()) {
        let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        count += 1;
        bytes += meta.len();
        newest = newest.max(modified.unwrap_or_default().as_nanos());
    }
    format!("{count} {bytes} {newest}")
}

/// What an attempt measured; none if it was not meant to. `since` is what came before it
/// on `host`.
fn measured(
    file: &AttemptFiles,
    host: &str,
    since: &str,
    problems: &mut Vec<String>,
) -> Result<Option<Measured>> {
    let path = &file.measurement;
    let m: Measurement = read_json(path)?.context("the measurement has gone")?;
    ensure!(
        m.schema == MEASUREMENT_SCHEMA,
        "{} has the format {}, this version reads {MEASUREMENT_SCHEMA}",
        path.display(),
        m.schema
    );
    let entry = file.entry.file_name().unwrap_or_default();
    ensure!(
        entry == slug(&m.id).as_str() && file.attempt == m.attempt,
        "{} is attempt {} of {}, a copy under another name; it is left out",
        path.display(),
        m.attempt,
        m.id
    );
    if m.skipped() {
        return Ok(None);
    }
    let started = second(&m.started).with_context(|| time_trouble(path, &m.started))?;
    // A broken verdict takes nothing from the numbers.
    let verdict: Option<VerdictRecord> = read_json(&file.verdict).unwrap_or_else(|e| {
        problems.push(format!("{e:#}"));
        None
    });
    let outcome = |key: &str| Some(verdict.as_ref()?.metrics.get(key)?.outcome.to_string());
    let mut values = Vec::new();
    if m.failure.is_none() {
        for (name, samples) in m.values() {
            let numbers: Vec<f64> = samples.iter().map(|s| s.value).collect();
            let unit = samples.first().map(|s| s.metric.clone()).unwrap_or_default();
            values.push((
                Metric { unit, name: name.clone() },
                Value {
                    point: 0,
                    median: median(&numbers),
                    executions: u32::try_from(numbers.len()).unwrap_or(u32::MAX),
                    outcome: outcome(&name),
                },
            ));
        }
    }
    let mut times = vec![since.to_owned(), started.clone()];
    times.extend(m.executions.iter().filter_map(|e| second(&e.started)));
    let point = Point {
        run: m.run.clone(),
        host: host.to_owned(),
        attempt: m.attempt,
        started,
        engine: m.engine.clone(),
        commit: m.provenance.commit.clone(),
        image: m.prepared.image.as_ref().map(|image| image.id.clone()),
        failure: m.failure.clone(),
        clock_doubt: !times.is_sorted(),
    };
    Ok(Some(Measured { entry: m.model.clone(), key: m.baseline_key(), point, values }))
}

fn time_trouble(path: &Path, text: &str) -> String {
    format!("{}: `started` is {text:?}, which is no time of RFC 3339", path.display())
}

/// A time in UTC and whole seconds, so that times sort as texts.
fn second(text: &str) -> Option<String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let time = time.checked_to_offset(time::UtcOffset::UTC)?.replace_nanosecond(0).ok()?;
    time.format(&Rfc3339).ok()
}
