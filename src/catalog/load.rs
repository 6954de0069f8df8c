//! Reading the files of a catalog.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::panic::resume_unwind;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::source::{escape, span_of};
use super::{
    CATALOG_FILE, Catalog, Config, Entry, Model, ModelData, PROGRAM_FILE, Source, program,
};
use crate::diagnostic::{Diagnostic, Place};

/// Catalog files larger than this are refused: no catalog of people's making is.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Fewer are read by one thread: starting another costs more than it saves.
const ENTRIES_PER_THREAD: usize = 512;

impl Catalog {
    /// Reads the catalog below `root`: `models.json`, then every
    /// `scripts/<dir>/models.json`, and `mad.toml`. Runs every
    /// `scripts/<dir>/get_models_json.py`, unless `mad.toml` forbids it.
    pub fn load(root: &Path) -> Catalog {
        let mut loader = Loader::new(root);
        loader.discover();
        loader.drop_duplicates();
        loader.finish()
    }

    /// The same without running anything: what programs list is missing, and there is a
    /// warning instead.
    pub fn load_files(root: &Path) -> Catalog {
        let mut loader = Loader::new(root);
        loader.config.catalog.python = false;
        loader.discover();
        loader.drop_duplicates();
        loader.finish()
    }
}

pub(super) struct Loader<'a> {
    root: &'a Path,
    config: Config,
    pub(super) models: Vec<Model>,
    pub(super) problems: Vec<Diagnostic>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(root: &'a Path) -> Self {
        let mut loader = Loader::empty(root);
        loader.config = Config::load(root, &mut loader.problems);
        loader
    }

    fn empty(root: &'a Path) -> Self {
        Loader { root, config: Config::default(), models: Vec::new(), problems: Vec::new() }
    }

    pub(super) fn finish(self) -> Catalog {
        let Loader { root, config, models, problems } = self;
        Catalog { root: root.to_owned(), config, models, problems }
    }

    fn discover(&mut self) {
        let mut files = 0;
        let root_file = Path::new(CATALOG_FILE);
        if self.root.join(root_file).exists() {
            self.read(root_file, None);
            files += 1;
        }
        let dirs = script_dirs(self.root).unwrap_or_else(|e| {
            let message = format!("cannot list the directory: {e}");
            self.problems.push(Diagnostic::error("MAD001", Place::file("scripts"), message));
            Vec::new()
        });
        for dir in &dirs {
            let below = Path::new("scripts").join(dir);
            let present = |name| Some(below.join(name)).filter(|f| self.root.join(f).is_file());
            let (json, py) = (present(CATALOG_FILE), present(PROGRAM_FILE));
            files += usize::from(json.is_some() || py.is_some());
            match (json, py) {
                (Some(json), Some(py)) => self.problems.push(two_catalogs(&json, py)),
                (Some(json), None) => self.read(&json, Some(dir)),
                // One program after the other, as madengine does: those that fetch what they
                // list (MAD's do, if told to) fetch it to the same place, and one would list
                // what another has half of.
                (None, Some(py)) => self.run(&py, dir),
                (None, None) => {}
            }
        }
        if files == 0 {
            let message = format!("there is no {CATALOG_FILE} in {}", self.root.display());
            let diagnostic = Diagnostic::error("MAD001", Place::file(CATALOG_FILE), message)
                .help("go to the catalog's directory or name it with `--root DIR`");
            self.problems.push(diagnostic);
        } else if self.models.is_empty() && !self.problems.iter().any(|p| p.rule != "MAD005") {
            let message = "the catalog has no entry";
            let diagnostic = Diagnostic::error("MAD001", Place::file(CATALOG_FILE), message)
                .help("add one: an object with at least `name` and `scripts`");
            self.problems.push(diagnostic);
        }
    }

    fn read(&mut self, file: &Path, dir: Option<&str>) {
        let Some(source) = self.source(file) else { return };
        // An array of raw values first: one bad entry must not hide the others.
        let items: Vec<&RawValue> = match serde_json::from_str(&source.text) {
            Ok(items) => items,
            Err(e) => {
                self.problems.push(file_error(&source, &e));
                return;
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let each = items.len().div_ceil(threads).max(ENTRIES_PER_THREAD);
        if items.len() <= each {
            self.entries(&source, 0, &items, dir);
            return;
        }
        let (root, source) = (self.root, &source);
        let parts: Vec<Loader<'_>> = std::thread::scope(|scope| {
            let parts = items.chunks(each).enumerate().map(|(i, items)| {
                scope.spawn(move || {
                    let mut part = Loader::empty(root);
                    part.entries(source, i * each, items, dir);
                    part
                })
            });
            // Collected first: all of them are to run before the first is waited for.
            let parts: Vec<_> = parts.collect();
            parts.into_iter().map(|p| p.join().unwrap_or_else(|e| resume_unwind(e))).collect()
        });
        for part in parts {
            self.models.extend(part.models);
            self.problems.extend(part.problems);
        }
    }

    /// `items` of one file, of which the first has this index.
    pub(super) fn entries(
        &mut self,
        source: &Arc<Source>,
        first: usize,
        items: &[&RawValue],
        dir: Option<&str>,
    ) {
        let mut line = 1;
        let mut counted = 0;
        for (index, raw) in (first..).zip(items) {
            let start = span_of(&source.text, raw).start;
            line += memchr::memchr_iter(b'\n', &source.text.as_bytes()[counted..start]).count();
            counted = start;
            self.entry(source, index, raw, line, dir);
        }
    }

    /// Entries that the program `file` lists.
    fn run(&mut self, file: &Path, dir: &str) {
        let answer = program::run(self.root, &self.config.catalog, file);
        self.problems.extend(answer.problems);
        for (index, (line, text)) in answer.entries.into_iter().enumerate() {
            let source = Arc::new(Source { made_at: Some(line), ..Source::new(file, text) });
            match serde_json::from_str(&source.text) {
                Ok(raw) => self.entry(&source, index, raw, line, Some(dir)),
                Err(e) => {
                    let message = format!("entry {index} cannot be read: {e}");
                    self.problems.push(Diagnostic::error("MAD002", source.place(""), message));
                }
            }
        }
    }

    /// The text of a catalog file; a file that cannot be read becomes a problem.
    fn source(&mut self, file: &Path) -> Option<Arc<Source>> {
        match read_text(&self.root.join(file)) {
            Ok(text) => Some(Arc::new(Source::new(file, text))),
            Err(message) => {
                self.problems.push(Diagnostic::error("MAD001", Place::file(file), message));
                None
            }
        }
    }

    pub(super) fn entry(
        &mut self,
        source: &Arc<Source>,
        index: usize,
        raw: &RawValue,
        line: usize,
        dir: Option<&str>,
    ) {
        let entry = match serde_json::from_str::<Entry>(raw.get()) {
            Ok(entry) if !entry.name.trim().is_empty() => entry,
            _ => match self.entry_by_key(source, index, raw, dir) {
                Some(entry) => entry,
                None => return,
            },
        };
        let name = full_name(dir, &entry.name);
        let resolve = |path: &Option<String>| {
            let path = path.as_deref().map(str::trim).filter(|p| !p.is_empty())?;
            let below = dir.map_or_else(PathBuf::new, |d| Path::new("scripts").join(d));
            Some(normalise(&below.join(path)))
        };
        let data = ModelData {
            script: resolve(&entry.scripts),
            dockerfile: resolve(&entry.dockerfile),
            entry,
            raw: OnceLock::new(),
            source: Arc::clone(source),
            index,
            line,
            span: span_of(&source.text, raw),
            images: None,
        };
        self.models.push(Model { name, extra_args: String::new(), data: Arc::new(data) });
    }

    /// An entry that cannot be read as it stands, without the keys whose values have a
    /// wrong type, each of which becomes a problem; `None` if nothing is left of it.
    fn entry_by_key(
        &mut self,
        source: &Source,
        index: usize,
        raw: &RawValue,
        dir: Option<&str>,
    ) -> Option<Entry> {
        let pointer = source.pointer(index);
        let Ok(mut good) = serde_json::from_str::<Map<String, Value>>(raw.get()) else {
            let message = format!("an entry must be an object, this is {}", kind(raw));
            self.problems.push(Diagnostic::error("MAD002", source.place(&pointer), message));
            return None;
        };
        let name = match good.get("name") {
            Some(Value::String(name)) if !name.trim().is_empty() => full_name(dir, name),
            found => {
                let message = match found {
                    None => "the entry has no `name`".to_owned(),
                    Some(value) => format!("`name` must be a word, this is {value}"),
                };
                let place = source.place(&format!("{pointer}/name"));
                let help = "give it one, by convention `framework_project_workload`";
                self.problems.push(Diagnostic::error("MAD010", place, message).help(help));
                return None;
            }
        };
        for (key, value) in good.clone() {
            let single = Map::from_iter([(key.clone(), value)]);
            if let Err(e) = Entry::deserialize(&single) {
                good.shift_remove(&key);
                let place = source.place(&format!("{pointer}/{}", escape(&key)));
                let message = format!("`{key}`: {e}");
                self.problems.push(Diagnostic::error("MAD003", place, message).of(&name));
            }
        }
        Entry::deserialize(&good).ok()
    }

    /// Keeps the first of several entries of one name, and says so.
    fn drop_duplicates(&mut self) {
        let mut first: HashMap<&str, usize> = HashMap::new();
        let mut again = Vec::new();
        for (i, model) in self.models.iter().enumerate() {
            match first.get(model.name.as_str()) {
                None => {
                    first.insert(&model.name, i);
                }
                Some(&j) => again.push((i, j)),
            }
        }
        for &(i, j) in &again {
            let message = format!("the name `{}` exists already", self.models[i].name);
            let diagnostic = Diagnostic::error("MAD011", self.models[i].place("name"), message)
                .related(self.models[j].place("name"), "first used here")
                .help("names key records and baselines: rename one of the two");
            self.problems.push(diagnostic);
        }
        let again: HashSet<usize> = again.into_iter().map(|(i, _)| i).collect();
        let mut index = 0..;
        self.models.retain(|_| index.next().is_some_and(|i| !again.contains(&i)));
    }
}

