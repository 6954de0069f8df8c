//! Levers of the kind `config`: which file has the value, and what it is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::Change;
use crate::diagnostic::relative;
use crate::edit::{self, Format, Missing};
use crate::glob::{Glob, files_below};
use crate::plan::{Edit, Job};
use crate::regress::count;

/// Files that are looked at.
const FILES: usize = 10_000;
/// Bytes of a file that a person keeps settings in.
const SIZE: u64 = 4 << 20;

/// The file that has the value of a change.
pub(super) struct Located {
    /// Relative to the script's directory.
    pub file: PathBuf,
    /// Its text as the script finds it.
    pub text: String,
    pub format: Format,
}

/// Finds the one file of the script's directory which has the value. Its name may be relative
/// to the catalog's root or to the script's directory, and have `*` for any characters.
///
/// # Errors
/// When there is no such file, or none has the value, or several have it.
pub(super) fn locate(job: &Job, change: &Change, root: &Path) -> Result<Located> {
    let path = &change.lever;
    let pattern = change.file.as_deref().context("it needs a `file`")?;
    let glob = Glob::new(pattern.strip_prefix("./").unwrap_or(pattern));
    let root = crate::engine::absolute(root);
    let dir = &job.script_dir;
    let files =
        files_below(dir, FILES).with_context(|| format!("cannot list {}", dir.display()))?;
    let fits =
        |file: &PathBuf| glob.matches(file) || glob.matches(relative(&root, &dir.join(file)));
    let shown = relative(&root, dir).display();
    let (mut found, mut without) = (Vec::new(), Vec::new());
    for file in files.into_iter().filter(fits) {
        match read(job, &file) {
            Ok((text, format)) => match edit::get(&text, format, path) {
                Ok(_) => found.push(Located { file, text, format }),
                Err(why) => without.push((file, why)),
            },
            Err(why) => without.push((file, Missing::Unreadable(format!("{why:#}")))),
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 if without.is_empty() => {
            bail!("no file {pattern} in {shown}, which each execution has a copy of")
        }
        0 => {
            let more = without.len().saturating_sub(3);
            let said = without.iter().take(3).map(|(f, why)| format!("{}: {why}", f.display()));
            let said: Vec<String> = said.collect();
            let more = if more > 0 {
                format!("; and {}", count(more, "more file"))
            } else {
                String::new()
            };
            bail!("no file in {shown} has `{path}`: {}{more}", said.join("; "))
        }
        _ => {
            let names: Vec<String> = found.iter().map(|l| l.file.display().to_string()).collect();
            bail!("`{path}` is in {}: name one of them as its `file`", names.join(", "))
        }
    }
}

/// The text of a file as the script finds it.
fn read(job: &Job, file: &Path) -> Result<(String, Format)> {
    let format = Format::of(file).context("not YAML, JSON or TOML by its name")?;
    let path = job.script_dir.join(file);
    let size = std::fs::metadata(&path)?.len();
    ensure!(size <= SIZE, "larger than {} MiB", SIZE >> 20);
    let mut text = std::fs::read_to_string(&path)?;
    for edit in job.edits.iter().filter(|edit| edit.file == file) {
        text = edit.of(&text).map_err(anyhow::Error::msg)?;
    }
    Ok((text, format))
}

/// The value now.
pub(super) fn current(job: &Job, change: &Change, root: &Path) -> Result<String> {
    let at = locate(job, change, root)?;
    edit::get(&at.text, at.format, &change.lever).map_err(|e| anyhow::anyhow!("{e}"))
}

/// The edit of each execution's copy that the change is.
pub(super) fn edit(job: &Job, change: &Change, root: &Path) -> Result<Edit> {
    let at = locate(job, change, root)?;
    let edit = Edit { file: at.file, path: change.lever.clone(), value: change.value.clone() };
    edit.of(&at.text).map_err(anyhow::Error::msg)?;
    Ok(edit)
}
