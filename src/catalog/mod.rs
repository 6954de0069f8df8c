//! `models.json` → [`Catalog`] of [`Model`]s: schema, discovery, selection.
//!
//! Loading never fails: what is wrong with the files is collected in
//! [`Catalog::problems`], with file, line and JSON pointer, and what is right is
//! there to work with.

mod config;
pub mod entry;
mod index;
mod load;
mod manifest;
mod program;
mod select;
mod source;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};

pub use config::{BASELINE_VARIABLE, CONFIG_FILE, CatalogConfig, Config, PYTHON_VARIABLE};
pub use entry::{Count, Entry, KnownRegression, Lever, LeverKind, MetricRule, Tune, split_commas};
pub use select::NoMatch;
pub(crate) use source::span_of;
pub use source::{Source, escape, locate};

use crate::diagnostic::{Diagnostic, Place};
use crate::manifest::BuiltImage;
use crate::slug::digest;

/// Name of a catalog file.
pub const CATALOG_FILE: &str = "models.json";
/// Name of a Python program that lists the entries of its directory.
pub const PROGRAM_FILE: &str = "get_models_json.py";

/// All entries below one root directory, and all problems found while reading them.
#[derive(Debug)]
pub struct Catalog {
    /// Directory that holds `models.json`, `scripts/` and `docker/`.
    pub root: PathBuf,
    /// `mad.toml`.
    pub config: Config,
    /// The entries: root file first, then `scripts/<dir>/` in order of their names.
    pub models: Vec<Model>,
    /// What is wrong with the files.
    pub problems: Vec<Diagnostic>,
}

impl Catalog {
    /// Problems about no single entry (a file that does not parse, an entry with
    /// no name, a name that exists twice).
    pub fn file_problems(&self) -> impl Iterator<Item = &Diagnostic> {
        self.problems.iter().filter(|p| p.model.is_none())
    }
}

/// Columns beyond this many bytes are not counted: in a catalog without line breaks
/// that would take the whole file for each finding, and help nobody.
const MAX_COLUMN: usize = 16 << 10;

fn inner_pointer(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("/{}", escape(key)) }
}

/// What a script reports its numbers by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contract {
    /// A `performance: <value> <metric>` line.
    Line,
    /// A CSV file of this name (`multiple_results`).
    Csv(String),
    /// A perf CSV written from inside a job that the script submits itself.
    SelfManaged,
}

impl std::fmt::Display for Contract {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Contract::Line => f.write_str("line"),
            Contract::Csv(file) => write!(f, "csv {file}"),
            Contract::SelfManaged => f.write_str("self-managed"),
        }
    }
}

/// One entry of the catalog, resolved: nested names are prefixed, paths are
/// relative to the catalog root. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Model {
    /// Full name, unique in the catalog.
    pub name: String,
    /// Arguments that the selection added (`name:arg=value`), ` --arg value`.
    pub extra_args: String,
    data: Arc<ModelData>,
}

/// What all variants of a [`Model`] share.
#[derive(Debug)]
struct ModelData {
    entry: Entry,
    /// Read when somebody asks: most who look at thousands of entries do not.
    raw: OnceLock<Map<String, Value>>,
    script: Option<PathBuf>,
    dockerfile: Option<PathBuf>,
    source: Arc<Source>,
    index: usize,
    line: usize,
    /// Byte range of the entry in its source.
    span: Range<usize>,
    /// The images that a manifest has for it; `None` in a catalog file.
    images: Option<Vec<BuiltImage>>,
}

impl Model {
    /// The typed entry; a value of the wrong type is absent here and a problem of
    /// the catalog.
    pub fn entry(&self) -> &Entry {
        &self.data.entry
    }

    /// The entry as it is written in its file, or was listed by its program, unknown
    /// keys included.
    pub fn raw(&self) -> &Map<String, Value> {
        // What cannot be read (a number out of range in a key we do not know) is found by
        // the validator, and such an entry does not run.
        self.data.raw.get_or_init(|| serde_json::from_str(self.text()).unwrap_or_default())
    }

    /// Script file or directory, relative to the catalog root, normalised.
    pub fn script(&self) -> Option<&Path> {
        self.data.script.as_deref()
    }

    /// Prefix of the Dockerfiles, relative to the catalog root, normalised.
    pub fn dockerfile(&self) -> Option<&Path> {
        self.data.dockerfile.as_deref()
    }

    /// The images that a manifest has for the entry, which are run and never built;
    /// `None` for an entry of a catalog file.
    pub fn images(&self) -> Option<&[BuiltImage]> {
        self.data.images.as_deref()
    }

    /// What the entry was read from.
    pub fn source(&self) -> &Source {
        &self.data.source
    }

    /// Which element of its file the entry is, from 0.
    pub(crate) fn index(&self) -> usize {
        self.data.index
    }

    /// Byte range of the entry in its source.
    pub(crate) fn span(&self) -> Range<usize> {
        self.data.span.clone()
    }

    /// 1-based line of the entry in its file; 0 if a program does not say it.
    pub fn line(&self) -> usize {
        self.data.line
    }

    /// The entry as it is written.
    pub fn text(&self) -> &str {
        &self.source().text[self.span()]
    }

    /// Where `key` of the entry stands (the whole entry if it has no such key).
    pub fn place(&self, key: &str) -> Place {
        let pointer = inner_pointer(key);
        self.place_of(&pointer, locate(self.text(), &pointer))
    }

