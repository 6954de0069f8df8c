//! Where results come from, and what they are before anything is made of them.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::collect::Collector;
use super::{Conclusion, Kind, Origin, Series, Setting, Status, csv_file, json_file, records};
use crate::record::{CaseRecord, RunDir, RunRecord};
use crate::regress::Verdict;

/// Results, read.
#[derive(Debug)]
pub struct Source {
    /// What they are.
    pub origin: Origin,
    /// One per model, metric and setting.
    pub readings: Vec<Reading>,
    /// What could not be read or is missing.
    pub problems: Vec<String>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// The Run, if it is one.
    pub run: Option<RunRecord>,
    /// Its cases, as they were asked.
    pub cases: Vec<CaseRecord>,
}

/// One metric of one model, as a source has it; without a metric where there is no number.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The entry; `<entry>_<row>` in files of rows.
    pub model: String,
    /// The metric, or `row/metric`.
    pub metric: String,
    /// What a file of rows would call model and metric, where that differs.
    pub alias: Option<(String, String)>,
    /// What it was measured with.
    pub setting: Setting,
    /// How it ended.
    pub status: Status,
    /// Why there is no number.
    pub reason: String,
    /// The numbers, one per Execution; one in a file of rows.
    pub values: Vec<f64>,
    /// The number as it was written, if it is one.
    pub text: String,
    /// Numbers of earlier rows of the same file, oldest first.
    pub earlier: Vec<f64>,
    /// Still earlier ones that were not kept.
    pub earlier_left_out: u64,
    /// Numbers of earlier Runs.
    pub history: Series,
    /// The accepted number, as the source has it.
    pub baseline: Option<f64>,
    /// The change against the accepted number, as the source has it.
    pub change: Option<f64>,
    /// What the gate said.
    pub verdict: Option<Verdict>,
    /// What the gate said, where there is no Verdict.
    pub conclusion: Option<Conclusion>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Logs of its Executions.
    pub logs: Vec<PathBuf>,
}

impl Reading {
    /// One that has nothing to say yet.
    pub(super) fn new(model: &str, metric: &str, setting: Setting) -> Reading {
        Reading {
            model: model.to_owned(),
            metric: metric.to_owned(),
            alias: None,
            setting,
            status: Status::Success,
            reason: String::new(),
            values: Vec::new(),
            text: String::new(),
            earlier: Vec::new(),
            earlier_left_out: 0,
            history: Series::default(),
            baseline: None,
            change: None,
            verdict: None,
            conclusion: None,
            notes: Vec::new(),
            logs: Vec::new(),
        }
    }

    /// Model and metric as every kind of source calls them.
    pub(super) fn name(&self) -> (&str, &str) {
        match &self.alias {
            Some((model, metric)) => (model, metric),
            None => (&self.model, &self.metric),
        }
    }

    /// The metric's unit word.
    pub(super) fn unit(&self) -> &str {
        self.name().1
    }

    /// All numbers the source has of it, oldest first.
    pub(super) fn all(&self) -> Vec<f64> {
        self.earlier.iter().chain(&self.values).copied().collect()
    }
}

impl Source {
    /// Opens what `name` means: `latest`, a file (told by its content), a run directory or
    /// the id of a run below `run_dir`.
    ///
    /// # Errors
    /// When there is no such thing, or it cannot be read.
    pub fn open(name: &str, run_dir: &Path) -> Result<Source> {
        let path = Path::new(name);
        if name != "latest" && path.exists() && !path.is_dir() {
            return Source::file(path).with_context(|| format!("cannot report {name}"));
        }
        if path.is_dir() && !path.join("run.json").is_file() && !name.is_empty() {
            bail!(
                "{name} is a directory without run.json: name a run directory, a perf.csv or a \
                 perf_entry_super.json"
            );
        }
        let run = RunDir::find(run_dir, name).with_context(|| match name {
            "latest" => "name results: a run, a perf.csv, a perf_entry_super.json".to_owned(),
            _ => format!("{name} is neither a file nor a run"),
        })?;
        Source::run(&run)
    }

    /// Reads a file of rows.
    ///
    /// # Errors
    /// When it cannot be read or is of no known kind.
    pub fn file(path: &Path) -> Result<Source> {
        let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
        let mut collector = Collector::default();
        let kind = match json_file::first_byte(&mut file)? {
            Some(b'[' | b'{') => {
                json_file::read(file, &mut collector)?;
                Kind::Json
            }
            _ => {
                csv_file::read(file, &mut collector)?;
                Kind::Csv
            }
        };
        let read = collector.read;
        let (readings, mut problems) = collector.finish();
        if read == 0 {
            problems.push("it has no rows".to_owned());
        }
        let name = path.display().to_string();
        let problems = problems.into_iter().map(|p| format!("{name}: {p}")).collect();
        let mut notes = Vec::new();
        let earlier: u64 =
            readings.iter().map(|r| r.earlier.len() as u64 + r.earlier_left_out).sum();
        if earlier > 0 {
            notes.push(format!(
                "{name}: {read} rows; the last one of each model, metric and setting counts, \
                 earlier ones are its history"
            ));
        }
        let origin = Origin { name, kind, started: None, read };
        Ok(Source { origin, readings, problems, notes, run: None, cases: Vec::new() })
    }

    /// Reads a run directory.
    ///
    /// # Errors
    /// When a record is missing or broken.
    pub fn run(run: &RunDir) -> Result<Source> {
        records::read(run)
    }
}
