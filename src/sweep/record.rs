//! `sweep.json`: which Cells a sweep has.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cell, Shard};
use crate::catalog::Model;
use crate::plan::Planner;
use crate::record::RunDir;
use crate::regress::Direction;

/// The format of [`SweepRecord`].
pub const SWEEP_SCHEMA: &str = "mad-sweep/1";

/// `sweep.json` of a run directory, written before the first Cell runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SweepRecord {
    /// [`SWEEP_SCHEMA`].
    pub schema: String,
    /// The Run.
    pub run: String,
    /// Version of this program.
    pub version: String,
    /// Start, RFC 3339, UTC.
    pub started: String,
    /// The part of the Cells that this is, `i/n`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard: Option<String>,
    /// The Cells of this part, in order.
    pub cells: Vec<CellRecord>,
    /// Tags that match nothing.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub unresolved: Vec<Unresolved>,
    /// The Runs that were merged into this one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub merged: Vec<String>,
}

/// One Cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellRecord {
    /// Unique in the sweep.
    pub id: String,
    /// The entry's id.
    pub entry: String,
    /// Hash of the resolved entry.
    pub entry_hash: String,
    /// GPU count, where that is an axis.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ngpus: Option<String>,
    /// Place and value of each axis.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub values: Vec<(String, Value)>,
    /// The command that measures this Cell alone.
    pub command: String,
    /// Which way is better, for the metrics of which the entry says so.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub directions: BTreeMap<String, Direction>,
}

/// A tag that matches nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Unresolved {
    /// The tag.
    pub tag: String,
    /// What is wrong with it.
    pub reason: String,
}

fn directions(model: &Model) -> BTreeMap<String, Direction> {
    let rules = model.entry().regress.iter().flat_map(|regress| &regress.metrics);
    rules.filter_map(|(metric, rule)| Some((metric.clone(), rule.direction?))).collect()
}

impl SweepRecord {
    /// What is written down of these Cells.
    pub(super) fn new(
        run: &RunDir,
        cells: &[Cell],
        unresolved: &[Unresolved],
        shard: Option<Shard>,
        planner: &Planner<'_>,
    ) -> SweepRecord {
        let record = |cell: &Cell| CellRecord {
            id: cell.id.clone(),
            entry: cell.model.id(),
            entry_hash: cell.model.entry_hash(),
            ngpus: cell.ngpus.map(|count| count.to_string()),
            values: cell.values.clone(),
            command: cell.planner(planner).command_for(&cell.model),
            directions: directions(&cell.model),
        };
        SweepRecord {
            schema: SWEEP_SCHEMA.to_owned(),
            run: run.id.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: crate::record::now(),
            shard: shard.map(|shard| shard.to_string()),
            cells: cells.iter().map(record).collect(),
            unresolved: unresolved.to_vec(),
            merged: Vec::new(),
        }
    }

    /// Reads that of a Run.
    ///
    /// # Errors
    /// When it is no sweep, or one of another version.
    pub fn read(run: &RunDir) -> anyhow::Result<SweepRecord> {
        let path = run.path().join("sweep.json");
        let value: Option<Value> = crate::record::read_json(&path)?;
        let Some(value) = value else {
            anyhow::bail!("the run {} is no sweep: it has no sweep.json", run.id);
        };
        let schema = value.get("schema").and_then(Value::as_str).unwrap_or("nothing").to_owned();
        anyhow::ensure!(
            schema == SWEEP_SCHEMA,
            "{} has the format {schema}, this version reads {SWEEP_SCHEMA}; use the version that \
             wrote it",
            path.display()
        );
        Ok(serde_json::from_value(value)?)
    }
}
