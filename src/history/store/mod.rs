//! The index of past runs: its tables, and what is asked of them.
//!
//! Everything in it comes from the records of run directories. There are two kinds of it: a
//! SQLite file beside the records of one machine, which can be made anew from them, and a
//! PostgreSQL database that many machines put theirs into. The tables and all questions are
//! the same, in SQL that both understand; what they do not share is in [`sqlite`] and
//! [`postgres`], behind [`Database`].

mod error;
#[cfg_attr(not(feature = "postgres"), path = "without_postgres.rs")]
mod postgres;
mod sqlite;
mod tables;
mod tunings;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::Path;

use rusqlite::types::{FromSql, Value as Cell};

pub use error::IndexError;
pub use tables::VERSION;
pub(super) use tunings::TuningRows;

use super::SharedHistory;
use super::timeline::{Measured, Metric, Point, Timeline, Value};
use crate::baseline::Key;
use sqlite::Sqlite;
use tables::{Family, RUNS};

const RUN_COUNT: &str = "SELECT COUNT(*) FROM runs";
const MODELS: &str = "SELECT DISTINCT model FROM measurements ORDER BY model";
const MODELS_OF: &str = "
SELECT model FROM measurements WHERE model = $1
UNION SELECT model FROM measurements WHERE entry = $1 ORDER BY 1";
const KEYS: &str = "
SELECT DISTINCT machine_class, n_gpus, training_precision FROM measurements WHERE model = $1
ORDER BY machine_class, n_gpus, training_precision";
const TIMELINE: &str = "
SELECT m.run, m.host, m.attempt, m.started, m.engine, m.commit_id, m.image_id, m.failure,
    m.clock_doubt, v.metric, v.unit, v.median, v.executions, v.outcome
FROM measurements m LEFT JOIN metric_values v
    ON v.host = m.host AND v.run = m.run AND v.model = m.model AND v.attempt = m.attempt
WHERE m.model = $1 AND m.machine_class = $2 AND m.n_gpus = $3 AND m.training_precision = $4
ORDER BY m.started, m.run, m.host, m.attempt";

/// A database that has the tables. Its values are SQLite's, which are few.
trait Database: fmt::Debug {
    /// Where it is, for people, if it is not this machine's.
    fn place(&self) -> Option<&str>;

    /// The rows that `sql` selects.
    fn select(&mut self, sql: &str, parameters: &[Cell]) -> Result<Vec<Row>, IndexError>;

    /// Forgets what is `known` of the first table of `family` and puts `rows` in, a list for each
    /// table, all or nothing; other writers wait or are waited for.
    fn replace(&mut self, family: &Family, known: &[Known], rows: &Rows) -> Result<(), IndexError>;
}

/// A row, read from left to right.
struct Row(std::vec::IntoIter<Cell>);

impl Row {
    fn new(cells: Vec<Cell>) -> Row {
        Row(cells.into_iter())
    }

    fn next<T: FromSql>(&mut self) -> Result<T, IndexError> {
        let cell = self.0.next().unwrap_or(Cell::Null);
        Ok(T::column_result((&cell).into())?)
    }
}

/// Rows for each table of a [`Family`], each in the order of its table's columns.
type Rows = Vec<Vec<Vec<Cell>>>;

/// What a run or a search is known by.
#[derive(Debug)]
struct Known {
    host: String,
    id: String,
}

/// One run as it goes into the index.
#[derive(Debug)]
pub(super) struct RunRows {
    /// Name of the machine.
    pub(super) host: String,
    pub(super) id: String,
    pub(super) started: String,
    /// Empty for a run that is to be read again.
    pub(super) signature: String,
    pub(super) measurements: Vec<Measured>,
}

/// The index of past runs.
#[derive(Debug)]
pub(super) struct Index {
    database: Box<dyn Database>,
}

impl Index {
    /// The index in the file `path`, made when missing, emptied when `anew`. Waits a few seconds
    /// for a process that holds it.
    pub(super) fn open(path: &Path, anew: bool) -> Result<Index, IndexError> {
        Ok(Index { database: Box::new(Sqlite::open(path, anew)?) })
    }

    /// An index in memory.
    pub(super) fn in_memory() -> Result<Index, IndexError> {
        Ok(Index { database: Box::new(Sqlite::in_memory()?) })
    }

    /// The index of a team; its tables are made when missing.
    pub(super) fn shared(shared: &SharedHistory) -> Result<Index, IndexError> {
        Ok(Index { database: postgres::connect(shared)? })
    }

    /// Where it is, for people, if it is not this machine's.
    pub(super) fn place(&self) -> Option<String> {
        self.database.place().map(str::to_owned)
    }

    /// The ids of the runs that are in, each with what it looked like then.
    pub(super) fn signatures(&mut self) -> Result<HashSet<(String, String)>, IndexError> {
        self.signatures_of(RUNS)
    }

