//! The index of past runs: one SQLite file, and all the SQL there is.
//!
//! Everything in it comes from the records of run directories and can be made anew from them.
//! The statements are plain SQL with natural keys, so that another database can have the
//! same tables; what is SQLite's own is in [`Index::open`] and [`Index::prepare`].

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Row, Transaction, params};

use super::timeline::{Measured, Metric, Point, Timeline, Value};
use crate::baseline::Key;

/// The version of the tables; `user_version` of the file.
pub const VERSION: i32 = 1;

/// `application_id` of the file: that it is ours.
const APPLICATION: i32 = i32::from_be_bytes(*b"madh");

/// How long another process may hold the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// `measurements_in_order` has the runs of one model in the order of its history, and
/// `measurements_of_entry` finds the variants of an entry (`name:arg=value`).
const TABLES: &str = "
CREATE TABLE runs (
    id TEXT NOT NULL PRIMARY KEY,
    started TEXT NOT NULL,
    signature TEXT NOT NULL
);
CREATE TABLE measurements (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    entry TEXT NOT NULL,
    machine_class TEXT NOT NULL,
    n_gpus INTEGER NOT NULL,
    training_precision TEXT NOT NULL,
    engine TEXT NOT NULL,
    started TEXT NOT NULL,
    commit_id TEXT,
    image_id TEXT,
    failure TEXT,
    clock_doubt INTEGER NOT NULL,
    PRIMARY KEY (run, model, attempt)
);
CREATE INDEX measurements_in_order ON measurements
    (model, machine_class, n_gpus, training_precision, started, run, attempt);
CREATE INDEX measurements_of_entry ON measurements (entry, model);
CREATE TABLE metric_values (
    run TEXT NOT NULL,
    model TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    metric TEXT NOT NULL,
    unit TEXT NOT NULL,
    median DOUBLE PRECISION NOT NULL,
    executions INTEGER NOT NULL,
    outcome TEXT,
    PRIMARY KEY (run, model, attempt, metric),
    FOREIGN KEY (run, model, attempt) REFERENCES measurements (run, model, attempt)
        ON DELETE CASCADE
);
";

const DROP: &str = "
DROP TABLE IF EXISTS metric_values;
DROP TABLE IF EXISTS measurements;
DROP TABLE IF EXISTS runs;
";

const SIGNATURES: &str = "SELECT id, signature FROM runs";
const RUN_COUNT: &str = "SELECT COUNT(*) FROM runs";
const FORGET_RUN: &str = "DELETE FROM runs WHERE id = ?1";
const ADD_RUN: &str = "INSERT INTO runs (id, started, signature) VALUES (?1, ?2, ?3)";
const ADD_MEASUREMENT: &str = "
INSERT INTO measurements (run, model, attempt, entry, machine_class, n_gpus, training_precision,
    engine, started, commit_id, image_id, failure, clock_doubt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const ADD_VALUE: &str = "
INSERT INTO metric_values (run, model, attempt, metric, unit, median, executions, outcome)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
const MODELS: &str = "SELECT DISTINCT model FROM measurements ORDER BY model";
const MODELS_OF: &str = "
SELECT model FROM measurements WHERE model = ?1
UNION SELECT model FROM measurements WHERE entry = ?1 ORDER BY 1";
const KEYS: &str = "
SELECT DISTINCT machine_class, n_gpus, training_precision FROM measurements WHERE model = ?1
ORDER BY machine_class, n_gpus, training_precision";
const TIMELINE: &str = "
SELECT m.run, m.attempt, m.started, m.engine, m.commit_id, m.image_id, m.failure, m.clock_doubt,
    v.metric, v.unit, v.median, v.executions, v.outcome
FROM measurements m LEFT JOIN metric_values v
    ON v.run = m.run AND v.model = m.model AND v.attempt = m.attempt
WHERE m.model = ?1 AND m.machine_class = ?2 AND m.n_gpus = ?3 AND m.training_precision = ?4
ORDER BY m.started, m.run, m.attempt";

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A version of the tables that this program does not know.
    #[error(
        "{} is from a newer version of mad (tables of version {found}, this one reads {VERSION}); \
         use that version, or keep a second index: mad history --rebuild --database FILE",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i32,
    },
    /// A database of another program.
    #[error(
        "{} is a database, but not one of mad's; name another file with --database", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// What SQLite says.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
}

/// One run as it goes into the index.
#[derive(Debug)]
pub(super) struct RunRows {
    pub(super) id: String,
    pub(super) started: String,
    /// Empty for a run that is to be read again.
    pub(super) signature: String,
    pub(super) measurements: Vec<Measured>,
}

/// The index of past runs.
#[derive(Debug)]
pub(super) struct Index {
    connection: Connection,
}

