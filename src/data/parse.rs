//! One data set of `data.json`: its providers, checked.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::ProviderKind;
use super::config::RULE;
use crate::catalog::escape;
use crate::diagnostic::{Diagnostic, Place, did_you_mean};

/// Keys of a provider.
const KEYS: [&str; 5] = ["path", "home", "mirrorlocal", "readwrite", "args"];

/// A data set as it is described.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    /// In the order in which they are tried.
    pub(super) providers: Vec<Provider>,
    pub(super) problems: Vec<Diagnostic>,
}

/// One way to get a data set.
#[derive(Clone, Debug)]
pub(super) struct Provider {
    pub(super) kind: ProviderKind,
    /// A path on this host or, of an object store, where in it the data is.
    pub(super) path: String,
    /// Where the data is inside a container, if not at the usual place.
    pub(super) home: Option<String>,
    /// The directory that keeps a copy.
    pub(super) mirror: Option<PathBuf>,
    pub(super) readwrite: bool,
    /// Of a `custom` script.
    pub(super) args: Vec<String>,
}

/// Where the value at a JSON pointer stands.
type Places<'a> = &'a dyn Fn(&str) -> Place;

/// Reads the description of the data set `name`, found below the pointer `parent`.
pub(super) fn data_set(
    name: &str,
    value: &Value,
    parent: &str,
    force_mirror: Option<&Path>,
    places: Places<'_>,
) -> Set {
    let mut set = Set::default();
    let pointer = format!("{parent}/{}", escape(name));
    let mut complain = |pointer: &str, message: String| {
        set.problems.push(Diagnostic::error(RULE, places(pointer), message));
    };
    if !is_directory_name(name) {
        let message = "cannot be the name of a data set: it names a directory, too, and has no `/`, no `,` and no `.` at its start";
        complain(&pointer, format!("`{name}` {message}"));
    }
    let Value::Object(described) = value else {
        let message = format!("`{name}` must be an object with a key for each provider");
        complain(&pointer, message);
        return set;
    };
    for key in described.keys().filter(|k| !k.starts_with('_')) {
        if ProviderKind::ORDER.iter().all(|kind| kind.name() != key) {
            let names = ProviderKind::ORDER.map(ProviderKind::name);
            let near = match did_you_mean(key, names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", names.join(", ")),
            };
            let message = format!("`{name}.{key}` is no provider; {near}");
            complain(&format!("{pointer}/{}", escape(key)), message);
        }
    }
    for kind in ProviderKind::ORDER {
        let Some(value) = described.get(kind.name()) else { continue };
        let pointer = format!("{pointer}/{kind}");
        let label = format!("{name}.{kind}");
        let Value::Object(object) = value else {
            let message = format!("`{label}` must be an object with at least `path`");
            set.problems.push(Diagnostic::error(RULE, places(&pointer), message));
            continue;
        };
        let mut fields = Fields { object, pointer, label, places, problems: &mut set.problems };
        if let Some(provider) = fields.provider(kind, force_mirror) {
            set.providers.push(provider);
        }
    }
    if set.providers.is_empty() && set.problems.is_empty() {
        let message = format!("`{name}` has no provider");
        set.problems.push(Diagnostic::error(RULE, places(&pointer), message));
    }
    set
}

/// The keys of one provider.
struct Fields<'a> {
    object: &'a Map<String, Value>,
    pointer: String,
    label: String,
    places: Places<'a>,
    problems: &'a mut Vec<Diagnostic>,
}

