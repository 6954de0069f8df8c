//! What Nsight Compute prints: `ncu --csv`, a row per metric; `ncu --csv --page raw`, a row per
//! launch; and both pages as text.
//!
//! It runs one kernel after the other, several times each, so its durations say nothing about
//! gaps; and it does not see copies.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use super::{Outcome, lines};
use crate::profile::rules::percent;
use crate::profile::trace::Trace;

/// How long a launch took, and what share of the peak of arithmetic and of memory it reached:
/// the names of the details page, of its older form, and of the raw page.
const DURATION: [&str; 2] = ["Duration", "gpu__time_duration.sum"];
const COMPUTE: [&str; 3] =
    ["Compute (SM) Throughput", "SM [%]", "sm__throughput.avg.pct_of_peak_sustained_elapsed"];
const MEMORY: [&str; 3] = [
    "Memory Throughput",
    "Memory [%]",
    "gpu__compute_memory_throughput.avg.pct_of_peak_sustained_elapsed",
];

/// Whether this is the beginning of such a file.
pub(super) fn is_output(text: &str) -> bool {
    text.lines().take(200).any(|line| kernel(line).is_some() || is_header(line))
}

/// The header of a table in CSV.
fn is_header(line: &str) -> bool {
    let has = |column: &str| line.contains(&format!("\"{column}\""));
    has("ID") && has("Kernel Name") && (has("Metric Name") || has("Block Size"))
}

/// The name in the line that begins what is told of a launch:
/// `  name(int) (8, 1, 1)x(256, 1, 1), Context 1, Stream 7, Device 0, CC 9.0`.
fn kernel(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix("  ")?.rsplit_once(", Context ")?;
    if line.starts_with("   ") || !rest.contains(", Stream ") {
        return None;
    }
    Some(match name.rsplit_once(")x(").and_then(|(before, _)| before.rsplit_once(" (")) {
        Some((name, _)) => name,
        // Older ones have the date there.
        None => name.rsplit_once(", ").map_or(name, |(name, _)| name),
    })
}

/// One launch, as far as it was read.
#[derive(Debug, Default)]
struct Launch {
    name: String,
    ns: Option<f64>,
    compute: Option<f64>,
    memory: Option<f64>,
}

impl Launch {
    fn metric(&mut self, name: &str, unit: &str, value: &str) {
        let Some(value) = number(value) else { return };
        if DURATION.contains(&name) {
            self.ns = nanoseconds(unit).map(|each| value * each).or(self.ns);
        } else if unit == "%" && COMPUTE.contains(&name) {
            self.compute = Some(value / 100.0);
        } else if unit == "%" && MEMORY.contains(&name) {
            self.memory = Some(value / 100.0);
        }
    }
}

/// All launches so far.
struct Launches<'t> {
    trace: &'t mut Trace,
    current: Launch,
    without_duration: u64,
    /// Time of launches with both shares, and those shares by time.
    told: [f64; 3],
}

impl Launches<'_> {
    fn begin(&mut self, name: &str) {
        let launch = std::mem::replace(
            &mut self.current,
            Launch { name: name.to_owned(), ..Launch::default() },
        );
        if launch.name.is_empty() {
            return;
        }
        let Some(ns) = launch.ns else {
            self.without_duration += 1;
            return;
        };
        self.trace.summed(&launch.name, None, 1, ns.round() as u64);
        if let Some((compute, memory)) = launch.compute.zip(launch.memory) {
            let told = [ns, ns * compute, ns * memory];
            self.told.iter_mut().zip(told).for_each(|(sum, one)| *sum += one);
        }
    }

    fn finish(mut self, problem: Option<String>) -> Outcome {
        self.begin("");
        let mut outcome = Outcome { problem, ..Outcome::default() };
        if self.without_duration > 0 {
            outcome.notes.push(format!(
                "{} launches have no duration: profile with `--section SpeedOfLight`, or with the \
                 metric gpu__time_duration.sum",
                self.without_duration
            ));
        }
        let [time, compute, memory] = self.told;
        if time > 0.0 {
            outcome.notes.push(format!(
                "of their peaks, arithmetic reaches {} and memory {}, by the time of the kernels",
                percent(compute / time),
                percent(memory / time)
            ));
        }
        outcome.notes.push(
            "Nsight Compute runs kernels one by one: gaps and copies are not seen".to_owned(),
        );
        outcome
    }
}

