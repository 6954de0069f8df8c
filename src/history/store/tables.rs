//! The tables, the same in every database.

/// The version of the tables.
pub const VERSION: i32 = 2;

/// What makes the tables. A run is known by its id and its host: two machines may choose the
/// same id. `measurements_in_order` has the runs of one model in the order of its history, and
/// `measurements_of_entry` finds the variants of an entry (`name:arg=value`).
pub(super) const CREATE: &str = "
CREATE TABLE runs (
    host TEXT NOT NULL,
    id TEXT NOT NULL,
    started TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (host, id)
);
CREATE TABLE measurements (
    host TEXT NOT NULL,
    run TEXT NOT NULL,
    model TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    entry TEXT NOT NULL,
    machine_class TEXT NOT NULL,
    n_gpus BIGINT NOT NULL,
    training_precision TEXT NOT NULL,
    engine TEXT NOT NULL,
    started TEXT NOT NULL,
    commit_id TEXT,
    image_id TEXT,
    failure TEXT,
    clock_doubt BIGINT NOT NULL,
    PRIMARY KEY (host, run, model, attempt),
    FOREIGN KEY (host, run) REFERENCES runs (host, id) ON DELETE CASCADE
);
CREATE INDEX measurements_in_order ON measurements
    (model, machine_class, n_gpus, training_precision, started, run, host, attempt);
CREATE INDEX measurements_of_entry ON measurements (entry, model);
CREATE TABLE metric_values (
    host TEXT NOT NULL,
    run TEXT NOT NULL,
    model TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    metric TEXT NOT NULL,
    unit TEXT NOT NULL,
    median DOUBLE PRECISION NOT NULL,
    executions BIGINT NOT NULL,
    outcome TEXT,
    PRIMARY KEY (host, run, model, attempt, metric),
    FOREIGN KEY (host, run, model, attempt)
        REFERENCES measurements (host, run, model, attempt) ON DELETE CASCADE
);
";

/// What removes them.
pub(super) const DROP: &str = "
DROP TABLE IF EXISTS metric_values;
DROP TABLE IF EXISTS measurements;
DROP TABLE IF EXISTS runs;
";

/// A table as rows are put into it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [&'static str],
}

/// The tables, each after those that it refers to.
pub(super) const TABLES: [Table; 3] = [
    Table { name: "runs", columns: &["host", "id", "started", "signature"] },
    Table {
        name: "measurements",
        columns: &[
            "host",
            "run",
            "model",
            "attempt",
            "entry",
            "machine_class",
            "n_gpus",
            "training_precision",
            "engine",
            "started",
            "commit_id",
            "image_id",
            "failure",
            "clock_doubt",
        ],
    },
    Table {
        name: "metric_values",
        columns: &[
            "host",
            "run",
            "model",
            "attempt",
            "metric",
            "unit",
            "median",
            "executions",
            "outcome",
        ],
    },
];
