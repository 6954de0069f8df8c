//! What came of a sweep, from its records alone.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::run::unresolved_id;
use super::scaling::{Scaling, scaling};
use super::{CellRecord, IsolationRecord, SweepRecord};
use crate::contract::Exit;
use crate::record::{self, CaseRecord, CaseStatus, Measurement, RunDir, Stage};
use crate::regress::{Direction, infer, median};
use crate::slug::{BEFORE_IMAGE, slug};

/// The format of [`Synthesis`].
pub const SYNTHESIS_SCHEMA: &str = "mad-sweep-report/1";
/// Efficiency below which a Cell is worth a look.
const POOR: f64 = 0.7;
/// Lines of each kind among those that are worth a look.
const SHOWN: usize = 10;

/// What a sweep says.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Synthesis {
    /// [`SYNTHESIS_SCHEMA`].
    pub schema: String,
    /// The Run.
    pub run: String,
    /// Whether the machine was only pretended.
    pub simulated: bool,
    /// What matters most, in one line.
    pub headline: String,
    /// The Cells, counted.
    pub counts: Counts,
    /// Seconds from the start of the first Cell to the end of the last one.
    pub makespan_s: f64,
    /// Seconds that all Cells took together.
    pub cell_seconds: f64,
    /// The Cells, in order.
    pub cells: Vec<CellResult>,
    /// The best and the worst Cell of each metric.
    pub extremes: Vec<Extreme>,
    /// How metrics change with the number of GPUs.
    pub scaling: Vec<Scaling>,
    /// What to look at, the worst first.
    pub look_at: Vec<String>,
}

/// Cells by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// All of them, unresolved tags included.
    pub cells: usize,
    /// With a number.
    pub passed: usize,
    /// Failed, timed out included.
    pub failed: usize,
    /// Of these, ended when their time was up.
    pub timed_out: usize,
    /// Cannot run here.
    pub skipped: usize,
    /// Tags that match nothing.
    pub unresolved: usize,
    /// Not started, because something ended the sweep.
    pub not_run: usize,
}

/// How a Cell ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CellStatus {
    /// With a number.
    Success,
    /// Without one.
    Failure,
    /// Ended when its time was up.
    Timeout,
    /// It cannot run here.
    Skipped,
    /// The tag matches nothing.
    Unresolved,
    /// It was not started.
    NotRun,
}

impl CellStatus {
    /// The word for it in tables.
    pub fn word(self) -> &'static str {
        match self {
            CellStatus::Success => "SUCCESS",
            CellStatus::Failure => "FAILURE",
            CellStatus::Timeout => "TIMEOUT",
            CellStatus::Skipped => "SKIPPED",
            CellStatus::Unresolved => "UNRESOLVED",
            CellStatus::NotRun => "NOT RUN",
        }
    }
}

/// One Cell and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct CellResult {
    /// Its id.
    pub id: String,
    /// The entry's id; the tag, where it matches nothing.
    pub entry: String,
    /// GPUs that it had, or was to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n_gpus: Option<u32>,
    /// Place and value of each axis.
    pub values: Vec<(String, Value)>,
    /// The command that measures it alone.
    pub command: String,
    /// How it ended.
    pub status: CellStatus,
    /// Why it has no number, if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Its numbers, medians over its Executions.
    pub numbers: Vec<Number>,
    /// Seconds it took.
    pub duration_s: f64,
    /// What the user should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// One number of a Cell.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Number {
    /// The metric, or `row/metric`.
    pub key: String,
    /// The unit word.
    pub metric: String,
    /// The number, in that unit.
    pub value: f64,
    /// Which way is better.
    pub better: Direction,
}

/// The ends of one metric among Cells.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Extreme {
    /// The metric, with its unit word.
    pub metric: String,
    /// Which way is better.
    pub better: Direction,
    /// The best Cell (the one with the highest number, while the direction is unknown).
    pub best: (String, f64),
    /// The worst Cell.
    pub worst: (String, f64),
}