impl Fields<'_> {
    /// `None` if there is no use in it without what is missing.
    fn provider(&mut self, kind: ProviderKind, force_mirror: Option<&Path>) -> Option<Provider> {
        self.unknown_keys();
        let path = self.text("path");
        if path.is_none() && !self.object.contains_key("path") {
            self.problem_at("", &format!("`{}` has no `path`", self.label));
        }
        let home = self.text("home");
        if let Some(home) = &home
            && !is_home(home)
        {
            self.problem("home", "must be an absolute path without `..`, `,` and `:`");
        }
        let mut mirror = self.text("mirrorlocal").map(PathBuf::from);
        if kind == ProviderKind::Local {
            if self.object.contains_key("mirrorlocal") {
                self.problem("mirrorlocal", "means nothing: the data is local already");
            }
        } else if let Some(forced) = force_mirror {
            mirror = Some(forced.to_owned());
        }
        let args = self.text("args").map_or_else(Vec::new, |args| {
            shell_words::split(&args).unwrap_or_else(|e| {
                self.problem("args", &format!("cannot be split into words: {e}"));
                Vec::new()
            })
        });
        if kind != ProviderKind::Custom && !args.is_empty() {
            self.problem("args", "means something to a `custom` script alone");
        }
        let readwrite = self.flag("readwrite");
        let path = path?;
        match kind {
            ProviderKind::Custom if !is_inside(Path::new(&path)) => {
                self.problem("path", "must lead to a script inside the catalog");
            }
            ProviderKind::Minio | ProviderKind::Aws => {
                if let Err(why) = bucket_and_prefix(kind, &path) {
                    self.problem("path", why);
                }
            }
            _ => {}
        }
        Some(Provider { kind, path, home, mirror, readwrite, args })
    }

    /// A key that is nearly one of ours is a typo; others may mean something to somebody.
    fn unknown_keys(&mut self) {
        for key in self.object.keys().filter(|k| !KEYS.contains(&k.as_str())) {
            let absent = KEYS.into_iter().filter(|k| !self.object.contains_key(*k));
            if let Some(near) = did_you_mean(key, absent) {
                self.problem(key, &format!("is no key of a provider; did you mean `{near}`?"));
            }
        }
    }

    /// A text that says something.
    fn text(&mut self, key: &str) -> Option<String> {
        match self.object.get(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
            Value::String(_) if key == "args" => None,
            Value::String(_) => {
                self.problem(key, "is empty");
                None
            }
            other => {
                self.problem(key, &format!("must be a string, this is {other}"));
                None
            }
        }
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.object.get(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) if text == "true" => true,
            Some(Value::String(text)) if text == "false" || text.is_empty() => false,
            Some(other) => {
                self.problem(key, &format!("must be \"true\" or \"false\", this is {other}"));
                false
            }
        }
    }

    fn problem(&mut self, key: &str, what: &str) {
        let message = format!("`{}.{key}` {what}", self.label);
        self.problem_at(&format!("/{}", escape(key)), &message);
    }

    fn problem_at(&mut self, below: &str, message: &str) {
        let place = (self.places)(&format!("{}{below}", self.pointer));
        self.problems.push(Diagnostic::error(RULE, place, message));
    }
}

/// Bucket and key prefix of a place in an object store: `s3://bucket/prefix`, without a
/// `/` at the prefix's start. MinIO's may start with `minio://`.
pub(super) fn bucket_and_prefix(
    kind: ProviderKind,
    path: &str,
) -> Result<(&str, &str), &'static str> {
    let rest = path
        .strip_prefix("s3://")
        .or_else(|| path.strip_prefix("minio://").filter(|_| kind == ProviderKind::Minio))
        .ok_or("must be a place in an object store, such as s3://bucket/prefix")?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if bucket.is_empty() || !bucket.chars().all(legal) || bucket.starts_with('.') {
        return Err("names no bucket: s3://bucket/prefix");
    }
    match prefix.split('/').any(|part| part == "." || part == "..") {
        true => Err("must not have `.` or `..` in it"),
        false => Ok((bucket, prefix.trim_start_matches('/'))),
    }
}

fn is_directory_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() < 200
        && !name.starts_with('.')
        && name.trim() == name
        && !name.chars().any(|c| c == '/' || c == ',' || c.is_control())
}

/// A directory that data can be mounted at. Several are joined with commas, and
/// container engines separate paths with colons.
fn is_home(home: &str) -> bool {
    let path = Path::new(home);
    path.is_absolute()
        && path.components().count() > 1
        && !path.components().any(|c| c == Component::ParentDir)
        && !home.chars().any(|c| c == ',' || c == ':' || c.is_control())
}

/// Whether a relative path stays below where it starts.
fn is_inside(path: &Path) -> bool {
    path.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir))
}
