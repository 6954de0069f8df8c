//! Rows of perf.csv and its relatives, gathered into one [`Reading`] per series.
//!
//! Such files are appended to, and their rows have no time: of rows of one model, metric
//! and setting the last one counts, those before it are its history. Memory is bounded by
//! the number of series, not of rows.

use std::collections::{HashMap, VecDeque};

use super::{Reading, Setting, Status};

/// Earlier numbers that are kept of each series.
pub const HISTORY: usize = 200;

/// Series beyond which rows are only counted.
pub const SERIES_MAX: usize = 250_000;

/// Malformed rows that are named one by one.
const NAMED: usize = 5;

/// The cells of one row that matter here.
#[derive(Debug, Default)]
pub(super) struct RawRow<'a> {
    pub(super) model: &'a str,
    pub(super) performance: &'a str,
    pub(super) metric: &'a str,
    pub(super) status: &'a str,
    pub(super) relative_change: &'a str,
    pub(super) n_gpus: &'a str,
    pub(super) nnodes: &'a str,
    pub(super) training_precision: &'a str,
    pub(super) gpu_architecture: &'a str,
    pub(super) machine_name: &'a str,
    pub(super) args: &'a str,
}

/// The columns of [`RawRow`], which of them have to be there first.
pub(super) const FIELDS: [&str; 11] = [
    "model",
    "performance",
    "metric",
    "status",
    "relative_change",
    "n_gpus",
    "nnodes",
    "training_precision",
    "gpu_architecture",
    "machine_name",
    "args",
];

/// How many of [`FIELDS`] a file must have.
pub(super) const REQUIRED: usize = 3;