/// What came of the sweep in `run`.
///
/// # Errors
/// When a record is broken or of another version.
pub fn synthesis(run: &RunDir) -> Result<Synthesis> {
    let sweep = SweepRecord::read(run)?;
    let cases = run.cases()?;
    let cases: HashMap<&str, &CaseRecord> = cases
        .iter()
        .filter(|case| case.stage == Stage::Bench)
        .map(|case| (case.model.as_str(), case))
        .collect();
    let measured = Measured::read(run)?;
    let mut cells: Vec<CellResult> = sweep
        .cells
        .iter()
        .map(|cell| result(cell, cases.get(cell.id.as_str()).copied(), measured.of(&cell.id)))
        .collect();
    cells.extend(sweep.unresolved.iter().map(|tag| CellResult {
        id: unresolved_id(&tag.tag),
        entry: tag.tag.clone(),
        n_gpus: None,
        values: Vec::new(),
        command: "-".to_owned(),
        status: CellStatus::Unresolved,
        reason: tag.reason.clone(),
        numbers: Vec::new(),
        duration_s: 0.0,
        warnings: Vec::new(),
    }));
    let isolation: Option<IsolationRecord> = record::read_json(&run.path().join("isolation.json"))?;
    let counts = Counts::of(&cells);
    let scaling = scaling(&cells);
    let extremes = extremes(&cells);
    Ok(Synthesis {
        schema: SYNTHESIS_SCHEMA.to_owned(),
        run: run.id.clone(),
        simulated: run.read_run()?.machine.simulated,
        headline: counts.headline(),
        look_at: look_at(&cells, &scaling, isolation.as_ref()),
        makespan_s: measured.makespan_s(),
        cell_seconds: cells.iter().map(|cell| cell.duration_s).sum(),
        counts,
        cells,
        extremes,
        scaling,
    })
}

/// The Measurements of a Run by Cell.
struct Measured {
    by_dir: BTreeMap<String, Measurement>,
}

impl Measured {
    fn read(run: &RunDir) -> Result<Measured> {
        let mut by_dir = BTreeMap::new();
        // In order of attempts: the newest one of each stays.
        for files in record::attempts(run.path())? {
            let name = files.entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(m) = record::read_json::<Measurement>(&files.measurement)? {
                by_dir.insert(name, m);
            }
        }
        Ok(Measured { by_dir })
    }

    /// Those of one Cell: one per image.
    fn of(&self, cell: &str) -> Vec<&Measurement> {
        let own = slug(cell);
        let images = format!("{own}{BEFORE_IMAGE}");
        let from = self.by_dir.range(images.clone()..);
        let of_images = from.take_while(|(dir, _)| dir.starts_with(&images)).map(|(_, m)| m);
        self.by_dir.get(&own).into_iter().chain(of_images).collect()
    }

    /// Seconds from the first start to the last end.
    fn makespan_s(&self) -> f64 {
        let held = || self.by_dir.values().flat_map(|m| &m.executions).filter_map(|e| e.held);
        let first = held().map(|(from, _)| from).fold(f64::INFINITY, f64::min);
        let last = held().map(|(_, to)| to).fold(0.0, f64::max);
        (last - first).max(0.0)
    }
}

fn result(cell: &CellRecord, case: Option<&CaseRecord>, found: Vec<&Measurement>) -> CellResult {
    let timed_out = found
        .iter()
        .flat_map(|m| &m.executions)
        .any(|e| matches!(e.exit, Exit::TimedOut { .. }) && e.failure.is_some());
    let status = match case.map(|case| case.status) {
        // Killed between the measurement and the word about it: the measurement counts.
        None if !found.is_empty() && found.iter().all(|m| m.failure.is_none()) => {
            CellStatus::Success
        }
        None => CellStatus::NotRun,
        Some(CaseStatus::Passed) => CellStatus::Success,
        Some(CaseStatus::Ignored) => CellStatus::Skipped,
        Some(CaseStatus::Failed) if timed_out => CellStatus::Timeout,
        Some(CaseStatus::Failed) => CellStatus::Failure,
    };
    let several = found.len() > 1;
    let numbers = found.iter().flat_map(|m| {
        m.values().into_iter().map(move |(key, samples)| {
            let values: Vec<f64> = samples.iter().map(|s| s.value).collect();
            let image = m.id.rfind('@').filter(|_| several).map_or("", |at| &m.id[at..]);
            let metric = samples[0].metric.clone();
            let said = cell.directions.get(&key).or_else(|| cell.directions.get(&metric));
            Number {
                key: format!("{key}{image}"),
                value: median(&values),
                better: said.copied().unwrap_or_else(|| infer(&metric)),
                metric,
            }
        })
    });
    let numbers = if status == CellStatus::Success { numbers.collect() } else { Vec::new() };
    let counted = found
        .iter()
        .map(|m| m.build_duration_s + m.executions.iter().map(|e| e.duration_s).sum::<f64>());
    CellResult {
        id: cell.id.clone(),
        entry: cell.entry.clone(),
        n_gpus: found
            .first()
            .map(|m| m.n_gpus)
            .or_else(|| cell.ngpus.as_ref().and_then(|n| n.parse().ok())),
        values: cell.values.clone(),
        command: cell.command.clone(),
        status,
        reason: match status {
            CellStatus::Success => String::new(),
            CellStatus::NotRun => "not started".to_owned(),
            // Where it could run, the command of the Cell says.
            CellStatus::Skipped => {
                let message = case.map(|case| case.message.as_str()).unwrap_or_default();
                message.split("; on a host that could:").next().unwrap_or_default().to_owned()
            }
            _ => case.map(|case| case.message.clone()).unwrap_or_default(),
        },
        numbers,
        duration_s: counted.sum(),
        warnings: found.iter().flat_map(|m| m.warnings.clone()).collect(),
    }
}

