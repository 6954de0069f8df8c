//! Readers of what profilers write. The content says what a file is, never its name.

mod chrome;
mod csv_file;
mod nccl;
mod ncu;
mod perf;
mod rtl_text;
mod sqlite;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::MultiGzDecoder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use nccl::{Collective, CommunicationLog};

use super::host::{self, HostUse};
use super::trace::Trace;

/// Bytes at the beginning of a file that say what it is.
const HEAD: usize = 64 << 10;

/// What a file is. In this order: of several formats in one directory, which usually say
/// the same, the first is read.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// rocprofv3's database (rocpd).
    Rocpd,
    /// Nsight Systems, exported as SQLite.
    NsightSqlite,
    /// rocm_trace_lite's database.
    RocmTraceLite,
    /// RPD, of rocmProfileData.
    Rpd,
    /// Kernels, or copies, with their times: rocprofv3, and rocprof before it.
    RocprofTraceCsv,
    /// `nsys stats --report cuda_gpu_trace`.
    NsightTraceCsv,
    /// The Trace Event Format: PyTorch's profiler, rocm_trace_lite, rpd2tracing.
    ChromeTrace,
    /// Sums by kernel: rocprofv3 `--stats`, and rocprof before it.
    RocprofStatsCsv,
    /// `nsys stats`: sums by kernel.
    NsightStatsCsv,
    /// The text summary of rocm_trace_lite.
    RocmTraceLiteText,
    /// Nsight Compute, as CSV or text: kernels without gaps.
    NsightCompute,
    /// A log of NCCL or RCCL.
    NcclLog,
    /// `perf stat`.
    PerfStat,
    /// `perf report --stdio`.
    PerfReport,
    /// `perf script`.
    PerfScript,
    /// What `mad profile` sampled.
    Samples,
}

impl Format {
    /// Whether it says something else than traces of kernels do.
    pub(super) fn is_complement(self) -> bool {
        use Format::{NcclLog, PerfReport, PerfScript, PerfStat, Samples};
        matches!(self, NcclLog | PerfStat | PerfReport | PerfScript | Samples)
    }

    /// Its name in reports.
    pub fn label(self) -> &'static str {
        match self {
            Format::Rocpd => "rocprofv3 database (rocpd)",
            Format::NsightSqlite => "Nsight Systems SQLite",
            Format::RocmTraceLite => "rocm_trace_lite database",
            Format::Rpd => "RPD database",
            Format::RocprofTraceCsv => "rocprof trace CSV",
            Format::NsightTraceCsv => "Nsight Systems trace CSV",
            Format::ChromeTrace => "chrome trace",
            Format::RocprofStatsCsv => "rocprof stats CSV",
            Format::NsightStatsCsv => "Nsight Systems stats CSV",
            Format::RocmTraceLiteText => "rocm_trace_lite summary",
            Format::NsightCompute => "Nsight Compute",
            Format::NcclLog => "NCCL/RCCL log",
            Format::PerfStat => "perf stat",
            Format::PerfReport => "perf report",
            Format::PerfScript => "perf script",
            Format::Samples => "samples of mad profile",
        }
    }
}

/// What came of reading one file, beside what went into the [`Trace`].
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// What is wrong with the file; what was read before it counts.
    pub(super) problem: Option<String>,
    pub(super) notes: Vec<String>,
    /// Busy share that a summary states without the times behind it.
    pub(super) stated_busy: Option<f64>,
    pub(super) host: Option<HostUse>,
}

/// What the file at `path` is.
///
/// # Errors
/// When it cannot be read, or is something that cannot be diagnosed: the message says what
/// to do instead.
pub(super) fn recognise(path: &Path) -> Result<Result<Format, String>> {
    let head = head(path).with_context(|| format!("cannot read {}", path.display()))?;
    if head.starts_with(b"SQLite format 3\0") {
        return sqlite::recognise(path);
    }
    Ok(of_head(&head))
}

fn of_head(head: &[u8]) -> Result<Format, String> {
    if head.is_empty() {
        return Err("it is empty; did the profiler run, and end by itself?".to_owned());
    }
    if head.iter().take(4096).any(|&b| b == 0) || head[0] == 0x0a && !is_text(head) {
        return Err(binary(head));
    }
    let text = String::from_utf8_lossy(head);
    match text.trim_start_matches('\u{feff}').trim_start().as_bytes().first() {
        Some(b'{' | b'[') => return of_json(&text),
        None => return Err("it is blank".to_owned()),
        _ => {}
    }
    if ncu::is_output(&text) {
        return Ok(Format::NsightCompute);
    }
    if let Some(format) = csv_file::recognise(&text) {
        return Ok(format);
    }
    if rtl_text::is_summary(&text) {
        return Ok(Format::RocmTraceLiteText);
    }
    if nccl::is_log(&text) {
        return Ok(Format::NcclLog);
    }
    if let Some(format) = perf::recognise(&text) {
        return Ok(format);
    }
    Err("it is no trace, profile or log that is known".to_owned())
}