/// The `<dir>` of a file `scripts/<dir>/…`.
pub(super) fn dir_of(file: &Path) -> Option<&str> {
    file.strip_prefix("scripts").ok()?.parent()?.to_str()
}

/// The name of an entry of `scripts/<dir>/`, or of the root file.
pub(super) fn full_name(dir: Option<&str>, name: &str) -> String {
    dir.map_or_else(|| name.to_owned(), |dir| format!("{dir}/{name}"))
}

/// A directory with a catalog in both forms: none of them is read, as with madengine,
/// which stops there.
fn two_catalogs(json: &Path, program: PathBuf) -> Diagnostic {
    let message = format!("the directory has a {CATALOG_FILE} besides; neither is read");
    Diagnostic::error("MAD007", Place::file(program), message)
        .related(Place::file(json), "the other one")
        .help("keep one of the two")
}

/// Names of the directories below `scripts/`, sorted; none if there is no `scripts/`.
pub(super) fn script_dirs(root: &Path) -> std::io::Result<Vec<String>> {
    let entries = match fs::read_dir(root.join("scripts")) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut dirs: Vec<String> = entries
        .flatten()
        .filter(|e| match e.file_type() {
            Ok(kind) if !kind.is_symlink() => kind.is_dir(),
            _ => e.path().is_dir(),
        })
        .filter_map(|e| e.file_name().into_string().ok())
        .collect();
    dirs.sort();
    Ok(dirs)
}

