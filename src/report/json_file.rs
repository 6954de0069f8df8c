//! perf_entry_super.json and its relatives: an array of records, or one record.

use std::fmt;
use std::io::{self, BufRead, Read};

use anyhow::{Context, Result};
use serde::Deserializer as _;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::collect::{Collector, FIELDS, REQUIRED, RawRow};

/// Reads all records.
///
/// # Errors
/// When the file cannot be read or is no array of records.
pub(super) fn read(file: impl BufRead, into: &mut Collector) -> Result<()> {
    let mut json = serde_json::Deserializer::from_reader(Lenient { file, owed: &[], text: None });
    json.deserialize_any(Records(into)).and_then(|()| json.end())?;
    Ok(())
}

struct Records<'c>(&'c mut Collector);

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records, as in perf_entry_super.json")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut records: A) -> Result<(), A::Error> {
        // One at a time: a file that was added to for years is not held in memory.
        while let Some(record) = records.next_element::<Map<String, Value>>()? {
            add(&record, self.0);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let mut record = Map::new();
        while let Some((key, value)) = entries.next_entry::<String, Value>()? {
            record.insert(key, value);
        }
        add(&record, self.0);
        Ok(())
    }
}

fn add(record: &Map<String, Value>, into: &mut Collector) {
    let missing: Vec<&str> =
        FIELDS.into_iter().take(REQUIRED).filter(|field| !record.contains_key(*field)).collect();
    if !missing.is_empty() {
        let number = into.read + 1;
        into.malformed(|| format!("record {number} lacks {}: not read", missing.join(", ")));
        return;
    }
    let cells = FIELDS.map(|field| match record.get(field) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(other) => other.to_string(),
    });
    into.add(&RawRow::new(cells.each_ref().map(String::as_str)));
}

/// JSON as Python writes it: `NaN` and `Infinity` outside of strings are read as `""`.
struct Lenient<R> {
    file: R,
    /// What stands in the place of a word that was begun.
    owed: &'static [u8],
    /// Within a string: whether the next character is escaped.
    text: Option<bool>,
}

impl<R: BufRead> Read for Lenient<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        for byte in &mut buffer[..n] {
            if let [next, rest @ ..] = self.owed {
                (*byte, self.owed) = (*next, rest);
                continue;
            }
            match (self.text, *byte) {
                (Some(true), _) => self.text = Some(false),
                (Some(false), b'\\') => self.text = Some(true),
                (Some(false), b'"') => self.text = None,
                (Some(false), _) => {}
                (None, b'"') => self.text = Some(false),
                (None, b'N') => (*byte, self.owed) = (b'"', b"\" "),
                (None, b'I') => (*byte, self.owed) = (b'"', b"\"      "),
                (None, _) => {}
            }
        }
        Ok(n)
    }
}

/// The first byte that is not white space, without taking it; a byte order mark is taken.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn first_byte(file: &mut impl BufRead) -> Result<Option<u8>> {
    loop {
        let buffer = file.fill_buf().context("cannot read it")?;
        if buffer.starts_with(b"\xef\xbb\xbf") {
            file.consume(3);
            continue;
        }
        match buffer.iter().position(|b| !b.is_ascii_whitespace()) {
            Some(at) => return Ok(Some(buffer[at])),
            None if buffer.is_empty() => return Ok(None),
            None => {
                let n = buffer.len();
                file.consume(n);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::{Reading, Status};

    fn collected(text: &str) -> Result<(Vec<Reading>, Vec<String>)> {
        let mut collector = Collector::default();
        // Small pieces, so that words are split over reads.
        read(io::BufReader::with_capacity(2, text.as_bytes()), &mut collector)?;
        Ok(collector.finish())
    }

    #[test]
    fn numbers_texts_and_pythons_words() {
        let text = r#"[
            {"model": "a", "performance": "14164", "metric": "x", "status": "SUCCESS"},
            {"model": "NaN \" Infinity", "performance": 100.5, "metric": "x", "n_gpus": 8,
             "configs": [{"NaN": NaN}], "multi_results": {"t": Infinity}, "status": "SUCCESS"},
            {"model": "c", "performance": NaN, "metric": "x", "status": "FAILURE"},
            {"model": "d", "performance": null, "metric": null, "status": "FAILURE"},
            {"model": "e", "metric": "x"}
        ]"#;
        let (readings, problems) = collected(text).unwrap();
        let told: Vec<_> =
            readings.iter().map(|r| (r.model.as_str(), r.values.first().copied())).collect();
        assert_eq!(
            told,
            [("a", Some(14164.0)), ("NaN \" Infinity", Some(100.5)), ("c", None), ("d", None)]
        );
        assert_eq!(readings[1].setting.n_gpus, "8");
        assert_eq!(readings[2].status, Status::Failure);
        assert_eq!(problems, ["record 5 lacks performance: not read"]);
    }

    #[test]
    fn one_record_needs_no_array() {
        let (readings, _) = collected(r#"{"model":"a","performance":"1","metric":"x"}"#).unwrap();
        assert_eq!(readings.len(), 1);
    }

    #[test]
    fn what_is_broken_is_refused_with_its_place() {
        for text in ["[", "[1]", "3", "[{\"model\":\"a\"", "[] x", "[{}]]"] {
            let error = format!("{:#}", collected(text).unwrap_err());
            assert!(error.contains("line 1"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[\\[\\]{}\",:NaInf0-9e.\\\\-]{0,60}") {
            let _ = collected(&text);
        }

        #[test]
        fn strings_stay_as_they_are(name in ".{0,20}") {
            let json = serde_json::json!([{ "model": name, "performance": 1, "metric": "x" }]);
            let (readings, _) = collected(&json.to_string()).unwrap();
            prop_assert_eq!(&readings[0].model, name.trim());
        }
    }
}