impl Index {
    /// The index in `path`, made when missing. Waits a few seconds for a process that holds it.
    ///
    /// The journal is SQLite's default, not a write-ahead log: that needs memory shared between
    /// processes, which file systems of clusters do not have, and leaves two more files.
    pub(super) fn open(path: &Path) -> Result<Index, IndexError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Index::prepare(Connection::open_with_flags(path, flags)?, path)
    }

    /// An index in memory.
    pub(super) fn in_memory() -> Result<Index, IndexError> {
        Index::prepare(Connection::open_in_memory()?, Path::new(":memory:"))
    }

    fn prepare(mut connection: Connection, path: &Path) -> Result<Index, IndexError> {
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        if version(&connection, path)? == 0 {
            // Another process may be as far as this one.
            let write =
                connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            if version(&write, path)? == 0 {
                make_tables(&write)?;
            }
            write.commit()?;
        }
        Ok(Index { connection })
    }

    /// Empties it.
    pub(super) fn clear(&mut self) -> Result<(), IndexError> {
        let write = self.write()?;
        write.execute_batch(DROP)?;
        make_tables(&write)?;
        Ok(write.commit()?)
    }

    /// The runs that are in, each with what it looked like then.
    pub(super) fn signatures(&self) -> Result<HashMap<String, String>, IndexError> {
        let mut statement = self.connection.prepare(SIGNATURES)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Puts runs in, all or none, in the place of what there was of them.
    pub(super) fn put(&mut self, runs: &[RunRows]) -> Result<(), IndexError> {
        let write = self.write()?;
        for run in runs {
            put(&write, run)?;
        }
        Ok(write.commit()?)
    }

    /// Number of runs.
    pub(super) fn runs(&self) -> Result<u32, IndexError> {
        Ok(self.connection.query_row(RUN_COUNT, [], |row| row.get(0))?)
    }

    /// Ids of all models, in order.
    pub(super) fn models(&self) -> Result<Vec<String>, IndexError> {
        self.texts(MODELS, [])
    }

    /// The model of this id, or all variants of the entry of this name.
    pub(super) fn models_of(&self, name: &str) -> Result<Vec<String>, IndexError> {
        self.texts(MODELS_OF, [name])
    }

    /// On what a model ran.
    pub(super) fn keys(&self, model: &str) -> Result<Vec<Key>, IndexError> {
        let mut statement = self.connection.prepare_cached(KEYS)?;
        let rows = statement.query_map([model], |row| {
            Ok(Key {
                machine_class: row.get(0)?,
                model: model.to_owned(),
                n_gpus: row.get(1)?,
                precision: row.get(2)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Everything that was measured under `key`, oldest first.
    pub(super) fn timeline(&self, key: &Key) -> Result<Timeline, IndexError> {
        let mut statement = self.connection.prepare_cached(TIMELINE)?;
        let mut rows =
            statement.query(params![key.model, key.machine_class, key.n_gpus, key.precision])?;
        let (mut points, mut values) = (Vec::<Point>::new(), BTreeMap::<Metric, Vec<Value>>::new());
        while let Some(row) = rows.next()? {
            let point = point(row)?;
            let same = |last: &Point| last.run == point.run && last.attempt == point.attempt;
            if !points.last().is_some_and(same) {
                points.push(point);
            }
            if let Some(name) = row.get(8)? {
                let metric = Metric { name, unit: row.get(9)? };
                values.entry(metric).or_default().push(Value {
                    point: points.len() - 1,
                    median: row.get(10)?,
                    executions: row.get(11)?,
                    outcome: row.get(12)?,
                });
            }
        }
        Ok(Timeline { key: key.clone(), points, values })
    }

    fn texts(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<String>, IndexError> {
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map(parameters, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn write(&mut self) -> Result<Transaction<'_>, rusqlite::Error> {
        // Waits here for other writers, rather than failing in the middle.
        self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
    }
}

/// The version of the tables; 0 for a file without any.
fn version(connection: &Connection, path: &Path) -> Result<i32, IndexError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let (application, found) = (pragma("application_id")?, pragma("user_version")?);
    let count = "SELECT COUNT(*) FROM sqlite_master";
    let tables: i32 = connection.query_row(count, [], |row| row.get(0))?;
    match (application, found) {
        (APPLICATION, VERSION) => Ok(VERSION),
        (APPLICATION, _) if found > VERSION => {
            Err(IndexError::Newer { path: path.to_owned(), found })
        }
        (0, 0) if tables == 0 => Ok(0),
        _ => Err(IndexError::Foreign { path: path.to_owned() }),
    }
}

fn make_tables(write: &Transaction<'_>) -> Result<(), rusqlite::Error> {
    write.execute_batch(TABLES)?;
    write.pragma_update(None, "application_id", APPLICATION)?;
    write.pragma_update(None, "user_version", VERSION)
}

fn put(write: &Transaction<'_>, run: &RunRows) -> Result<(), rusqlite::Error> {
    write.prepare_cached(FORGET_RUN)?.execute([&run.id])?;
    write.prepare_cached(ADD_RUN)?.execute([&run.id, &run.started, &run.signature])?;
    for Measured { entry, key, point, values } in &run.measurements {
        write.prepare_cached(ADD_MEASUREMENT)?.execute(params![
            run.id,
            key.model,
            point.attempt,
            entry,
            key.machine_class,
            key.n_gpus,
            key.precision,
            point.engine,
            point.started,
            point.commit,
            point.image,
            point.failure,
            point.clock_doubt,
        ])?;
        for (metric, value) in values {
            write.prepare_cached(ADD_VALUE)?.execute(params![
                run.id,
                key.model,
                point.attempt,
                metric.name,
                metric.unit,
                value.median,
                value.executions,
                value.outcome,
            ])?;
        }
    }
    Ok(())
}

fn point(row: &Row<'_>) -> Result<Point, rusqlite::Error> {
    Ok(Point {
        run: row.get(0)?,
        attempt: row.get(1)?,
        started: row.get(2)?,
        engine: row.get(3)?,
        commit: row.get(4)?,
        image: row.get(5)?,
        failure: row.get(6)?,
        clock_doubt: row.get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One model's history is read through an index, in order: no scan, no sort.
    #[test]
    fn a_timeline_is_read_without_a_scan() {
        let index = Index::in_memory().unwrap();
        for (sql, parameters) in [(TIMELINE, 4), (KEYS, 1), (MODELS_OF, 1)] {
            let explain = format!("EXPLAIN QUERY PLAN {sql}");
            let mut statement = index.connection.prepare(&explain).unwrap();
            let parameters = rusqlite::params_from_iter(vec!["m"; parameters]);
            let steps = statement.query_map(parameters, |row| row.get::<_, String>(3)).unwrap();
            let plan: Vec<String> = steps.map(Result::unwrap).collect();
            let bad = |step: &String| step.starts_with("SCAN") || step.contains("FOR ORDER BY");
            assert!(!plan.iter().any(bad), "{plan:?}");
        }
    }

    /// Runs of one model, several of them at the same second.
    fn runs() -> impl Strategy<Value = Vec<RunRows>> {
        let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
        let value = prop::option::of((finite, 1..9_u32));
        let run = (0..5_u8, value, prop::option::of(".{0,8}"), any::<bool>());
        prop::collection::vec(run, 1..12).prop_map(|runs| {
            let row = |(i, (second, value, text, doubt))| row(i, second, value, text, doubt);
            runs.into_iter().enumerate().map(row).collect()
        })
    }

    fn row(
        i: usize,
        second: u8,
        value: Option<(f64, u32)>,
        text: Option<String>,
        clock_doubt: bool,
    ) -> RunRows {
        let (id, started) = (format!("r{i}"), format!("2026-01-01T00:00:0{second}Z"));
        let point = Point {
            run: id.clone(),
            attempt: 1,
            started: started.clone(),
            engine: "host".to_owned(),
            commit: text.clone(),
            image: text.clone(),
            failure: value.is_none().then(|| "why".to_owned()),
            clock_doubt,
        };
        let metric = Metric { name: "row/ms".to_owned(), unit: "ms".to_owned() };
        let value =
            value.map(|(median, executions)| Value { point: 0, median, executions, outcome: text });
        let values = value.into_iter().map(|v| (metric.clone(), v)).collect();
        let measured = Measured { entry: "m".to_owned(), key: key(), point, values };
        RunRows { id, started, signature: String::new(), measurements: vec![measured] }
    }

    fn key() -> Key {
        let (machine_class, model) = ("box".to_owned(), "m".to_owned());
        Key { machine_class, model, n_gpus: 8, precision: "fp16".to_owned() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// What is put in comes back in order, once, however often it was put in.
        #[test]
        fn what_is_put_in_comes_back(runs in runs()) {
            let mut index = Index::in_memory().unwrap();
            index.put(&runs).unwrap();
            index.put(&runs).unwrap();
            let mut expected: Vec<&Measured> = runs.iter().flat_map(|r| &r.measurements).collect();
            expected.sort_by_key(|m| (&m.point.started, &m.point.run));
            let timeline = index.timeline(&key()).unwrap();
            prop_assert_eq!(index.keys("m").unwrap(), [key()]);
            let points: Vec<Point> = expected.iter().map(|m| m.point.clone()).collect();
            prop_assert_eq!(&timeline.points, &points);
            let values = expected.iter().enumerate().flat_map(|(point, m)| {
                m.values.iter().map(move |(_, v)| Value { point, ..v.clone() })
            });
            let found: Vec<Value> = timeline.values.into_values().flatten().collect();
            prop_assert_eq!(found, values.collect::<Vec<_>>());
        }
    }
}