/// Reads such a file.
pub(super) fn read(stream: impl Read, trace: &mut Trace) -> Outcome {
    let mut launches =
        Launches { trace, current: Launch::default(), without_duration: 0, told: [0.0; 3] };
    let mut table: Option<Table> = None;
    let problem = lines(stream, |line| {
        if let Some(name) = kernel(line) {
            launches.begin(name);
        } else if is_header(line) {
            table = row(line).map(|header| Table::new(&header));
        } else if let Some(table) = &mut table {
            if let Some(row) = row(line) {
                table.take(&row, &mut launches);
            }
        } else if line.starts_with("    ") {
            let mut words = line.split_whitespace().rev();
            if let Some((value, unit)) = words.next().zip(words.next()) {
                let name = line.trim_start();
                let name = name.split(unit).next().unwrap_or_default().trim_end();
                // `SM [%]  %  12.3`: the unit stands in the older names, too.
                let name = if name.ends_with('[') { format!("{name}%]") } else { name.to_owned() };
                launches.current.metric(&name, unit, value);
            }
        }
    });
    let cut = table.as_ref().is_some_and(|t| t.cut);
    let cut = cut.then(|| "it ends in the middle of a row: was the profiler ended?".to_owned());
    launches.finish(problem.or(cut))
}

/// The cells of one line of CSV; names of kernels have no line breaks.
fn row(line: &str) -> Option<ByteRecord> {
    let reader =
        ReaderBuilder::new().has_headers(false).flexible(true).from_reader(line.as_bytes());
    reader.into_byte_records().next()?.ok()
}

/// A table in CSV.
struct Table {
    columns: Vec<String>,
    /// Units of the columns of a wide table, once their row was read.
    units: Option<Vec<String>>,
    id: String,
    /// Whether the last row was shorter than the header.
    cut: bool,
}

impl Table {
    fn new(header: &ByteRecord) -> Table {
        Table { columns: texts(header), units: None, id: String::new(), cut: false }
    }

    fn take(&mut self, row: &ByteRecord, launches: &mut Launches<'_>) {
        let cells = texts(row);
        let at = |column: &str| self.columns.iter().position(|c| c == column);
        let of = |column: &str| at(column).and_then(|i| cells.get(i)).map_or("", String::as_str);
        self.cut = cells.len() < self.columns.len();
        if self.cut {
            return;
        }
        let long = at("Metric Name").is_some();
        let id = of("ID").to_owned();
        // The row of units has no id.
        if id.is_empty() {
            self.units = Some(cells);
            return;
        }
        if id != self.id || !long {
            launches.begin(of("Kernel Name"));
        }
        if long {
            launches.current.metric(of("Metric Name"), of("Metric Unit"), of("Metric Value"));
        } else if let Some(units) = &self.units {
            let each = self.columns.iter().zip(units).zip(&cells);
            each.for_each(|((name, unit), value)| launches.current.metric(name, unit, value));
        }
        self.id = id;
    }
}

fn texts(row: &ByteRecord) -> Vec<String> {
    row.iter().map(|cell| String::from_utf8_lossy(cell).trim().to_owned()).collect()
}

fn number(text: &str) -> Option<f64> {
    text.replace(',', "").parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)
}

/// Nanoseconds of a unit, as newer and older ones write it.
fn nanoseconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" | "nsecond" => 1.0,
        "us" | "usecond" => 1e3,
        "ms" | "msecond" => 1e6,
        "s" | "second" => 1e9,
        _ => return None,
    })
}
