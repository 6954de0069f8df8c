//! A catalog in a directory of its own, and the `mad` program run on it with a clean
//! environment.

// Every test target compiles this module, and none uses all of it.
#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

mod browser;
mod hostile;
mod past;
mod process;
mod read;
mod terminal;
pub mod tuned;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

pub use browser::{browse, decoded};
pub use hostile::{HOSTILE, hostile};
pub use past::{Past, SCRIPT, noise, stepped};
pub use process::{Mad, Ran, Running, alive, eventually, send, supervisor};
pub use read::{check, json_file, redact, shipped_for_agents};
pub use terminal::{Shown, Then};

/// Validation wants a script that can report a number; of one that fails to, this line
/// makes it hard to tell beforehand.
const PERHAPS: &str = r#"if [ -n "${NEVER_SET:-}" ]; then echo "performance: 1 never"; fi"#;

/// A temporary directory with a catalog in `catalog/`. `mad` runs beside it, so that
/// results do not land in the catalog.
pub struct Fixture {
    dir: TempDir,
    entries: Vec<Value>,
}

impl Fixture {
    /// Without any catalog file.
    pub fn empty() -> Fixture {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("catalog")).expect("the catalog's directory");
        Fixture { dir, entries: Vec::new() }
    }

    /// With this text as `models.json`.
    pub fn with_catalog(text: impl AsRef<[u8]>) -> Fixture {
        let fixture = Fixture::empty();
        fixture.write("models.json", text);
        fixture
    }

    /// With one entry that runs `body`.
    pub fn with(name: &str, body: &str) -> Fixture {
        Fixture::empty().entry(name, body, json!({}))
    }

    /// Adds an entry that runs `body` on the CPU; the keys of `extra` come on top.
    #[must_use]
    pub fn entry(mut self, name: &str, body: &str, extra: Value) -> Fixture {
        let mut entry = json!({
            "name": name,
            "scripts": format!("scripts/{name}"),
            "n_gpus": "0",
            "owner": "tests@example.com",
            "training_precision": "",
            "tags": ["cpu"],
            "args": "",
        });
        if let (Some(entry), Value::Object(extra)) = (entry.as_object_mut(), extra) {
            entry.extend(extra);
        }
        self.write(
            &format!("scripts/{name}/run.sh"),
            format!("#!/usr/bin/env bash\n{PERHAPS}\n{body}\n"),
        );
        self.entries.push(entry);
        self.write("models.json", format!("{:#}\n", Value::from(self.entries.clone())));
        self
    }

    /// Writes a file below the catalog's root.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    /// The catalog's root.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("catalog")
    }

    /// A path beside the catalog, where `mad` runs.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Text of a file beside the catalog.
    pub fn text(&self, path: &str) -> String {
        read(&self.path(path))
    }

    /// `mad` with these arguments.
    pub fn mad(&self, args: &[&str]) -> Mad {
        Mad::new(self.dir.path(), args)
    }

    /// The test target with these arguments, as `cargo test --test models --` has it.
    pub fn target(&self, args: &[&str]) -> Mad {
        let args: Vec<&str> =
            std::iter::once("__test-target").chain(args.iter().copied()).collect();
        self.mad(&args)
    }

    /// The rows of perf.csv, each as its cells by column.
    pub fn rows(&self) -> Vec<Row> {
        let text = self.text("perf.csv");
        let mut lines = text.lines().map(cells);
        let header = lines.next().expect("a header");
        let row = |cells: Vec<String>| {
            assert_eq!(cells.len(), header.len(), "a row of another width: {cells:?}");
            Row(header.iter().cloned().zip(cells).collect())
        };
        lines.map(row).collect()
    }

    /// The directories of all runs, oldest first.
    pub fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path("mad/runs")) else { return Vec::new() };
        let mut runs: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
        runs.sort();
        runs
    }

    /// A record of the newest run.
    pub fn record(&self, path: &str) -> Value {
        json_file(&self.runs().last().expect("a run").join(path))
    }

    /// The log of the first execution of `model` in the newest run.
    pub fn log(&self, model: &str) -> String {
        let run = self.runs().pop().expect("a run");
        read(&run.join(model).join("attempt-1/execution-1/run.log"))
    }

    /// Everything the runs left behind that holds `text`: paths of files.
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.dir.path().to_owned()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(dir).expect("a directory").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    open.push(path);
                } else if String::from_utf8_lossy(&fs::read(&path).unwrap_or_default())
                    .contains(text)
                {
                    found.push(path);
                }
            }
        }
        found
    }
}

/// A row of perf.csv.
pub struct Row(Vec<(String, String)>);

impl Row {
    /// The cell of a column.
    pub fn get(&self, column: &str) -> &str {
        let cell = self.0.iter().find(|(name, _)| name == column);
        cell.map_or_else(|| panic!("no column {column}"), |(_, value)| value)
    }
}

/// A line of a CSV file without line breaks in its cells.
pub fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => cells.last_mut().expect("a cell").push(c),
        }
    }
    cells
}

/// The text of a file.
pub fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}
