//! Changes for people: the command that measures them by hand, and a patch. Nothing is applied
//! here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use regex::Regex;
use serde_json::{Map, Value};

use super::{Change, args, config};
use crate::catalog::{LeverKind, Model};
use crate::diagnostic::relative;
use crate::diff::unified;
use crate::edit::{self, Format};
use crate::engine::absolute;
use crate::options::{Context, EngineKind, RunOptions};
use crate::plan::{Job, Planner, script_file};

/// Changes of a catalog's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// A unified diff against the catalog's root, for `git apply`; empty where no change can be
    /// made in a file.
    pub diff: String,
    /// What is not in it, and what is to be known before it is applied.
    pub remarks: Vec<String>,
}

/// The lines that measure `changes` by hand: what is to be done first, as comments, then the
/// `mad benchmark` with `warmup` executions that do not count. Secrets are masked.
///
/// # Errors
/// When the arguments cannot be split.
pub fn by_hand(
    planner: &Planner<'_>,
    model: &Model,
    changes: &[Change],
    warmup: u32,
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let mut context = planner.context.0.clone();
    let elsewhere = planner.engine(model) == EngineKind::Madengine
        && ["k8s", "kubernetes", "slurm"].iter().any(|key| context.contains_key(*key));
    for change in changes {
        let (lever, value) = (&change.lever, &change.value);
        match change.kind {
            LeverKind::Env => {
                let keys: &[&str] =
                    if elsewhere { &["docker_env_vars", "env_vars"] } else { &["docker_env_vars"] };
                for key in keys {
                    let variables = context.entry(*key).or_insert_with(|| Map::new().into());
                    if let Some(variables) = variables.as_object_mut() {
                        variables.insert(lever.clone(), value.as_str().into());
                    }
                }
            }
            LeverKind::Arg => {
                let given = context.get("model_args").and_then(Value::as_str).map(str::to_owned);
                let set = args::set(&given.unwrap_or_else(|| model.args()), lever, value)?;
                context.insert("model_args".to_owned(), set.args.into());
            }
            LeverKind::Config => lines.push(format!(
                "# first set `{lever}` to {value} in {}{}",
                change.file.as_deref().unwrap_or_default(),
                change.was.as_ref().map(|was| format!(" (it is {was})")).unwrap_or_default(),
            )),
        }
        lines.extend(change.kept_by_hand());
    }
    let changed = context != planner.context.0;
    let context = Context(context);
    let options = RunOptions {
        additional_context: match changed {
            true => Some(Value::Object(context.0.clone()).to_string()),
            false => planner.options.additional_context.clone(),
        },
        additional_context_file: match changed {
            true => None,
            false => planner.options.additional_context_file.clone(),
        },
        warmup: match warmup {
            0 => planner.options.warmup,
            n => Some(n.max(planner.options.warmup.unwrap_or(0))),
        },
        ..planner.options.clone()
    };
    let changed = Planner { options: &options, context: &context, ..*planner };
    lines.push(changed.command_for(model));
    Ok(lines)
}

impl Change {
    /// What an execution by hand lacks.
    fn kept_by_hand(&self) -> Option<String> {
        (!self.keep.is_empty()).then(|| {
            format!(
                "# every execution by hand is cold, unless `{}` of an earlier one are in the \
                 script's directory",
                self.keep.join("`, `")
            )
        })
    }
}

/// What makes `changes` in the catalog's files, for the entry that `job` was planned of:
///
/// * `arg`: the entry's `args`.
/// * `config`: the value in its file.
/// * `env`: the entry's `env_vars` where they have the variable, else
///   `export NAME="${NAME:-value}"` at the head of its script, which madengine runs as well and
///   the context still overrides. A script that other entries run is left alone.
///
/// # Errors
/// When a file cannot be read, or a change not be made in it.
pub fn patch(planner: &Planner<'_>, job: &Job, changes: &[Change]) -> Result<Patch> {
    let mut maker = Maker {
        planner,
        job,
        root: absolute(&planner.catalog.root),
        files: BTreeMap::new(),
        remarks: Vec::new(),
    };
    for change in changes {
        maker.take(change).with_context(|| format!("the lever `{}`", change.lever))?;
    }
    let diffs = maker.files.iter().filter(|(_, (old, new))| old != new);
    let diff = diffs.map(|(path, (old, new))| unified(Some(old), new, path)).collect();
    Ok(Patch { diff, remarks: maker.remarks })
}

