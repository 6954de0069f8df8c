//! Slash commands and roles for an agent's program, as thin wrappers over the commands.
//!
//! They are files below `agents/` of this repository, part of the program. [`Installation`]
//! decides what has to change in a project and writes all of it, or nothing.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::place::{Replaced, place, text_of};
use crate::slug::digest;

/// A file that is shipped: its path in the project, and its text.
macro_rules! shipped {
    ($($place:literal from $file:literal),* $(,)?) => {
        &[$(($place, include_str!(concat!("../agents/", $file)))),*]
    };
}

/// The slash commands and roles.
const FILES: &[(&str, &str)] = shipped![
    ".claude/agents/benchmark-runner.md" from "roles/benchmark-runner.md",
    ".claude/agents/model-author.md" from "roles/model-author.md",
    ".claude/agents/perf-analyst.md" from "roles/perf-analyst.md",
    ".claude/agents/tuner.md" from "roles/tuner.md",
    ".claude/commands/mad-add-model.md" from "commands/mad-add-model.md",
    ".claude/commands/mad-benchmark.md" from "commands/mad-benchmark.md",
    ".claude/commands/mad-profile.md" from "commands/mad-profile.md",
    ".claude/commands/mad-report.md" from "commands/mad-report.md",
    ".claude/commands/mad-tune.md" from "commands/mad-tune.md",
    ".claude/commands/mad-validate.md" from "commands/mad-validate.md",
];

/// What may be done without asking.
const PERMISSIONS: &str = include_str!("../agents/permissions.json");
/// Where an agent's program reads them.
const SETTINGS: &str = ".claude/settings.json";
/// Where it reads which servers to start.
const SERVERS: &str = ".mcp.json";

/// Bytes of the digest in a mark.
const DIGEST: usize = 8;

/// What has to change in a project.
#[derive(Debug)]
pub struct Installation {
    project: PathBuf,
    /// Every file, in the order of their names.
    pub files: Vec<Installed>,
    changes: Vec<Replaced>,
}

/// A file of an [`Installation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Installed {
    /// Path relative to the project.
    pub path: PathBuf,
    /// What becomes of it.
    pub state: State,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is made.
    New,
    /// It is as it was installed, by this or another version, and becomes that of this one; or
    /// it gets what it lacks.
    Updated,
    /// It is as it shall be.
    Unchanged,
    /// Somebody edited it.
    Edited,
}

impl Installation {
    /// Decides what has to change in `project`, whose catalog is at `root`, relative to it.
    /// With `force` edited files are replaced, too.
    ///
    /// # Errors
    /// When something there cannot be read, or settings are no JSON object.
    pub fn new(project: &Path, root: &Path, force: bool) -> Result<Installation> {
        let mut files = Vec::new();
        let mut changes = Vec::new();
        let mut file = |path: &str, before: Option<String>, state: State, after: String| {
            let changed = state != State::Unchanged && (state != State::Edited || force);
            if changed {
                changes.push(Replaced { path: PathBuf::from(path), before, after });
            }
            let state = if changed && state == State::Edited { State::Updated } else { state };
            files.push(Installed { path: PathBuf::from(path), state });
        };
        for (path, text) in FILES {
            let (before, after) = (text_of(&project.join(path))?, marked(text));
            let state = match &before {
                None => State::New,
                Some(text) if *text == after => State::Unchanged,
                Some(text) if is_as_installed(text) => State::Updated,
                Some(_) => State::Edited,
            };
            file(path, before, state, after);
        }
        let permissions: Value =
            serde_json::from_str(PERMISSIONS).context("the shipped permissions")?;
        let mut merged = vec![(SETTINGS, permissions)];
        // Without the feature there is no server to start.
        if cfg!(feature = "mcp") {
            let args = json!(["mcp", "--root", root]);
            let server = json!({ "mcpServers": { "mad": { "command": "mad", "args": args } } });
            merged.push((SERVERS, server));
        }
        for (path, ours) in merged {
            let before = text_of(&project.join(path))?;
            let mut value = match before.as_deref().map(str::trim) {
                None | Some("") => Value::Object(Map::new()),
                Some(text) => serde_json::from_str(text).with_context(|| {
                    format!("{} is no JSON; nothing was installed", project.join(path).display())
                })?,
            };
            let changed = merge(&mut value, &ours).with_context(|| {
                format!("{}: nothing was installed", project.join(path).display())
            })?;
            let state = match (&before, changed) {
                (None, _) => State::New,
                (_, true) => State::Updated,
                (_, false) => State::Unchanged,
            };
            file(path, before, state, format!("{value:#}\n"));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Installation { project: project.to_owned(), files, changes })
    }

    /// Why nothing can be written, if so: files that somebody edited.
    pub fn refusal(&self) -> Option<String> {
        let edited = self.files.iter().filter(|f| f.state == State::Edited);
        let names: Vec<String> = edited.map(|f| f.path.display().to_string()).collect();
        (!names.is_empty()).then(|| {
            format!(
                "edited since, or not installed by this program: {}; nothing was written: --force \
                 replaces them",
                names.join(", ")
            )
        })
    }

    /// Writes all that has to change, or nothing.
    ///
    /// # Errors
    /// With a [refusal](Self::refusal), when something cannot be written, or changed meanwhile.
    pub fn write(&self, cancelled: &dyn Fn() -> bool) -> Result<()> {
        if let Some(refusal) = self.refusal() {
            bail!(refusal);
        }
        place(&self.project, &[], &self.changes, cancelled).context("nothing was written")
    }
}

/// A text with the mark by which one that nobody edited is known.
fn marked(text: &str) -> String {
    format!("{text}\n{}", mark(text))
}

fn mark(text: &str) -> String {
    format!("<!-- installed by mad agents install: {} -->\n", digest(text, DIGEST))
}

/// Whether a file is as some version installed it.
fn is_as_installed(text: &str) -> bool {
    let Some((body, _)) = text.rsplit_once("\n<!-- installed by") else { return false };
    *text == marked(body)
}

/// Adds what `ours` has to `value`: keys to objects, elements to lists. What is there stays.
/// Says whether anything was added.
fn merge(value: &mut Value, ours: &Value) -> Result<bool> {
    match (value, ours) {
        (Value::Object(value), Value::Object(ours)) => {
            let mut changed = false;
            for (key, ours) in ours {
                match value.get_mut(key) {
                    Some(value) => {
                        changed |= merge(value, ours).with_context(|| format!("`{key}`"))?;
                    }
                    None => {
                        value.insert(key.clone(), ours.clone());
                        changed = true;
                    }
                }
            }
            Ok(changed)
        }
        (Value::Array(value), Value::Array(ours)) => {
            let missing: Vec<Value> = ours.iter().filter(|v| !value.contains(v)).cloned().collect();
            let changed = !missing.is_empty();
            value.extend(missing);
            Ok(changed)
        }
        // The user's own words.
        (Value::String(_), Value::String(_)) => Ok(false),
        (value, ours) => bail!("it is {value}, where {ours} belongs"),
    }
}