fn of_json(text: &str) -> Result<Format, String> {
    if text.contains("\"rocprofiler-sdk-tool\"") {
        return Err("it is rocprofv3's own JSON; have it written with `--output-format csv` or \
                    `rocpd`"
            .to_owned());
    }
    if text.contains("\"mad-samples/") {
        return Ok(Format::Samples);
    }
    let kineto = text.contains("\"schemaVersion\"") && text.contains("\"deviceProperties\"");
    let array = text.trim_start().starts_with('[') && text.contains("\"ph\"");
    if text.contains("\"traceEvents\"") || kineto || array {
        return Ok(Format::ChromeTrace);
    }
    Err("it is JSON, but no trace: it has no `traceEvents`".to_owned())
}

fn is_text(head: &[u8]) -> bool {
    let odd = |b: &&u8| **b < 0x20 && !matches!(**b, b'\n' | b'\r' | b'\t' | 0x1b);
    head.iter().filter(odd).count() * 100 < head.len()
}

fn binary(head: &[u8]) -> String {
    // A Perfetto trace is a row of length-delimited fields with the number 1.
    if head[0] == 0x0a {
        return "it may be a Perfetto trace, which is not read; have rocprofv3 write \
                `--output-format csv` or `rocpd`"
            .to_owned();
    }
    "it is binary, and no SQLite database; a report of Nsight Systems (.nsys-rep) is read after \
     `nsys export --type sqlite FILE`"
        .to_owned()
}

/// The beginning of a file, unpacked if it is packed.
fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    match open(path)?.take(HEAD as u64).read_to_end(&mut head) {
        // What could be unpacked may still say what it is.
        Err(_) if !head.is_empty() => Ok(head),
        Err(e) => Err(e),
        Ok(_) => Ok(head),
    }
}

/// The content of a file, unpacked if it is packed by gzip.
fn open(path: &Path) -> std::io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut magic = [0; 2];
    let packed = file.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    let file = File::open(path)?;
    Ok(if packed { Box::new(MultiGzDecoder::new(BufReader::new(file))) } else { Box::new(file) })
}

/// Reads all of `path`, which is a `format`, into `trace`.
///
/// # Errors
/// When nothing can be read.
pub(super) fn read(
    path: &Path,
    format: Format,
    trace: &mut Trace,
    log: &mut CommunicationLog,
) -> Result<Outcome> {
    let stream = || open(path).map(|file| BufReader::with_capacity(1 << 20, file));
    match format {
        Format::Rocpd => sqlite::rocpd(path, trace),
        Format::NsightSqlite => sqlite::nsight(path, trace),
        Format::RocmTraceLite | Format::Rpd => sqlite::rpd(path, trace),
        Format::ChromeTrace => Ok(chrome::read(stream()?, trace)),
        Format::RocprofTraceCsv
        | Format::NsightTraceCsv
        | Format::RocprofStatsCsv
        | Format::NsightStatsCsv => Ok(csv_file::read(stream()?, trace)),
        Format::RocmTraceLiteText => Ok(rtl_text::read(stream()?, trace)),
        Format::NsightCompute => Ok(ncu::read(stream()?, trace)),
        Format::NcclLog => Ok(nccl::read(stream()?, log)),
        Format::PerfStat => Ok(perf::stat(stream()?)),
        Format::PerfReport => Ok(perf::report(stream()?)),
        Format::PerfScript => Ok(perf::script(stream()?)),
        Format::Samples => {
            host::read(path).map(|host| Outcome { host: Some(host), ..Outcome::default() })
        }
    }
}

/// Calls `take` with each line of a text, without its end; of very long ones, with pieces. What is
/// wrong with it, if it cannot be read to its end.
fn lines(stream: impl Read, mut take: impl FnMut(&str)) -> Option<String> {
    const LINE_MAX: u64 = 64 << 10;
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stream).take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => take(String::from_utf8_lossy(&line).trim_end()),
            Err(e) => return Some(format!("it cannot be read to its end: {e}")),
        }
    }
}

/// A time that may be negative as one that is not, in the same order.
fn ordered(ns: i64) -> u64 {
    (ns as u64) ^ (1 << 63)
}

/// The number that an identifier ends with: `Agent 4`, `NVIDIA H100 (0)`.
fn id_of(text: &str) -> i64 {
    let text = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let start = text.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |i| i + 1);
    // One without a number is one device.
    text.get(start..).and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