impl Counts {
    fn of(cells: &[CellResult]) -> Counts {
        let count = |status: CellStatus| cells.iter().filter(|c| c.status == status).count();
        Counts {
            cells: cells.len(),
            passed: count(CellStatus::Success),
            failed: count(CellStatus::Failure) + count(CellStatus::Timeout),
            timed_out: count(CellStatus::Timeout),
            skipped: count(CellStatus::Skipped),
            unresolved: count(CellStatus::Unresolved),
            not_run: count(CellStatus::NotRun),
        }
    }

    fn headline(&self) -> String {
        let mut parts = vec![format!("{} of {} cells have numbers", self.passed, self.cells)];
        let timed_out = match self.timed_out {
            0 => String::new(),
            n => format!(" ({n} timed out)"),
        };
        for (count, word) in [
            (self.failed, format!("failed{timed_out}")),
            (self.unresolved, "unresolved".to_owned()),
            (self.skipped, "skipped".to_owned()),
            (self.not_run, "not run".to_owned()),
        ] {
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        parts.join(", ")
    }
}

/// The ends of each metric: the same row, unit and direction, never across units.
fn extremes(cells: &[CellResult]) -> Vec<Extreme> {
    type Metric<'a> = (&'a str, &'a str, Direction);
    let mut by_metric: IndexMap<Metric<'_>, Vec<(&str, f64)>> = IndexMap::new();
    for cell in cells {
        for n in &cell.numbers {
            let metric = (n.key.as_str(), n.metric.as_str(), n.better);
            by_metric.entry(metric).or_default().push((&cell.id, n.value));
        }
    }
    by_metric.sort_by(|(key, metric, _), _, (other, unit, _), _| (key, metric).cmp(&(other, unit)));
    let extreme = |((key, _, better), mut values): (Metric<'_>, Vec<(&str, f64)>)| {
        values.sort_by(|a, b| match better {
            Direction::Lower => a.1.total_cmp(&b.1),
            _ => b.1.total_cmp(&a.1),
        });
        let of = |at: &(&str, f64)| (at.0.to_owned(), at.1);
        let (best, worst) = (values.first().map(of)?, values.last().map(of)?);
        (values.len() > 1).then(|| Extreme { metric: key.to_owned(), better, best, worst })
    };
    by_metric.into_iter().filter_map(extreme).collect()
}

/// What to look at, the worst first.
fn look_at(
    cells: &[CellResult],
    scaling: &[Scaling],
    isolation: Option<&IsolationRecord>,
) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |found: Vec<String>| {
        let more = found.len().saturating_sub(SHOWN);
        lines.extend(found.into_iter().take(SHOWN));
        if more > 0 {
            lines.push(format!("… and {more} more of these"));
        }
    };
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let of = |wanted: &[CellStatus]| -> Vec<String> {
        let cells = cells.iter().filter(|c| wanted.contains(&c.status));
        cells.map(|c| format!("{}: {}: {}", c.id, c.status.word(), first(&c.reason))).collect()
    };
    add(of(&[CellStatus::Unresolved]));
    add(of(&[CellStatus::Failure, CellStatus::Timeout]));
    add(isolation.map(IsolationRecord::shifts).unwrap_or_default());
    let poor = scaling.iter().flat_map(|s| {
        let poor = s.points.iter().filter(|p| p.efficiency < POOR);
        poor.map(|p| {
            format!(
                "{}: {} at {} GPUs is {:.2}× that of {}, {:.0} % of ideal",
                p.cell,
                s.metric,
                p.n_gpus,
                p.speedup,
                s.points[0].n_gpus,
                100.0 * p.efficiency
            )
        })
    });
    add(poor.collect());
    let warned = cells.iter().flat_map(|c| c.warnings.iter().map(|w| format!("{}: {w}", c.id)));
    add(warned.collect());
    add(of(&[CellStatus::Skipped]));
    lines
}