impl<'a> RawRow<'a> {
    /// From the cells of [`FIELDS`].
    pub(super) fn new(cells: [&'a str; FIELDS.len()]) -> RawRow<'a> {
        let [model, performance, metric, status, relative_change, rest @ ..] = cells;
        let [n_gpus, nnodes, training_precision, gpu_architecture, machine_name, args] = rest;
        RawRow {
            model,
            performance,
            metric,
            status,
            relative_change,
            n_gpus,
            nnodes,
            training_precision,
            gpu_architecture,
            machine_name,
            args,
        }
    }

    fn setting(&self) -> Setting {
        // A column of whole numbers and one blank comes back from pandas as 8.0.
        let whole = |text: &str| text.strip_suffix(".0").unwrap_or(text).to_owned();
        Setting {
            n_gpus: whole(self.n_gpus),
            nnodes: whole(self.nnodes),
            precision: self.training_precision.to_owned(),
            machine_class: String::new(),
            gpu_architecture: self.gpu_architecture.to_owned(),
            host: self.machine_name.to_owned(),
            args: self.args.to_owned(),
        }
    }

    /// What the row says: a number, or why there is none. madengine calls a row with the
    /// text `abc` a success.
    fn outcome(&self) -> (Status, Option<f64>, String) {
        let number = self.performance.parse().ok().filter(|v: &f64| v.is_finite());
        let without = |reason: String| (Status::Failure, None, reason);
        match (self.status, number) {
            ("SKIPPED", _) => (Status::Skipped, None, String::new()),
            ("FAILURE", _) if self.error_in_metric() => without(self.metric.to_owned()),
            ("FAILURE", Some(_)) => without(format!(
                "recorded as FAILURE, although with {} {}",
                self.performance, self.metric
            )),
            ("FAILURE", None) => {
                without("recorded as FAILURE; the log of the run says why".to_owned())
            }
            ("SUCCESS" | "", Some(_)) if self.metric.is_empty() => {
                without(format!("the number {} has no metric", self.performance))
            }
            ("SUCCESS" | "", Some(value)) => (Status::Success, Some(value), String::new()),
            ("SUCCESS" | "", None) if self.performance.is_empty() => {
                without("recorded as a success, without a number".to_owned())
            }
            ("SUCCESS" | "", None) => {
                without(format!("performance is {:?}, not a finite number", self.performance))
            }
            (other, _) => without(format!("the status {other:?} is none of perf.csv")),
        }
    }

    /// On Kubernetes the text of an error stands in the place of the metric.
    fn error_in_metric(&self) -> bool {
        self.status == "FAILURE" && self.performance == "0" && self.metric.contains(' ')
    }
}

/// Gathers rows.
#[derive(Debug, Default)]
pub(super) struct Collector {
    /// Rows so far.
    pub(super) read: u64,
    series: Vec<Series>,
    index: HashMap<String, usize>,
    beyond: u64,
    malformed: Vec<String>,
    malformed_more: u64,
    key: String,
}

#[derive(Debug)]
struct Series {
    reading: Reading,
    earlier: VecDeque<f64>,
    /// Number of its newest row.
    newest: u64,
}

impl Collector {
    /// Takes a row.
    pub(super) fn add(&mut self, row: &RawRow<'_>) {
        self.read += 1;
        let (status, value, reason) = row.outcome();
        let metric = if row.error_in_metric() { "" } else { row.metric };
        let setting = row.setting();
        self.key.clear();
        for part in [row.model, metric].into_iter().chain(setting.key()) {
            self.key.push_str(part);
            self.key.push('\0');
        }
        let at = match self.index.get(&self.key) {
            Some(&at) => at,
            None if self.series.len() >= SERIES_MAX => {
                self.beyond += 1;
                return;
            }
            None => {
                let reading = Reading::new(row.model, metric, setting);
                self.series.push(Series { reading, earlier: VecDeque::new(), newest: 0 });
                self.index.insert(self.key.clone(), self.series.len() - 1);
                self.series.len() - 1
            }
        };
        let series = &mut self.series[at];
        series.newest = self.read;
        series.retire();
        let reading = &mut series.reading;
        (reading.status, reading.reason) = (status, reason);
        reading.values.extend(value);
        reading.text = if value.is_some() { row.performance.to_owned() } else { String::new() };
        reading.change = row.relative_change.parse().ok().filter(|c: &f64| c.is_finite());
    }

    /// Takes note of a row that cannot be read.
    pub(super) fn malformed(&mut self, problem: impl FnOnce() -> String) {
        self.read += 1;
        match self.malformed.len() < NAMED {
            true => self.malformed.push(problem()),
            false => self.malformed_more += 1,
        }
    }

    /// The series, in order of first appearance, and what is wrong.
    pub(super) fn finish(self) -> (Vec<Reading>, Vec<String>) {
        let mut problems = self.malformed;
        if self.malformed_more > 0 {
            problems.push(format!("and {} more rows that cannot be read", self.malformed_more));
        }
        if self.beyond > 0 {
            problems.push(format!(
                "there are more than {SERIES_MAX} combinations of model, metric and setting; \
                 {} rows of further ones are left out",
                self.beyond
            ));
        }
        (settle(self.series), problems)
    }
}

impl Series {
    /// Makes the present number an earlier one.
    fn retire(&mut self) {
        let Some(value) = self.reading.values.pop() else { return };
        if self.earlier.len() == HISTORY {
            self.earlier.pop_front();
            self.reading.earlier_left_out += 1;
        }
        self.earlier.push_back(value);
    }
}

/// A row without a metric is about all metrics of its model: it hides what is older and
/// goes when something newer is there.
fn settle(mut all: Vec<Series>) -> Vec<Reading> {
    let same = |r: &Reading| {
        let mut key = r.model.clone();
        r.setting.key().iter().for_each(|part| key.extend(["\0", part]));
        key
    };
    let mut bare: HashMap<String, (u64, Status, String)> = HashMap::new();
    for s in all.iter().filter(|s| s.reading.metric.is_empty()) {
        bare.insert(same(&s.reading), (s.newest, s.reading.status, s.reading.reason.clone()));
    }
    if !bare.is_empty() {
        let mut answered = std::collections::HashSet::new();
        for s in all.iter_mut().filter(|s| !s.reading.metric.is_empty()) {
            let key = same(&s.reading);
            let Some((newest, status, reason)) = bare.get(&key) else { continue };
            if *newest > s.newest {
                s.retire();
                s.reading.status = *status;
                s.reading.reason.clone_from(reason);
                s.reading.text.clear();
                s.reading.change = None;
            }
            answered.insert(key);
        }
        all.retain(|s| !s.reading.metric.is_empty() || !answered.contains(&same(&s.reading)));
    }
    let readings = all.into_iter().map(|mut s| {
        s.reading.earlier = s.earlier.into();
        s.reading
    });
    readings.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collected(rows: &[[&str; 4]]) -> Vec<Reading> {
        let mut collector = Collector::default();
        for [model, performance, metric, status] in rows {
            collector.add(&RawRow { model, performance, metric, status, ..RawRow::default() });
        }
        let (readings, problems) = collector.finish();
        assert!(problems.is_empty(), "{problems:?}");
        readings
    }

    fn told(rows: &[[&str; 4]]) -> Vec<String> {
        let told = |r: &Reading| {
            format!("{} {} {:?} {:?} {:?}", r.model, r.metric, r.status, r.values, r.earlier)
        };
        collected(rows).iter().map(told).collect()
    }

    #[test]
    fn the_last_row_counts_and_those_before_are_history() {
        let rows = [
            ["m", "1", "x/s", "SUCCESS"],
            ["n", "5", "ms", "SUCCESS"],
            ["m", "2", "x/s", "SUCCESS"],
            ["m", "3", "x/s", "SUCCESS"],
        ];
        assert_eq!(told(&rows), ["m x/s Success [3.0] [1.0, 2.0]", "n ms Success [5.0] []"]);
    }

    #[test]
    fn a_failure_hides_older_numbers_and_a_newer_number_hides_the_failure() {
        let (good, bad) = (["m", "1", "x/s", "SUCCESS"], ["m", "", "", "FAILURE"]);
        assert_eq!(told(&[good, bad]), ["m x/s Failure [] [1.0]"]);
        assert_eq!(told(&[bad, good]), ["m x/s Success [1.0] []"]);
        assert_eq!(told(&[bad]), ["m  Failure [] []"]);
        assert_eq!(told(&[good, bad, good]), ["m x/s Success [1.0] [1.0]"]);
    }

    #[test]
    fn what_is_no_number_fails_with_a_reason() {
        for (row, reason) in [
            (["m", "abc", "x", "SUCCESS"], "performance is \"abc\", not a finite number"),
            (["m", "nan", "x", "SUCCESS"], "performance is \"nan\", not a finite number"),
            (["m", "1e400", "x", "SUCCESS"], "performance is \"1e400\", not a finite number"),
            (["m", "", "x", "SUCCESS"], "recorded as a success, without a number"),
            (["m", "12", "", "SUCCESS"], "the number 12 has no metric"),
            (["m", "12", "x", "FAILURE"], "recorded as FAILURE, although with 12 x"),
            (["m", "0", "pod was evicted", "FAILURE"], "pod was evicted"),
            (["m", "12", "x", "PERHAPS"], "the status \"PERHAPS\" is none of perf.csv"),
        ] {
            let readings = collected(&[row]);
            assert_eq!(
                (readings[0].status, readings[0].reason.as_str()),
                (Status::Failure, reason)
            );
        }
    }

    #[test]
    fn history_is_bounded_and_says_so() {
        let rows: Vec<String> = (0..=HISTORY + 3).map(|n| n.to_string()).collect();
        let rows: Vec<[&str; 4]> = rows.iter().map(|n| ["m", n, "x", "SUCCESS"]).collect();
        let reading = &collected(&rows)[0];
        assert_eq!((reading.earlier.len(), reading.earlier_left_out), (HISTORY, 3));
        assert_eq!(reading.earlier[0], 3.0);
    }
}
