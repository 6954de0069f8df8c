//! What the index holds about one model on one kind of machine.

use std::collections::BTreeMap;

use crate::baseline::Key;

/// One Measurement, of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Point {
    pub(super) run: String,
    /// Name of the machine.
    pub(super) host: String,
    pub(super) attempt: u32,
    /// Start, RFC 3339, UTC, whole seconds: sorts as text.
    pub(super) started: String,
    pub(super) engine: String,
    pub(super) commit: Option<String>,
    pub(super) image: Option<String>,
    /// Why there is no number.
    pub(super) failure: Option<String>,
    /// Whether its records contradict each other about when it was.
    pub(super) clock_doubt: bool,
}

/// A metric in its unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Metric {
    pub(super) name: String,
    pub(super) unit: String,
}

/// A metric's number in one Measurement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Value {
    /// Index among the points of its [`Timeline`].
    pub(super) point: usize,
    pub(super) median: f64,
    /// Executions behind it.
    pub(super) executions: u32,
    /// What the gate said.
    pub(super) outcome: Option<String>,
}

/// One Measurement with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Measured {
    /// The entry without added arguments.
    pub(super) entry: String,
    pub(super) key: Key,
    pub(super) point: Point,
    /// Their `point` means nothing here.
    pub(super) values: Vec<(Metric, Value)>,
}

/// All that was measured under one key, oldest first.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) key: Key,
    pub(super) points: Vec<Point>,
    pub(super) values: BTreeMap<Metric, Vec<Value>>,
}
