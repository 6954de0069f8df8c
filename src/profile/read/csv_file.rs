//! Tables of rocprofv3, of rocprof before it, and of `nsys stats`.
//!
//! The columns say what a table is. `nsys stats` may write several into one file, with
//! titles and progress between them.

use std::io::Read;

use csv::{ByteRecord, ReaderBuilder};

use super::{Format, Outcome, id_of, ordered};
use crate::profile::kind::Kind;
use crate::profile::trace::Trace;

/// What the rows of a table hold, and in which columns.
#[derive(Clone, Debug, PartialEq)]
enum Layout {
    /// One activity each. `end` is a length where `length` says so.
    Activities {
        name: usize,
        start: usize,
        end: usize,
        length: bool,
        /// Where it ran: a GPU, or for copies source and destination.
        device: Option<usize>,
        source: Option<usize>,
        /// Nanoseconds per unit of the times.
        units: (f64, f64),
        nsight: bool,
    },
    /// The calls of a name together.
    Sums { name: usize, calls: usize, total: usize, unit: f64, nsight: bool },
}

/// The table that begins with this row, if one of those that are read does.
fn layout<'a>(header: impl Iterator<Item = &'a str>) -> Option<Layout> {
    let columns: Vec<&str> = header.map(|c| c.trim().trim_start_matches('\u{feff}')).collect();
    let any = |names: &[&str]| {
        names.iter().find_map(|n| columns.iter().position(|c| c.eq_ignore_ascii_case(n)))
    };
    // `Start (ns)`: the position and the nanoseconds of its unit.
    let with_unit = |name: &str| {
        columns.iter().enumerate().find_map(|(i, column)| {
            let unit = column.strip_prefix(name)?.trim();
            let ns = match unit {
                "(ns)" => 1.0,
                "(us)" | "(µs)" => 1e3,
                "(ms)" => 1e6,
                "(s)" | "(sec)" => 1e9,
                _ => return None,
            };
            Some((i, ns))
        })
    };
    let name = any(&["Kernel_Name", "KernelName", "Direction"]);
    let start = any(&["Start_Timestamp", "BeginNs"]);
    let end = any(&["End_Timestamp", "EndNs"]);
    if let (Some(name), Some(start), Some(end)) = (name, start, end) {
        return Some(Layout::Activities {
            name,
            start,
            end,
            length: false,
            device: any(&["Agent_Id", "gpu-id", "Destination_Agent_Id"]),
            source: any(&["Source_Agent_Id"]),
            units: (1.0, 1.0),
            nsight: false,
        });
    }
    let label = any(&["Name", "Operation"]);
    if let (Some(name), Some((start, from)), Some((end, length))) =
        (label, with_unit("Start"), with_unit("Duration"))
        && let Some(device) = any(&["Device"])
    {
        return Some(Layout::Activities {
            name,
            start,
            end,
            length: true,
            device: Some(device),
            source: None,
            units: (from, length),
            nsight: true,
        });
    }
    if let (Some(name), Some(calls), Some(total)) =
        (any(&["Name"]), any(&["Calls"]), any(&["TotalDurationNs"]))
    {
        return Some(Layout::Sums { name, calls, total, unit: 1.0, nsight: false });
    }
    if let (Some(name), Some(calls), Some((total, unit))) =
        (label, any(&["Instances", "Count", "Operations"]), with_unit("Total Time"))
    {
        return Some(Layout::Sums { name, calls, total, unit, nsight: true });
    }
    None
}

/// What the text of a file's beginning says.
pub(super) fn recognise(text: &str) -> Option<Format> {
    let found = text.lines().take(200).find_map(|line| {
        let row = reader(line.as_bytes()).into_records().next()?.ok()?;
        layout(row.iter())
    })?;
    Some(match found {
        Layout::Activities { nsight: false, .. } => Format::RocprofTraceCsv,
        Layout::Activities { nsight: true, .. } => Format::NsightTraceCsv,
        Layout::Sums { nsight: false, .. } => Format::RocprofStatsCsv,
        Layout::Sums { nsight: true, .. } => Format::NsightStatsCsv,
    })
}

fn reader<R: Read>(stream: R) -> csv::Reader<R> {
    ReaderBuilder::new().has_headers(false).flexible(true).from_reader(stream)
}

pub(super) fn read(stream: impl Read, trace: &mut Trace) -> Outcome {
    let mut outcome = Outcome::default();
    let before = trace.calls();
    let mut quotes = Quotes { stream, odd: false, line_end: false };
    let mut rows = reader(&mut quotes);
    let mut row = ByteRecord::new();
    let mut table: Option<(Layout, usize)> = None;
    let (mut odd, mut api) = (0_u64, 0_u64);
    let mut last_short = false;
    loop {
        match rows.read_byte_record(&mut row) {
            Ok(true) => {}
            Ok(false) => break,
            Err(e) => {
                outcome.problem = Some(format!("it cannot be read to its end: {e}"));
                break;
            }
        }
        let header = row.iter().map(|cell| std::str::from_utf8(cell).unwrap_or_default());
        if row.len() > 2
            && !row[0].first().is_some_and(u8::is_ascii_digit)
            && let Some(layout) = layout(header)
        {
            table = Some((layout, row.len()));
            last_short = false;
            continue;
        }
        let Some((layout, width)) = &table else { continue };
        // A title ends a table; a row that is cut is the last one.
        last_short = row.len() > 1 && row.len() < *width;
        if row.len() < *width {
            continue;
        }
        match add(layout, &row, trace) {
            Row::Counted => {}
            Row::Api => api += 1,
            Row::Odd => {
                odd += 1;
                last_short = true;
            }
        }
    }
    let line = rows.position().line();
    // The end of a cell in quotes is missing, or are further cells.
    if (last_short || quotes.odd) && !quotes.line_end && outcome.problem.is_none() {
        outcome.problem = Some(format!(
            "it ends in the middle of a row, at line {line}: was the profiler ended, or the disk \
             full?"
        ));
    }
    if odd > 0 {
        outcome.notes.push(format!("{odd} rows lack a number or a name"));
    }
    if trace.calls() == before && outcome.problem.is_none() {
        match (odd, api) {
            (0, 0) => outcome.notes.push("it has a header and no rows".to_owned()),
            (0, _) => outcome.notes.push("it is about calls of the host, not kernels".to_owned()),
            _ => outcome.problem = Some("no row of it can be read".to_owned()),
        }
    }
    outcome
}