/// A file's text; the error says what is wrong with it.
fn read_text(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|e| format!("cannot read the file: {e}"))?.len();
    if size > MAX_FILE_BYTES {
        let limit = MAX_FILE_BYTES >> 20;
        return Err(format!("the file has {} MiB, more than {limit} MiB", size >> 20));
    }
    let bytes = fs::read(path).map_err(|e| format!("cannot read the file: {e}"))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = memchr::memchr_iter(b'\n', &e.as_bytes()[..at]).count() + 1;
        format!("the file is not UTF-8: byte {at}, in line {line}; save it as UTF-8")
    })?;
    match text.trim().is_empty() {
        true => Err("the file is empty; a catalog is at least `[]`".to_owned()),
        false => Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
    }
}

fn file_error(source: &Source, error: &serde_json::Error) -> Diagnostic {
    let text = &source.text;
    if error.is_data() {
        let message = "a catalog must be an array of entries";
        return Diagnostic::error("MAD002", source.place(""), message)
            .help("put the entries between `[` and `]`");
    }
    let line_start = match error.line() {
        0 | 1 => 0,
        line => memchr::memchr_iter(b'\n', text.as_bytes()).nth(line - 2).map_or(0, |i| i + 1),
    };
    // serde_json's column counts bytes from 1; at the end of input it points past it.
    let mut start = (line_start + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let end = text[start..].chars().next().map_or(start, |c| start + c.len_utf8());
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let place = Place::span(&source.file, text, start..end);
    let diagnostic =
        Diagnostic::error("MAD001", place, format!("this is not valid JSON: {message}"));
    match trailing_comma(text, start) {
        Some(comma) => diagnostic.help("remove the last comma").fix(comma, ""),
        None => diagnostic,
    }
}

/// The comma before the bracket or brace at `close`, if there is a value before it.
fn trailing_comma(text: &str, close: usize) -> Option<std::ops::Range<usize>> {
    text[close..].starts_with([']', '}']).then_some(())?;
    let before = text[..close].trim_end();
    let rest = before.strip_suffix(',')?;
    let value = !rest.trim_end().ends_with(['[', '{', ',', ':']);
    value.then_some(rest.len()..before.len())
}

fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'{') => "an object with a broken value",
        _ => "a number",
    }
}

/// `a/../b` → `b`, without looking at the file system. A leading `..` stays: the
/// validator refuses it.
fn normalise(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(clean.components().next_back(), Some(Component::Normal(_))) =>
            {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}
