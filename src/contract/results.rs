//! The CSV of an entry with `multiple_results`.

mod header;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use memchr::memchr_iter;
use thiserror::Error;

use self::header::Header;
use super::line::excerpt;
use super::sample::Sample;

/// A results file is a table of numbers; a bigger one is something else.
const MAX_BYTES: u64 = 16 << 20;
/// How many bad rows are named.
const ROWS_MAX: usize = 10;

/// What a results CSV says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    /// One per row, in order; their keys differ.
    pub samples: Vec<Sample>,
    /// What is odd about the file, but loses no number.
    pub warnings: Vec<String>,
}

/// Why a results CSV counts for nothing.
#[derive(Debug, Error)]
pub enum CsvError {
    /// The script did not write it.
    #[error("the script wrote no {}", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// It was there before the script started.
    #[error("{} is left over from an earlier run; the script did not write it", path.display())]
    Stale {
        /// Where it is.
        path: PathBuf,
    },
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Where it is.
        path: PathBuf,
    },
    /// It is no table of results.
    #[error("{} has more than {} MiB", path.display(), MAX_BYTES >> 20)]
    TooLarge {
        /// Where it is.
        path: PathBuf,
    },
    /// It is no text.
    #[error("{}:{line}: not UTF-8", path.display())]
    NotUtf8 {
        /// Where it is.
        path: PathBuf,
        /// The first line with such a byte.
        line: u64,
    },
    /// Its header does not do.
    #[error("{}: {problem}", path.display())]
    Header {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// It has a header and nothing else.
    #[error("{} has no rows", path.display())]
    NoRows {
        /// Where it is.
        path: PathBuf,
    },
    /// Some rows have no usable number.
    #[error("{}{}", path.display(), list(rows, *more))]
    BadRows {
        /// Where it is.
        path: PathBuf,
        /// The first of them.
        rows: Vec<RowProblem>,
        /// How many there are beyond those.
        more: usize,
    },
}

/// A row without a usable number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowProblem {
    /// The line on which the row starts.
    pub line: u64,
    /// Its `model` column, if it has one.
    pub model: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if !self.model.is_empty() {
            write!(f, " (model \"{}\")", excerpt(&self.model, 0))?;
        }
        write!(f, ": {}", self.problem)
    }
}

fn list(rows: &[RowProblem], more: usize) -> String {
    if let ([row], 0) = (rows, more) {
        return format!(", {row}");
    }
    let mut text = format!(": {} rows have no usable number", rows.len() + more);
    for row in rows {
        text.push_str(&format!("\n  {row}"));
    }
    if more > 0 {
        text.push_str(&format!("\n  and {more} more"));
    }
    text
}

/// Reads a results CSV.
///
/// Header names are trimmed and have to be `model`, `performance` and `metric` exactly;
/// further columns are kept as written, except
/// one without a name (the index that pandas writes). Every row has a model, a metric and a finite
/// number: what pandas reads as no value (`NA`, `nan`, nothing) and other text fail the
/// whole file, with all such rows named.
///
/// # Errors
/// If the file is not there, not a CSV of that form, or has no row.
pub fn read_results_csv(path: &Path) -> Result<Results, CsvError> {
    let text = read_text(path)?;
    let data = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut reader =
        csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(data.as_bytes());
    let mut record = StringRecord::new();
    let mut next = |record: &mut StringRecord| {
        reader
            .read_record(record)
            .map_err(|error| CsvError::Io { path: path.to_owned(), source: error.into() })
    };

    next(&mut record)?;
    let header = Header::new(&record)
        .map_err(|problem| CsvError::Header { path: path.to_owned(), problem })?;

    let mut lines = Lines::new(data);
    let mut samples = Vec::new();
    let mut bad = Vec::new();
    let mut more = 0;
    while next(&mut record)? {
        if record.len() == 1 && record[0].trim().is_empty() {
            continue;
        }
        match header.sample(&record) {
            Ok(sample) => samples.push(sample),
            Err(_) if bad.len() == ROWS_MAX => more += 1,
            Err((model, problem)) => {
                bad.push(RowProblem { line: lines.number(&record), model, problem })
            }
        }
    }
    if !bad.is_empty() {
        return Err(CsvError::BadRows { path: path.to_owned(), rows: bad, more });
    }
    if samples.is_empty() {
        return Err(CsvError::NoRows { path: path.to_owned() });
    }
    let warnings = number_repeated(&mut samples)
        .map(|what| format!("{}: {what}", path.display()))
        .into_iter()
        .collect();
    Ok(Results { samples, warnings })
}

pub(super) fn read_text(path: &Path) -> Result<String, CsvError> {
    let path_buf = || path.to_owned();
    let io_error = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => CsvError::Missing { path: path_buf() },
        _ => CsvError::Io { path: path_buf(), source },
    };
    // Asked before opening, which would wait for the writer of a pipe.
    if !path.metadata().map_err(io_error)?.is_file() {
        return Err(CsvError::NotAFile { path: path_buf() });
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(io_error)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(CsvError::TooLarge { path: path_buf() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        CsvError::NotUtf8 { path: path_buf(), line: line_count(valid) + 1 }
    })
}

/// The line on which a record starts. The `csv` crate's own count starts a record at the
/// blank lines before it.
struct Lines<'a> {
    data: &'a [u8],
    counted: usize,
    newlines: u64,
}

impl<'a> Lines<'a> {
    fn new(data: &'a str) -> Self {
        Self { data: data.as_bytes(), counted: 0, newlines: 0 }
    }

    fn number(&mut self, record: &StringRecord) -> u64 {
        let after = record.position().map_or(0, |position| position.byte());
        let mut start = usize::try_from(after).unwrap_or(0).min(self.data.len());
        while matches!(self.data.get(start), Some(b'\n' | b'\r')) {
            start += 1;
        }
        self.newlines += line_count(&self.data[self.counted..start]);
        self.counted = start;
        self.newlines + 1
    }
}

fn line_count(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

/// Makes the keys unique. Says so if there was something to do.
pub(super) fn number_repeated(samples: &mut [Sample]) -> Option<String> {
    let mut last: HashMap<String, u32> = HashMap::new();
    let mut taken: HashSet<String> = HashSet::new();
    let mut first_repeated = None;
    for sample in samples {
        let key = sample.key();
        let nth = last.entry(key.clone()).or_default();
        loop {
            *nth += 1;
            sample.nth = (*nth > 1).then_some(*nth);
            // A metric may itself be called "x #2".
            if taken.insert(sample.key()) {
                break;
            }
        }
        if sample.nth.is_some() {
            first_repeated.get_or_insert(key);
        }
    }
    first_repeated.map(|key| {
        format!("rows with one model and metric (\"{key}\") are told apart by their order")
    })
}