struct Maker<'a> {
    planner: &'a Planner<'a>,
    job: &'a Job,
    root: PathBuf,
    /// Text before and after, by path relative to the root.
    files: BTreeMap<PathBuf, (String, String)>,
    remarks: Vec<String>,
}

impl Maker<'_> {
    fn take(&mut self, change: &Change) -> Result<()> {
        match change.kind {
            LeverKind::Arg => self.argument(change),
            LeverKind::Env => self.variable(change),
            LeverKind::Config => self.value(change),
        }
    }

    fn model(&self) -> &Model {
        &self.job.model
    }

    /// Changes the text of a file, which earlier changes may have changed.
    fn edit(&mut self, path: &Path, how: impl FnOnce(&str) -> Result<String>) -> Result<()> {
        let path = relative(&self.root, path).to_owned();
        if path.is_absolute() || path.to_str().is_none_or(|p| p.contains(['\n', '"', '\\', '\t'])) {
            bail!("a patch cannot name the file {}", path.display());
        }
        if !self.files.contains_key(&path) {
            let file = self.root.join(&path);
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            self.files.insert(path.clone(), (text.clone(), text));
        }
        if let Some((_, new)) = self.files.get_mut(&path) {
            *new = how(new).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// Why the entry's own keys cannot be changed in a file.
    fn no_file(&self) -> Option<String> {
        let source = self.model().source();
        let file = source.file.display();
        match (source.is_file(), self.model().images()) {
            (true, None) => None,
            (false, _) => Some(format!("the program {file} makes the entry")),
            (true, Some(_)) => Some(format!("the entry is one of the manifest {file}")),
        }
    }

    /// The path of a key of the entry in its file.
    fn key(&self, key: &str) -> String {
        let pointer = self.model().source().pointer(self.model().index());
        format!("{}.{key}", pointer.trim_start_matches('/').replace('/', "."))
    }

    fn left(&mut self, change: &Change, why: &str) {
        let Change { lever, value, .. } = change;
        self.remarks.push(format!("not in the patch: {lever} = {value}: {why}"));
    }

    fn argument(&mut self, change: &Change) -> Result<()> {
        let (lever, value) = (change.lever.as_str(), change.value.as_str());
        if let Some(why) = self.no_file() {
            self.left(change, &why);
            return Ok(());
        }
        if self.planner.context.0.contains_key("model_args") {
            self.left(change, "`model_args` of the context replace the entry's `args`");
            return Ok(());
        }
        if args::current(&self.model().extra_args, lever)?.is_some() {
            self.left(change, "it is given with the entry's name: give the other value there");
            return Ok(());
        }
        let file = self.root.join(&self.model().source().file);
        let (path, name) = (self.key("args"), self.key("name"));
        self.edit(&file, |text| {
            let missing = |why: edit::Missing| anyhow!("{why}");
            match edit::get(text, Format::Json, &path) {
                Ok(old) => {
                    let new = args::set(&old, lever, value)?.args;
                    let replaced = edit::replace(text, Format::Json, &path, &new);
                    Ok(replaced.map_err(missing)?.text)
                }
                Err(_) => {
                    let new = args::set("", lever, value)?.args;
                    edit::insert_json(text, &name, "args", &new).map_err(missing)
                }
            }
        })
    }

    fn value(&mut self, change: &Change) -> Result<()> {
        let at = config::locate(self.job, change, &self.root)?;
        let format = at.format;
        let file = self.job.script_dir.join(at.file);
        let others = self.others(|dir, _| dir == self.job.script_dir);
        if !others.is_empty() {
            let file = relative(&self.root, &file).display().to_string();
            self.remarks.push(format!("{file} may be read by {} as well", others.join(", ")));
        }
        self.edit(&file, |text| {
            let replaced = edit::replace(text, format, &change.lever, &change.value);
            Ok(replaced.map_err(|why| anyhow!("{why}"))?.text)
        })
    }

    /// Other entries whose script this is true of.
    fn others(&self, same: impl Fn(PathBuf, &str) -> bool) -> Vec<String> {
        let others = self.planner.catalog.models.iter().filter(|m| m.name != self.model().name);
        let runs = |model: &&Model| {
            let script = model.script().map(|script| script_file(&self.root, script));
            script.is_some_and(|(dir, file)| same(absolute(&dir), &file))
        };
        others.filter(runs).map(|model| model.name.clone()).collect()
    }

    fn variable(&mut self, change: &Change) -> Result<()> {
        let (name, value) = (change.lever.as_str(), change.value.as_str());
        let own = self.model().entry().env_vars.as_ref().is_some_and(|v| v.contains_key(name));
        if own && self.no_file().is_none() {
            let file = self.root.join(&self.model().source().file);
            let path = self.key(&format!("env_vars.{name}"));
            return self.edit(&file, |text| {
                let replaced = edit::replace(text, Format::Json, &path, value);
                Ok(replaced.map_err(|why| anyhow!("{why}"))?.text)
            });
        }
        let script = self.job.command.get(1).map_or("run.sh", String::as_str).to_owned();
        let others = self.others(|dir, file| dir == self.job.script_dir && file == script);
        let why = match () {
            () if own => Some("the entry's `env_vars` set it".to_owned()),
            () if !others.is_empty() => Some(format!("{} run the same script", others.join(", "))),
            () if script.ends_with(".py") => Some("the script is no shell script".to_owned()),
            () => None,
        };
        if let Some(why) = why {
            let context = serde_json::json!({ "docker_env_vars": { name: value } });
            let flag = shell_words::join(["-c".to_owned(), context.to_string()]);
            self.left(change, &format!("{why}; with each run: {flag}"));
            return Ok(());
        }
        let file = self.job.script_dir.join(script);
        self.edit(&file, |text| Ok(exported(text, name, value)))
    }
}

/// `script` with a default for a variable: behind the comments at its head, for Slurm reads its
/// options there; or in the place of the default that is there already.
fn exported(script: &str, name: &str, value: &str) -> String {
    let special = |c: char| matches!(c, '"' | '$' | '`' | '\\' | '}');
    let value: String =
        value.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect();
    let line = format!("export {name}=\"${{{name}:-{value}}}\"");
    let there =
        Regex::new(&format!(r#"(?m)^export {0}="\$\{{{0}:-[^\n]*\}}"\r?$"#, regex::escape(name)));
    if let Some(old) = there.ok().and_then(|there| there.find(script)) {
        let end = if old.as_str().ends_with('\r') { "\r" } else { "" };
        return format!("{}{line}{end}{}", &script[..old.start()], &script[old.end()..]);
    }
    let head: usize =
        script.split_inclusive('\n').take_while(|l| l.starts_with('#')).map(str::len).sum();
    let (head, rest) = script.split_at(head);
    // As the lines around it end.
    let near =
        if head.is_empty() { rest.split_inclusive('\n').next().unwrap_or_default() } else { head };
    let newline = if near.ends_with("\r\n") { "\r\n" } else { "\n" };
    let gap = if head.is_empty() || head.ends_with('\n') { "" } else { newline };
    format!("{head}{gap}{line}{newline}{rest}")
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_default_is_what_the_shell_reads_and_can_be_overridden() {
        for value in ["8", "a b", "$HOME `id` \"x\" 'y' }\\", "é{}", "-n", "*", "a\\}b", "~"] {
            let script = exported("#!/bin/bash\n# c\nprintf %s \"$X_Y\"", "X_Y", value);
            let out = |set: Option<&str>| {
                let mut bash = Command::new("bash");
                bash.args(["-c", &script]).env_remove("X_Y");
                bash.envs(set.map(|value| ("X_Y", value)));
                String::from_utf8(bash.output().unwrap().stdout).unwrap()
            };
            assert_eq!(out(None), value);
            assert_eq!(out(Some("mine")), "mine");
            // A second patch changes the first one's line.
            let again = exported(&script, "X_Y", "9");
            assert_eq!(again, exported("#!/bin/bash\n# c\nprintf %s \"$X_Y\"", "X_Y", "9"));
        }
    }

    #[test]
    fn it_stands_behind_the_comments_at_the_head() {
        let line = "export A=\"${A:-1}\"";
        for (script, new) in [
            ("", format!("{line}\n")),
            ("echo\n", format!("{line}\necho\n")),
            ("#!/bin/sh", format!("#!/bin/sh\n{line}\n")),
            (
                "#!/bin/sh\r\n#SBATCH -N1\r\nx\r\n",
                format!("#!/bin/sh\r\n#SBATCH -N1\r\n{line}\r\nx\r\n"),
            ),
        ] {
            assert_eq!(exported(script, "A", "1"), new);
        }
    }
}