/// A stream whose quotes are counted.
struct Quotes<R> {
    stream: R,
    odd: bool,
    /// The last byte ends a line.
    line_end: bool,
}

impl<R: Read> Read for Quotes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = self.stream.read(buffer)?;
        self.odd ^= memchr::memchr_iter(b'"', &buffer[..length]).count() % 2 == 1;
        if let Some(last) = buffer[..length].last() {
            self.line_end = *last == b'\n';
        }
        Ok(length)
    }
}

enum Row {
    Counted,
    /// A call of the host, or the sum of a domain.
    Api,
    Odd,
}

fn add(layout: &Layout, row: &ByteRecord, trace: &mut Trace) -> Row {
    let text = |i: usize| String::from_utf8_lossy(&row[i]);
    let number = |i: usize| {
        let text = text(i).replace(',', "");
        text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0)
    };
    match layout {
        Layout::Activities { name, start, end, length, device, source, units, .. } => {
            // Times are too long for a floating-point number, lengths are not.
            let exact = |i: usize| text(i).trim().parse::<i64>().ok();
            let scaled = |i: usize, unit: f64| Some((number(i)? * unit).round() as i64);
            let from = exact(*start).filter(|_| units.0 == 1.0).or_else(|| scaled(*start, units.0));
            let to = match length {
                true => scaled(*end, units.1).and_then(|d| Some(from?.saturating_add(d))),
                false => exact(*end).or_else(|| scaled(*end, 1.0)),
            };
            let (Some(from), Some(to)) = (from, to) else { return Row::Odd };
            if to < from {
                return Row::Odd;
            }
            let name = text(*name);
            if name.is_empty() {
                return Row::Odd;
            }
            let copy = source.is_some() || name.starts_with("[CUDA mem");
            let mut gpu = device.map_or(0, |i| id_of(&text(i)));
            if let Some(source) = source
                && name.contains("DEVICE_TO_HOST")
            {
                gpu = id_of(&text(*source));
            }
            trace.activity(gpu, &name, copy.then_some(Kind::Copy), ordered(from), ordered(to));
            Row::Counted
        }
        Layout::Sums { name, calls, total, unit, .. } => {
            let (Some(calls), Some(total)) = (number(*calls), number(*total)) else {
                return Row::Odd;
            };
            let name = text(*name);
            if name.is_empty() {
                return Row::Odd;
            }
            if is_call_of_the_host(&name) {
                return Row::Api;
            }
            let copy = name.starts_with("[CUDA mem") || name.starts_with("MEMORY_COPY_");
            let total = (total * unit).round() as u64;
            trace.summed(&name, copy.then_some(Kind::Copy), calls as u64, total);
            Row::Counted
        }
    }
}

/// Whether a row of sums is about a function of an API, or about a whole domain.
fn is_call_of_the_host(name: &str) -> bool {
    let upper = |rest: &str| rest.starts_with(|c: char| c.is_ascii_uppercase());
    let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let api = ["hip", "cuda", "cu", "roctx", "rocdec", "rocJpeg"]
        .iter()
        .any(|prefix| name.strip_prefix(prefix).is_some_and(upper));
    let nccl = name.strip_prefix("nccl").is_some_and(upper) && !name.contains("Kernel");
    let domain = name.ends_with("_API")
        || matches!(name, "KERNEL_DISPATCH" | "MEMORY_COPY")
        || name.ends_with("_API_EXT");
    word && (api || nccl || domain || name.starts_with("hsa_") || name.starts_with("__hip"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout_of(header: &str) -> Option<Layout> {
        layout(header.split(',').map(|c| c.trim_matches('"')))
    }

    #[test]
    fn tables_of_the_host_are_not_taken() {
        for header in [
            "\"Time (%)\",\"Total Time (ns)\",\"Num Calls\",\"Avg (ns)\",\"Name\"",
            "\"Domain\",\"Function\",\"Process_Id\",\"Thread_Id\",\"Correlation_Id\",\
             \"Start_Timestamp\",\"End_Timestamp\"",
            "model,performance,metric",
        ] {
            assert_eq!(layout_of(header), None, "{header}");
        }
        assert!(layout_of("\"Name\",\"Calls\",\"TotalDurationNs\",\"AverageNs\"").is_some());
        for name in ["hipLaunchKernel", "hsa_queue_create", "HIP_API", "ncclAllReduce"] {
            assert!(is_call_of_the_host(name), "{name}");
        }
        for name in ["hip_kernel(float*)", "ncclDevKernel_AllReduce", "hsaco_fn", "cumsum"] {
            assert!(!is_call_of_the_host(name), "{name}");
        }
    }
}
