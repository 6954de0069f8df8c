//! `data.json` as a whole.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::ProviderKind;
use super::parse::{Provider, Set, data_set};
use crate::catalog::Source;
use crate::diagnostic::{Diagnostic, Place, did_you_mean, relative};

/// Name of the file, beside `models.json`.
pub const DATA_FILE: &str = "data.json";

/// The rule that whatever is wrong with a data set breaks.
pub(super) const RULE: &str = "MAD056";

/// Where data sets are described.
#[derive(Clone, Copy, Debug, Default)]
pub struct DataOptions<'a> {
    /// The file, if it is not `data.json` below the root.
    pub file: Option<&'a Path>,
    /// Key `data` of the context: its data sets replace those of the file, name by name.
    pub overlay: Option<&'a Value>,
    /// A directory that is the `mirrorlocal` of every provider but `local`, whatever the
    /// file says.
    pub force_mirror: Option<&'a Path>,
}

/// The data sets that there are, by name.
#[derive(Clone, Debug, Default)]
pub struct DataConfig {
    sets: BTreeMap<String, Set>,
    /// What is wrong with the file, or the context, as a whole.
    problems: Vec<Diagnostic>,
    /// The file relative to the root; `None` if there is none.
    file: Option<PathBuf>,
}

/// Why the data of an entry cannot be provided.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DataError {
    /// The description of the data set has mistakes.
    #[error("{}", lines("the data `{name}` cannot be used:", name, problems))]
    Broken {
        /// Its name.
        name: String,
        /// All of them.
        problems: Vec<Diagnostic>,
    },
    /// Nobody describes the data set.
    #[error("{} has no data set `{name}`{}", place, match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; it has {}", known.join(", ")),
    })]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Where it was looked for.
        place: String,
        /// The name that was probably meant.
        near: Option<String>,
        /// All names there are.
        known: Vec<String>,
    },
    /// No provider of the data set can be used now.
    #[error("{}", lines("no provider of the data `{name}` can be used:", name, reasons))]
    Unavailable {
        /// Its name.
        name: String,
        /// Each provider and why not, in the order in which they were tried.
        reasons: Vec<Reason>,
    },
    /// Two data sets of one entry would be in one place.
    #[error(
        "the data `{first}` and `{second}` have the same home {home}; give one of them another"
    )]
    SameHome {
        /// The one named first.
        first: String,
        /// The other one.
        second: String,
        /// The directory.
        home: String,
    },
}

/// Why a provider cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The provider.
    pub provider: ProviderKind,
    /// One sentence.
    pub why: String,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.provider, self.why)
    }
}

fn lines(title: &str, name: &str, items: &[impl std::fmt::Display]) -> String {
    let mut text = title.replace("{name}", name);
    for item in items {
        // Writing to a string does not fail.
        let _ = write!(text, "\n  {item}");
    }
    text
}

impl DataConfig {
    /// Reads `data.json` below `root`, or another file, and lays the context over it.
    /// Without a `data.json` there are the context's data sets alone.
    ///
    /// Never fails: what is wrong stops the entries that need it, and no others. See
    /// [`DataConfig::problems`].
    pub fn load(root: &Path, options: &DataOptions<'_>) -> DataConfig {
        let mut config = DataConfig::default();
        config.read(root, options);
        match options.overlay {
            None => {}
            Some(Value::Object(overlay)) => {
                for (name, value) in overlay {
                    let set = data_set(name, value, "/data", options.force_mirror, &in_context);
                    config.sets.insert(name.clone(), set);
                }
            }
            Some(other) => {
                let message = format!("`data` must be an object of data sets, this is {other}");
                config.problems.push(Diagnostic::error(RULE, in_context("/data"), message));
            }
        }
        config
    }

    fn read(&mut self, root: &Path, options: &DataOptions<'_>) {
        let path = options.file.map_or_else(|| root.join(DATA_FILE), Path::to_owned);
        let file = relative(root, &path).to_owned();
        let text = match std::fs::read_to_string(&path) {
            Err(e) if e.kind() == ErrorKind::NotFound && options.file.is_none() => return,
            text => text,
        };
        self.file = Some(file.clone());
        let source = match text {
            Ok(text) => Source::new(file, text),
            Err(e) => {
                let message = format!("cannot read the file: {e}");
                self.problems.push(Diagnostic::error(RULE, Place::file(file), message));
                return;
            }
        };
        match object(&source) {
            Ok(object) => {
                for (name, value) in object {
                    let places = |pointer: &str| source.place(pointer);
                    let set = data_set(&name, &value, "", options.force_mirror, &places);
                    self.sets.insert(name, set);
                }
            }
            Err(problem) => self.problems.push(*problem),
        }
    }

    /// Whether there is a file, readable or not.
    pub fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// Names of all data sets, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().map(String::as_str)
    }

    /// Everything that is wrong.
    pub fn problems(&self) -> impl Iterator<Item = &Diagnostic> {
        self.problems.iter().chain(self.sets.values().flat_map(|set| &set.problems))
    }

    /// What keeps the data set of this name from being used.
    pub fn problems_of(&self, name: &str) -> impl Iterator<Item = &Diagnostic> {
        let set = self.sets.get(name);
        self.problems.iter().chain(set.into_iter().flat_map(|set| &set.problems))
    }

    /// The providers of the data set of this name, in the order in which they are tried.
    pub(super) fn providers(&self, name: &str) -> Result<&[Provider], DataError> {
        let problems: Vec<Diagnostic> = self.problems_of(name).cloned().collect();
        match self.sets.get(name) {
            _ if !problems.is_empty() => Err(DataError::Broken { name: name.to_owned(), problems }),
            Some(set) => Ok(&set.providers),
            None => Err(DataError::Unknown {
                name: name.to_owned(),
                place: match &self.file {
                    Some(file) => file.display().to_string(),
                    None => format!("the context (there is no {DATA_FILE})"),
                },
                near: did_you_mean(name, self.names()).map(str::to_owned),
                known: self.names().map(str::to_owned).collect(),
            }),
        }
    }
}

fn in_context(pointer: &str) -> Place {
    Place::file("additional-context").pointer(pointer)
}

fn object(source: &Source) -> Result<Map<String, Value>, Box<Diagnostic>> {
    let wrong = |line, column, message| {
        let file = source.file.clone();
        let place = Place { file, line, column, pointer: None, span: None };
        let help = r#"it is an object: { "<data set>": { "local": { "path": "…" } } }"#;
        Box::new(Diagnostic::error(RULE, place, message).help(help))
    };
    match serde_json::from_str(&source.text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(wrong(1, 1, "the file must be an object of data sets".to_owned())),
        Err(e) => Err(wrong(e.line(), e.column(), format!("this is not valid JSON: {e}"))),
    }
}
