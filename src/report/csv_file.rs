//! perf.csv and its relatives, in one pass and with bounded memory.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use csv::ByteRecord;

use super::collect::{Collector, FIELDS, REQUIRED, RawRow};

/// A row of more bytes is none: a quote was opened and never closed.
const ROW_MAX: u64 = 16 << 20;

/// Reads all rows. Columns are found by their names, in whatever order and company they
/// are; a row of another width than the header is not guessed at.
///
/// # Errors
/// When the file cannot be read or lacks a column that matters.
pub(super) fn read(file: impl Read, into: &mut Collector) -> Result<()> {
    let given = Rc::new(Cell::new(0));
    let file = Bounded { file, given: Rc::clone(&given) };
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .buffer_capacity(1 << 18)
        .from_reader(file);
    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record)? {
        bail!("it is empty");
    }
    let header: Vec<String> = record.iter().map(|name| text(name).into_owned()).collect();
    let columns = columns(&header)?;
    loop {
        given.set(0);
        if !reader.read_byte_record(&mut record).context("after the rows before it")? {
            return Ok(());
        }
        let blank = record.len() == 1 && text(&record[0]).is_empty();
        if blank || is_header(&record, &header) {
            continue;
        }
        if record.len() != header.len() {
            let line = record.position().map_or(0, csv::Position::line);
            let (has, wants) = (record.len(), header.len());
            let model = columns[0].and_then(|at| record.get(at)).map(text).unwrap_or_default();
            into.malformed(|| {
                format!("line {line} ({model:?}) has {has} cells, the header {wants}: not read")
            });
            continue;
        }
        let cells = columns.map(|at| at.and_then(|at| record.get(at)).map(text));
        into.add(&RawRow::new(cells.each_ref().map(|cell| cell.as_deref().unwrap_or_default())));
    }
}

/// Where [`FIELDS`] are.
fn columns(header: &[String]) -> Result<[Option<usize>; FIELDS.len()]> {
    let columns = FIELDS.map(|field| header.iter().position(|name| name == field));
    let missing: Vec<&str> = FIELDS
        .into_iter()
        .zip(columns)
        .take(REQUIRED)
        .filter_map(|(field, at)| at.is_none().then_some(field))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        bail!("its header lacks {missing}: it is no perf.csv, nor a record of results in JSON");
    }
    let twice = FIELDS.into_iter().find(|field| header.iter().filter(|n| n == field).count() > 1);
    match twice {
        Some(field) => bail!("two columns are named {field}: which one counts?"),
        None => Ok(columns),
    }
}

/// Whether the header is repeated, as in files that were put one after the other.
fn is_header(record: &ByteRecord, header: &[String]) -> bool {
    record.len() == header.len() && record.iter().zip(header).all(|(a, b)| text(a) == b.as_str())
}

fn text(cell: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(cell) {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}

/// A file that fails rather than to give a row without end.
struct Bounded<R> {
    file: R,
    /// Bytes given since the last row was complete.
    given: Rc<Cell<u64>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given.get() > ROW_MAX {
            let size = ROW_MAX >> 20;
            let message = format!("a row is longer than {size} MiB: is a quote left open?");
            return Err(io::Error::other(message));
        }
        let n = self.file.read(buffer)?;
        self.given.set(self.given.get() + n as u64);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{Reading, Status};

    fn collected(text: &[u8]) -> Result<(Vec<Reading>, Vec<String>)> {
        let mut collector = Collector::default();
        read(text, &mut collector)?;
        Ok(collector.finish())
    }

    #[test]
    fn columns_are_found_by_name() {
        let text = "\u{feff}metric, performance ,temperature,model,status\n\
                    tok/s,12,40,m,SUCCESS\n\nmetric, performance ,temperature,model,status\n\
                    ms,3,41,\"a,\"\"b\"\"\nc\",SUCCESS\n";
        let (readings, problems) = collected(text.as_bytes()).unwrap();
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(readings.len(), 2);
        assert_eq!((readings[0].model.as_str(), readings[0].metric.as_str()), ("m", "tok/s"));
        assert_eq!(readings[1].model, "a,\"b\"\nc");
    }

    #[test]
    fn rows_of_another_width_are_problems() {
        let text = "model,performance,metric,status\nm,1,x,SUCCESS\nhalf,2\nn,1,x,SUCCESS,more\n";
        let (readings, problems) = collected(text.as_bytes()).unwrap();
        assert_eq!(readings.len(), 1);
        assert_eq!(
            problems,
            [
                "line 3 (\"half\") has 2 cells, the header 4: not read",
                "line 4 (\"n\") has 5 cells, the header 4: not read"
            ]
        );
    }

    #[test]
    fn other_files_are_refused() {
        for (text, says) in [
            ("", "it is empty"),
            ("a,b\n1,2\n", "lacks model, performance, metric"),
            ("model,performance,metric,metric\n", "two columns are named metric"),
        ] {
            let error = format!("{:#}", collected(text.as_bytes()).unwrap_err());
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn a_quote_that_is_left_open_does_not_fill_the_memory() {
        let endless = io::repeat(b'x').take(1 << 30);
        let text = b"model,performance,metric\n\"".chain(endless);
        let error = read(text, &mut Collector::default()).unwrap_err();
        assert!(format!("{error:#}").contains("is a quote left open?"), "{error:#}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut text = b"model,performance,metric,status\n".to_vec();
            text.extend(&bytes);
            let _ = collected(&text);
            let _ = collected(&bytes);
        }

        #[test]
        fn every_number_comes_back(values in prop::collection::vec(-1e9..1e9_f64, 1..20)) {
            let rows: String = values.iter().map(|v| format!("m,{v},x,SUCCESS\n")).collect();
            let text = format!("model,performance,metric,status\n{rows}");
            let (readings, _) = collected(text.as_bytes()).unwrap();
            let all: Vec<f64> =
                readings[0].earlier.iter().chain(&readings[0].values).copied().collect();
            prop_assert_eq!(all, values);
            prop_assert_eq!(readings[0].status, Status::Success);
        }
    }
}
