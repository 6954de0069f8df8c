//! perf.csv: madengine's 29 columns, appended under a lock, never rewritten.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::record;

/// The columns, in order. Blank means unknown; `relative_change` is the change
/// against the baseline as a fraction, signed as measured (`-0.0312` is 3.12 % less).
pub const COLUMNS: [&str; 29] = [
    "model",
    "n_gpus",
    "nnodes",
    "gpus_per_node",
    "training_precision",
    "pipeline",
    "args",
    "tags",
    "docker_file",
    "base_docker",
    "docker_sha",
    "docker_image",
    "git_commit",
    "machine_name",
    "deployment_type",
    "launcher",
    "gpu_architecture",
    "performance",
    "metric",
    "relative_change",
    "status",
    "build_duration",
    "test_duration",
    "dataname",
    "data_provider_type",
    "data_size",
    "data_download_duration",
    "build_number",
    "additional_docker_run_options",
];

/// One row: the value of each column that has one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row(pub BTreeMap<&'static str, String>);

impl Row {
    /// Sets a column of [`COLUMNS`].
    pub fn set(&mut self, column: &'static str, value: impl Into<String>) -> &mut Self {
        debug_assert!(COLUMNS.contains(&column), "{column} is no column of perf.csv");
        self.0.insert(column, value.into());
        self
    }

    /// The value of a column, blank if there is none.
    pub fn get(&self, column: &str) -> &str {
        self.0.get(column).map_or("", String::as_str)
    }
}

/// Appends `rows` to the file at `path`, which is made with a header if there is
/// none. All rows are there afterwards, or none.
///
/// The order of the columns is the file's own, so that a file which madengine wrote
/// (and widened) can be appended to.
///
/// # Errors
/// When the file cannot be locked or written, or is no perf.csv.
pub fn append_rows(path: &Path, rows: &[Row]) -> Result<()> {
    append(path, rows, |_, _| Ok(true), || Ok(()))
}

/// Where rows were appended, or were about to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Appended {
    output: PathBuf,
    /// Length of the file before.
    offset: u64,
    /// Whether they are there.
    done: bool,
}

/// [`append_rows`], once for each `note`: a file that says what has been appended. Who comes
/// again after a kill, at whatever moment, appends what is missing and nothing twice.
///
/// # Errors
/// As [`append_rows`], and when the note cannot be written.
pub fn append_rows_once(path: &Path, rows: &[Row], note: &Path) -> Result<()> {
    let output = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let before: Option<Appended> = record::read_json(note)?;
    if before.as_ref().is_some_and(|noted| noted.done) {
        return Ok(());
    }
    let offset = std::cell::Cell::new(0);
    let begin = |file: &mut File, text: &[u8]| -> Result<bool> {
        let length = file.metadata()?.len();
        offset.set(length);
        if let Some(noted) = before.as_ref().filter(|noted| noted.output == output) {
            // Killed between two steps: the rows are there, or they are not.
            let mut since = Vec::new();
            file.seek(SeekFrom::Start(noted.offset.min(length)))?;
            file.read_to_end(&mut since)?;
            let text = text.trim_ascii();
            if memchr::memmem::find(&since, text).is_some() {
                offset.set(noted.offset);
                return Ok(false);
            }
        }
        let noted = Appended { output: output.clone(), offset: length, done: false };
        record::write_json(note, &noted)?;
        Ok(true)
    };
    append(path, rows, begin, || {
        record::write_json(
            note,
            &Appended { output: output.clone(), offset: offset.get(), done: true },
        )
    })
}

/// Appends under a lock, if `begin` says so, which sees the file and what would be appended.
/// `end` is called when it is there, still under the lock.
fn append(
    path: &Path,
    rows: &[Row],
    begin: impl Fn(&mut File, &[u8]) -> Result<bool>,
    end: impl Fn() -> Result<()>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let append = || -> Result<()> {
        let mut file = open(path)?;
        // Held until the file is closed; other writers wait here.
        file.lock()?;
        let length = file.metadata()?.len();
        let header = if length == 0 { None } else { Some(read_header(&mut file)?) };
        let mut text = Vec::new();
        if length > 0 && !ends_with_newline(&mut file, length)? {
            // A writer without our manners died here. Its half row stays what it is.
            text.push(b'\n');
        }
        let mut writer = csv::Writer::from_writer(&mut text);
        match &header {
            None => {
                writer.write_record(COLUMNS)?;
                for row in rows {
                    writer.write_record(COLUMNS.map(|c| row.get(c)))?;
                }
            }
            Some(header) => {
                for row in rows {
                    writer.write_record(header.iter().map(|c| row.get(c)))?;
                }
            }
        }
        writer.flush()?;
        drop(writer);
        if begin(&mut file, &text)?
            && let Err(e) = file.write_all(&text)
        {
            // A full disk: take back the half that was written.
            let _ = file.set_len(length);
            return Err(e.into());
        }
        end()
    };
    append().with_context(|| format!("cannot append to {}", path.display()))
}

