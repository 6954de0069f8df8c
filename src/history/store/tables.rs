//! The tables, the same in every database.

/// The version of the tables. With 3 came those of searches; the others are as they were in 2.
pub const VERSION: i32 = 3;

/// What makes the tables. A run is known by its id and its host: two machines may choose the
/// same id. `measurements_in_order` has the runs of one model in the order of its history, and
/// `measurements_of_entry` finds the variants of an entry (`name:arg=value`).
pub(super) const CREATE_RUNS: &str = "
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

/// What makes the tables of searches for a better configuration. `lever` and `value` are those
/// of a candidate that changes one thing; others teach nothing about a lever. `gain` is that of
/// a trustworthy comparison made afresh. `conclusive` is 1 where the candidate failed, was found
/// no better, or was measured afresh; one that looked better and was left at that says nothing.
///
/// `learned_patterns` puts together what was tried to a conclusion, failures included, with the
/// same lever, value, bottleneck, stack and class of machines. A try without a trustworthy gain counts as
/// one of 0. With n tries the gain is the ⌊(n+1)/2⌋-th smallest, the lower median: half of the
/// tries may be wrong in whatever way before it is, and a lever that helped in half of the
/// tries or fewer has learned nothing. `low` and `high` are the lower medians of the tries'
/// own bounds, so that low ≤ gain ≤ high; they do not become narrower with n, because tries in
/// other entries are no repetitions.
pub(super) const CREATE_TUNINGS: &str = "
CREATE TABLE tunings (
    host TEXT NOT NULL,
    id TEXT NOT NULL,
    started TEXT NOT NULL,
    signature TEXT NOT NULL,
    PRIMARY KEY (host, id)
);
CREATE TABLE model_baselines (
    host TEXT NOT NULL,
    tuning TEXT NOT NULL,
    started TEXT NOT NULL,
    model TEXT NOT NULL,
    machine_class TEXT NOT NULL,
    n_gpus BIGINT NOT NULL,
    training_precision TEXT NOT NULL,
    stack TEXT NOT NULL,
    metric TEXT NOT NULL,
    unit TEXT NOT NULL,
    direction TEXT NOT NULL,
    median DOUBLE PRECISION NOT NULL,
    executions BIGINT NOT NULL,
    PRIMARY KEY (host, tuning),
    FOREIGN KEY (host, tuning) REFERENCES tunings (host, id) ON DELETE CASCADE
);
CREATE TABLE optimization_history (
    host TEXT NOT NULL,
    tuning TEXT NOT NULL,
    position BIGINT NOT NULL,
    candidate TEXT NOT NULL,
    started TEXT NOT NULL,
    model TEXT NOT NULL,
    machine_class TEXT NOT NULL,
    n_gpus BIGINT NOT NULL,
    training_precision TEXT NOT NULL,
    stack TEXT NOT NULL,
    bottleneck TEXT NOT NULL,
    change TEXT NOT NULL,
    lever TEXT,
    value TEXT,
    status TEXT NOT NULL,
    because TEXT NOT NULL,
    conclusive BIGINT NOT NULL,
    gain DOUBLE PRECISION,
    low DOUBLE PRECISION,
    high DOUBLE PRECISION,
    PRIMARY KEY (host, tuning, position),
    FOREIGN KEY (host, tuning) REFERENCES tunings (host, id) ON DELETE CASCADE
);
CREATE TABLE best_configurations (
    host TEXT NOT NULL,
    tuning TEXT NOT NULL,
    started TEXT NOT NULL,
    model TEXT NOT NULL,
    machine_class TEXT NOT NULL,
    n_gpus BIGINT NOT NULL,
    training_precision TEXT NOT NULL,
    stack TEXT NOT NULL,
    metric TEXT NOT NULL,
    unit TEXT NOT NULL,
    changes TEXT NOT NULL,
    gain DOUBLE PRECISION NOT NULL,
    low DOUBLE PRECISION NOT NULL,
    high DOUBLE PRECISION NOT NULL,
    PRIMARY KEY (host, tuning),
    FOREIGN KEY (host, tuning) REFERENCES tunings (host, id) ON DELETE CASCADE
);
CREATE VIEW learned_patterns AS
SELECT lever, value, bottleneck, stack, machine_class,
    MAX(tried) AS tried,
    COUNT(gain) AS held,
    MAX(CASE WHEN by_gain = (tried + 1) / 2 THEN COALESCE(gain, 0.0) END) AS gain,
    MAX(CASE WHEN by_low = (tried + 1) / 2 THEN COALESCE(low, 0.0) END) AS low,
    MAX(CASE WHEN by_high = (tried + 1) / 2 THEN COALESCE(high, 0.0) END) AS high
FROM (
    SELECT lever, value, bottleneck, stack, machine_class, gain, low, high,
        COUNT(*) OVER (PARTITION BY lever, value, bottleneck, stack, machine_class) AS tried,
        ROW_NUMBER() OVER (PARTITION BY lever, value, bottleneck, stack, machine_class
            ORDER BY COALESCE(gain, 0.0)) AS by_gain,
        ROW_NUMBER() OVER (PARTITION BY lever, value, bottleneck, stack, machine_class
            ORDER BY COALESCE(low, 0.0)) AS by_low,
        ROW_NUMBER() OVER (PARTITION BY lever, value, bottleneck, stack, machine_class
            ORDER BY COALESCE(high, 0.0)) AS by_high
    FROM optimization_history
    WHERE lever IS NOT NULL AND conclusive = 1
) AS tries
GROUP BY lever, value, bottleneck, stack, machine_class;
";

/// What removes them all.
pub(super) const DROP: &str = "
DROP VIEW IF EXISTS learned_patterns;
DROP TABLE IF EXISTS best_configurations;
DROP TABLE IF EXISTS optimization_history;
DROP TABLE IF EXISTS model_baselines;
DROP TABLE IF EXISTS tunings;
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

/// Tables of which the first knows its rows by host and id; what the others have belongs to one
/// of these, and goes with it.
pub(super) type Family = [Table];

/// What is known of runs.
pub(super) const RUNS: &Family = &[
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

/// What is known of searches for a better configuration.
pub(super) const TUNINGS: &Family = &[
    Table { name: "tunings", columns: &["host", "id", "started", "signature"] },
    Table {
        name: "model_baselines",
        columns: &[
            "host",
            "tuning",
            "started",
            "model",
            "machine_class",
            "n_gpus",
            "training_precision",
            "stack",
            "metric",
            "unit",
            "direction",
            "median",
            "executions",
        ],
    },
    Table {
        name: "optimization_history",
        columns: &[
            "host",
            "tuning",
            "position",
            "candidate",
            "started",
            "model",
            "machine_class",
            "n_gpus",
            "training_precision",
            "stack",
            "bottleneck",
            "change",
            "lever",
            "value",
            "status",
            "because",
            "conclusive",
            "gain",
            "low",
            "high",
        ],
    },
    Table {
        name: "best_configurations",
        columns: &[
            "host",
            "tuning",
            "started",
            "model",
            "machine_class",
            "n_gpus",
            "training_precision",
            "stack",
            "metric",
            "unit",
            "changes",
            "gain",
            "low",
            "high",
        ],
    },
];