    fn signatures_of(&mut self, family: &Family) -> Result<HashSet<(String, String)>, IndexError> {
        let sql = format!("SELECT id, signature FROM {}", family[0].name);
        let rows = self.database.select(&sql, &[])?;
        rows.into_iter().map(|mut row| Ok((row.next()?, row.next()?))).collect()
    }

    /// Puts runs in, all or none, in the place of what there was of them.
    pub(super) fn put(&mut self, runs: &[RunRows]) -> Result<(), IndexError> {
        let known = |run: &RunRows| Known { host: run.host.clone(), id: run.id.clone() };
        let known: Vec<Known> = runs.iter().map(known).collect();
        self.database.replace(RUNS, &known, &rows(runs))
    }

    /// Number of runs.
    pub(super) fn runs(&mut self) -> Result<u32, IndexError> {
        let counts = self.database.select(RUN_COUNT, &[])?;
        counts.into_iter().next().map_or(Ok(0), |mut row| row.next())
    }

    /// Ids of all models, in order.
    pub(super) fn models(&mut self) -> Result<Vec<String>, IndexError> {
        self.texts(MODELS, &[])
    }

    /// The model of this id, or all variants of the entry of this name.
    pub(super) fn models_of(&mut self, name: &str) -> Result<Vec<String>, IndexError> {
        self.texts(MODELS_OF, &[name.to_owned().into()])
    }

    /// On what a model ran.
    pub(super) fn keys(&mut self, model: &str) -> Result<Vec<Key>, IndexError> {
        let rows = self.database.select(KEYS, &[model.to_owned().into()])?;
        let key = |mut row: Row| {
            Ok(Key {
                machine_class: row.next()?,
                model: model.to_owned(),
                n_gpus: row.next()?,
                precision: row.next()?,
            })
        };
        rows.into_iter().map(key).collect()
    }

    /// Everything that was measured under `key`, oldest first.
    pub(super) fn timeline(&mut self, key: &Key) -> Result<Timeline, IndexError> {
        let Key { model, machine_class, n_gpus, precision } = key.clone();
        let parameters = [model.into(), machine_class.into(), n_gpus.into(), precision.into()];
        let (mut points, mut values) = (Vec::<Point>::new(), BTreeMap::<Metric, Vec<Value>>::new());
        for mut row in self.database.select(TIMELINE, &parameters)? {
            let point = Point {
                run: row.next()?,
                host: row.next()?,
                attempt: row.next()?,
                started: row.next()?,
                engine: row.next()?,
                commit: row.next()?,
                image: row.next()?,
                failure: row.next()?,
                clock_doubt: row.next()?,
            };
            let of = |p: &Point| (p.run.clone(), p.host.clone(), p.attempt);
            if points.last().map(of) != Some(of(&point)) {
                points.push(point);
            }
            if let Some(name) = row.next()? {
                let metric = Metric { name, unit: row.next()? };
                values.entry(metric).or_default().push(Value {
                    point: points.len() - 1,
                    median: row.next()?,
                    executions: row.next()?,
                    outcome: row.next()?,
                });
            }
        }
        Ok(Timeline { key: key.clone(), points, values })
    }

    fn texts(&mut self, sql: &str, parameters: &[Cell]) -> Result<Vec<String>, IndexError> {
        let rows = self.database.select(sql, parameters)?;
        rows.into_iter().map(|mut row| row.next()).collect()
    }
}

/// The rows of `runs`.
fn rows(runs: &[RunRows]) -> Rows {
    let (mut run_rows, mut measurement_rows, mut value_rows) = (vec![], vec![], vec![]);
    for run in runs {
        let RunRows { host, id, started, signature, measurements } = run;
        run_rows.push([host, id, started, signature].map(|text| text.clone().into()).into());
        for Measured { entry, key, point, values } in measurements {
            let of = || -> [Cell; 4] {
                [
                    host.clone().into(),
                    id.clone().into(),
                    key.model.clone().into(),
                    point.attempt.into(),
                ]
            };
            let mut row = Vec::from(of());
            row.extend::<[Cell; 10]>([
                entry.clone().into(),
                key.machine_class.clone().into(),
                key.n_gpus.into(),
                key.precision.clone().into(),
                point.engine.clone().into(),
                point.started.clone().into(),
                point.commit.clone().into(),
                point.image.clone().into(),
                point.failure.clone().into(),
                point.clock_doubt.into(),
            ]);
            measurement_rows.push(row);
            for (metric, value) in values {
                let mut row = Vec::from(of());
                row.extend::<[Cell; 5]>([
                    metric.name.clone().into(),
                    metric.unit.clone().into(),
                    value.median.into(),
                    value.executions.into(),
                    value.outcome.clone().into(),
                ]);
                value_rows.push(row);
            }
        }
    }
    vec![run_rows, measurement_rows, value_rows]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One model's history is read through an index, in order: no scan, no sort.
    #[test]
    fn a_timeline_is_read_without_a_scan() {
        let index = Sqlite::in_memory().unwrap();
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
            host: "box".to_owned(),
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
        RunRows {
            host: "box".to_owned(),
            id,
            started,
            signature: String::new(),
            measurements: vec![measured],
        }
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