/// Replaces the file at `path` by one of these rows.
///
/// # Errors
/// When it cannot be written.
pub fn write_rows<'r>(path: &Path, rows: impl IntoIterator<Item = &'r Row>) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for row in rows {
        writer.write_record(COLUMNS.map(|c| row.get(c)))?;
    }
    record::write_atomically(path, &writer.into_inner().context("cannot format the rows")?)
}

/// Whether rows can be appended at `path`: better known before hours of measuring than
/// after. Makes an empty file where there is none.
///
/// # Errors
/// When the file cannot be written, or is no perf.csv.
pub fn check_appendable(path: &Path) -> Result<()> {
    let check = || -> Result<()> {
        let mut file = open(path)?;
        if file.metadata()?.len() > 0 {
            read_header(&mut file)?;
        }
        Ok(())
    };
    check().with_context(|| format!("cannot append to {}", path.display()))
}

fn open(path: &Path) -> Result<File> {
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        fs::create_dir_all(dir)?;
    }
    Ok(File::options().read(true).append(true).create(true).open(path)?)
}

fn read_header(file: &mut File) -> Result<Vec<String>> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header: Vec<String> = reader.headers()?.iter().map(|c| c.trim().to_owned()).collect();
    let missing: Vec<&str> =
        COLUMNS.into_iter().filter(|c| !header.iter().any(|h| h == c)).collect();
    if !missing.is_empty() {
        bail!(
            "its header lacks {}: it is no perf.csv; name another file with --output",
            missing.join(", ")
        );
    }
    Ok(header)
}

fn ends_with_newline(file: &mut File, length: u64) -> Result<bool> {
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str) -> Row {
        let mut row = Row::default();
        row.set("model", model).set("performance", "0042").set("tags", "a,b");
        row
    }

    #[test]
    fn appends_and_never_rewrites() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/perf.csv");
        append_rows(&path, &[row("one")]).unwrap();
        let first = fs::read_to_string(&path).unwrap();
        append_rows(&path, &[row("two"), row("three")]).unwrap();
        let second = fs::read_to_string(&path).unwrap();
        assert!(second.starts_with(&first));
        assert_eq!(second.lines().count(), 4);
        assert_eq!(second.lines().nth(1).unwrap().matches(',').count(), 29);
        assert!(first.contains(",0042,"));
    }

    #[test]
    fn follows_a_widened_header_and_ends_a_half_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("perf.csv");
        let header = format!("configs,{},temperature", COLUMNS.join(", "));
        fs::write(&path, format!("{header}\nhalf a row")).unwrap();
        append_rows(&path, &[row("m")]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let last = text.lines().last().unwrap();
        assert!(text.contains("half a row\n,m,"), "{text}");
        assert!(last.ends_with(','));
    }

    #[test]
    fn refuses_another_kind_of_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("perf.csv");
        fs::write(&path, "a,b\n1,2\n").unwrap();
        let error = format!("{:#}", append_rows(&path, &[row("m")]).unwrap_err());
        assert!(error.contains("it is no perf.csv"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a,b\n1,2\n");
    }

    #[test]
    fn who_comes_again_appends_what_is_missing_and_nothing_twice() {
        let dir = tempfile::tempdir().unwrap();
        let (path, note) = (dir.path().join("perf.csv"), dir.path().join("note.json"));
        append_rows(&path, &[row("before")]).unwrap();
        let once = || append_rows_once(&path, &[row("one"), row("two")], &note).unwrap();
        let models = || {
            let text = fs::read_to_string(&path).unwrap();
            text.lines()
                .skip(1)
                .map(|l| l.split(',').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        once();
        once();
        assert_eq!(models(), ["before", "one", "two"]);
        let undo = || {
            let mut noted: Appended = record::read_json(&note).unwrap().unwrap();
            noted.done = false;
            record::write_json(&note, &noted).unwrap();
            noted.offset
        };
        // Killed after the rows were written and before that was noted; others went on.
        let offset = undo();
        append_rows(&path, &[row("after")]).unwrap();
        once();
        assert_eq!(models(), ["before", "one", "two", "after"]);
        // Killed before they were written.
        undo();
        File::options().write(true).open(&path).unwrap().set_len(offset).unwrap();
        once();
        assert_eq!(models(), ["before", "one", "two"]);
    }

    #[test]
    fn concurrent_writers_lose_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("perf.csv");
        std::thread::scope(|s| {
            for t in 0..8 {
                let path = &path;
                s.spawn(move || {
                    for i in 0..25 {
                        append_rows(path, &[row(&format!("{t}-{i}"))]).unwrap();
                    }
                });
            }
        });
        let mut reader = csv::Reader::from_path(&path).unwrap();
        let models: std::collections::BTreeSet<String> =
            reader.records().map(|r| r.unwrap()[0].to_owned()).collect();
        assert_eq!(models.len(), 200);
    }
}
