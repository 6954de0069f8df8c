//! Which files of a directory are diagnosed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::read::{Format, recognise};

/// Directories below one that are looked into.
const DEPTH: usize = 8;

/// Files of a directory that are looked at.
const FILES: usize = 10_000;

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Where it is.
    pub path: PathBuf,
    /// What it is.
    pub format: Format,
    /// Calls of kernels, copies and collectives that it told of.
    pub calls: u64,
}

/// A file that was not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Where it is.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// What is to be read, in order.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) files: Vec<(PathBuf, Format)>,
    pub(super) left_out: Vec<LeftOut>,
}

/// The traces at `path`, a file or a directory.
///
/// # Errors
/// When there is nothing at `path`, or nothing that can be diagnosed.
pub(super) fn find(path: &Path) -> Result<Found> {
    let meta =
        std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if meta.is_file() {
        return match recognise(path)? {
            Ok(format) => Ok(Found { files: vec![(path.to_owned(), format)], ..Found::default() }),
            Err(why) => bail!("{} cannot be diagnosed: {why}", path.display()),
        };
    }
    if !meta.is_dir() {
        bail!("{} is neither a file nor a directory", path.display());
    }
    let mut paths = Vec::new();
    let mut left_out = Vec::new();
    collect(path, DEPTH, &mut paths, &mut left_out);
    if paths.is_empty() {
        bail!("{} has no files in it; did the profiler write anything?", path.display());
    }
    let mut files = Vec::new();
    for path in paths {
        match recognise(&path) {
            Ok(Ok(format)) => files.push((path, format)),
            Ok(Err(why)) => left_out.push(LeftOut { path, why }),
            Err(e) => left_out.push(LeftOut { path, why: format!("{e:#}") }),
        }
    }
    choose(&mut files, &mut left_out);
    if files.is_empty() {
        let mut message = format!("{} has no trace in it", path.display());
        for out in left_out.iter().take(5) {
            message += &format!("\n  {}: {}", out.path.display(), out.why);
        }
        if left_out.len() > 5 {
            message += &format!("\n  and {} more files", left_out.len() - 5);
        }
        bail!(message);
    }
    Ok(Found { files, left_out })
}

/// Profilers write the same in several forms. One of them is read, the one that says
/// most; logs of NCCL and samples say something else and always count.
fn choose(files: &mut Vec<(PathBuf, Format)>, left_out: &mut Vec<LeftOut>) {
    let best = files.iter().map(|(_, f)| *f).filter(|f| !f.is_complement()).min();
    files.retain(|(path, format)| {
        let taken = format.is_complement() || Some(*format) == best;
        if let (false, Some(best)) = (taken, best) {
            let why = format!("a {}; the {} says the same and more", format.label(), best.label());
            left_out.push(LeftOut { path: path.clone(), why });
        }
        taken
    });
}

fn collect(dir: &Path, depth: usize, paths: &mut Vec<PathBuf>, left_out: &mut Vec<LeftOut>) {
    let entries = std::fs::read_dir(dir).and_then(|entries| entries.collect::<Result<Vec<_>, _>>());
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(e) => {
            left_out.push(LeftOut { path: dir.to_owned(), why: format!("cannot be read: {e}") });
            return;
        }
    };
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A link could lead anywhere, also back here.
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if depth == 0 {
                left_out.push(LeftOut { path, why: "it lies too deep".to_owned() });
            } else {
                collect(&path, depth - 1, paths, left_out);
            }
        } else if kind.is_file() {
            let name = entry.file_name();
            // Parts of a database beside them.
            let part = name.to_str().is_some_and(|n| n.ends_with("-wal") || n.ends_with("-shm"));
            if paths.len() < FILES && !part {
                paths.push(path);
            } else if !part {
                left_out.push(LeftOut { path, why: format!("more than {FILES} files") });
            }
        }
    }
}
