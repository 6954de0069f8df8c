//! The tables of tests/fixtures/compat: what goes in, what madengine makes of it, and what
//! we make of it. Their heads say how they are read.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::common::read;

/// The catalog and its tables.
pub(crate) const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/compat");

/// What comes of an entry, or which entries come of tags.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    /// `<value> <metric>`; or `failure`, perhaps with the number that stands beside it; or
    /// `nothing`.
    Word(String),
    /// A line for each row of perf.csv, or for each entry.
    Lines(Vec<String>),
}

/// A row of a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// What the script prints.
    #[serde(default)]
    pub(crate) log: String,
    /// What it writes to its results file.
    pub(crate) csv: Option<String>,
    /// What is in that file before.
    pub(crate) stale: Option<String>,
    /// Its exit status.
    #[serde(default)]
    pub(crate) exit: u8,
    /// Further keys of the entry.
    #[serde(default)]
    pub(crate) keys: Map<String, Value>,
    /// What is selected.
    #[serde(default)]
    pub(crate) tags: Vec<String>,
    /// What madengine makes of it.
    pub(crate) madengine: Outcome,
    /// What we make of it, where that is something else.
    mad: Option<Outcome>,
    /// The difference of docs/compat.md that it is.
    pub(crate) why: Option<String>,
    /// Words that our message has.
    #[serde(default)]
    pub(crate) says: Vec<String>,
    /// Further cells of our row of perf.csv.
    #[serde(default)]
    pub(crate) columns: BTreeMap<String, String>,
    /// Further columns of its results file, which perf_entry_super.json has.
    #[serde(default)]
    pub(crate) multi_results: Map<String, Value>,
}

impl Row {
    /// What we make of it.
    pub(crate) fn expected(&self) -> &Outcome {
        self.mad.as_ref().unwrap_or(&self.madengine)
    }
}

/// Rows by name.
pub(crate) type Table = BTreeMap<String, Row>;

/// The rows of a table in sections, each as `<section>/<row>`.
pub(crate) fn sections(file: &str) -> Table {
    let sections: BTreeMap<String, Table> = toml_file(file);
    let named = sections.into_iter().flat_map(|(section, rows)| {
        rows.into_iter().map(move |(row, it)| (format!("{section}/{row}"), it))
    });
    named.map(|(name, row)| (name.clone(), explained(&name, row))).collect()
}

/// The rows of one section of a table.
pub(crate) fn section(file: &str, section: &str) -> Table {
    let mut sections: BTreeMap<String, Table> = toml_file(file);
    let rows = sections.remove(section).expect("a section");
    rows.into_iter().map(|(name, row)| (name.clone(), explained(&name, row))).collect()
}

/// A difference must be one, and have its reason.
fn explained(name: &str, row: Row) -> Row {
    if let Some(mad) = &row.mad {
        assert_ne!(*mad, row.madengine, "{name}: `mad` says the same as `madengine`");
        assert!(row.why.is_some(), "{name} differs without a reason");
    }
    row
}

/// A TOML file of the fixtures.
pub(crate) fn toml_file<T: DeserializeOwned>(file: &str) -> T {
    toml::from_str(&read(&Path::new(FIXTURES).join(file))).unwrap_or_else(|e| panic!("{file}: {e}"))
}