    /// Where the name `key` itself stands in the entry (not its value).
    pub fn key_place(&self, key: &str) -> Place {
        self.key_place_at(&inner_pointer(key))
    }

    /// The same for a key deeper inside, by its JSON pointer within the entry.
    pub(crate) fn key_place_at(&self, pointer: &str) -> Place {
        self.place_of(pointer, source::locate_key(self.text(), pointer))
    }

    /// `pointer` and `inner` are relative to the entry. Looks at the entry alone: a file
    /// of ten thousand entries must not be read again for each finding.
    fn place_of(&self, pointer: &str, inner: Range<usize>) -> Place {
        if let Some(place) = self.source().made_place() {
            return place;
        }
        let bytes = self.source().text.as_bytes();
        let start = self.data.span.start + inner.start;
        let above = &bytes[self.data.span.start..start];
        let near = start.saturating_sub(MAX_COLUMN);
        let line_start = match memchr::memrchr(b'\n', &bytes[near..start]) {
            Some(i) => Some(near + i + 1),
            None => (near == 0).then_some(0),
        };
        let column = |from: usize| String::from_utf8_lossy(&bytes[from..start]).chars().count() + 1;
        Place {
            file: self.source().file.clone(),
            line: self.line() + memchr::memchr_iter(b'\n', above).count(),
            column: line_start.map_or(0, column),
            pointer: Some(format!("{}{pointer}", self.source().pointer(self.data.index))),
            span: Some(start..self.data.span.start + inner.end),
        }
    }

    /// What tells this selection of the entry from others: its name, and the
    /// arguments that were added to it. Keys records, cases and baselines.
    pub fn id(&self) -> String {
        let mut id = self.name.clone();
        for word in self.extra_args.split(" --").filter(|w| !w.is_empty()) {
            id.push(':');
            id.push_str(&word.replacen(' ', "=", 1));
        }
        id
    }

    /// Tags, in order.
    pub fn tags(&self) -> &[String] {
        self.entry().tags.as_ref().map_or(&[], |t| &t.0)
    }

    /// Whether `tag` is among the tags.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags().iter().any(|t| t == tag)
    }

    /// The arguments as text, the selection's included.
    pub fn args(&self) -> String {
        format!("{}{}", self.entry().args.as_deref().unwrap_or_default(), self.extra_args)
    }

    /// GPUs the entry asks for: `n_gpus` or an alias of it, else one.
    pub fn n_gpus(&self) -> Count {
        let e = self.entry();
        e.gpus_per_node
            .or(e.gpu_count)
            .or(e.n_gpus)
            .or(e.num_gpus)
            .or(e.ngpus)
            .unwrap_or(Count::Exactly(1))
    }

    /// The repository that is cloned before the script runs.
    pub fn url(&self) -> Option<&str> {
        self.entry().url.as_deref().filter(|url| !url.trim().is_empty())
    }

    /// The login of `credential.json` that the entry uses.
    pub fn cred(&self) -> Option<&str> {
        self.entry().cred.as_deref().filter(|name| !name.trim().is_empty())
    }

    /// `training_precision`, or nothing.
    pub fn precision(&self) -> &str {
        self.entry().training_precision.as_deref().unwrap_or_default()
    }

    /// The launcher of a distributed entry, in one spelling.
    pub fn launcher(&self) -> Option<String> {
        let launcher = self.entry().distributed.as_ref()?.get("launcher")?.as_str()?;
        Some(launcher.replace("slurm-multi", "slurm_multi"))
    }

    /// How the entry reports its numbers.
    pub fn contract(&self) -> Contract {
        let slurm_script = self
            .script()
            .is_some_and(|s| s.extension().is_some_and(|e| e == "slurm" || e == "sbatch"));
        if slurm_script || self.launcher().as_deref() == Some("slurm_multi") {
            return Contract::SelfManaged;
        }
        match self.entry().multiple_results.as_deref().map(str::trim) {
            Some(file) if !file.is_empty() => Contract::Csv(file.to_owned()),
            _ => Contract::Line,
        }
    }

    /// The entry with its resolved name and paths, and where it came from under
    /// the key `mad`: an element of `mad discover --json`.
    pub fn resolved(&self) -> Value {
        let mut map = self.raw().clone();
        map.insert("name".into(), json!(self.name));
        if let Some(script) = self.script() {
            map.insert("scripts".into(), json!(script));
        }
        if let Some(dockerfile) = self.dockerfile() {
            map.insert("dockerfile".into(), json!(dockerfile));
        }
        map.insert("args".into(), json!(self.args()));
        let place = json!({
            "id": self.id(),
            "file": self.source().file,
            "line": self.line(),
            "pointer": self.place("").pointer,
            "contract": self.contract().to_string(),
        });
        map.insert("mad".into(), place);
        Value::Object(map)
    }

    /// SHA-256 of the resolved entry without its place, first 16 hex digits: says
    /// whether two measurements were of the same entry.
    pub fn entry_hash(&self) -> String {
        let mut resolved = self.resolved();
        if let Some(map) = resolved.as_object_mut() {
            map.remove("mad");
            map.sort_keys();
        }
        digest(resolved.to_string(), 8)
    }

    fn with_arguments(&self, arguments: &str) -> Model {
        Model { extra_args: arguments.to_owned(), ..self.clone() }
    }
}
