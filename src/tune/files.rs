//! Where records of searches are, and reading them.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{TUNING_SCHEMA, Tuning};
use crate::record::read_json;
use crate::slug::slug;

/// Name of the record in the directory of its search.
pub const TUNING_FILE: &str = "tuning.json";

/// What the newest search is called.
pub const LATEST: &str = "latest-tuning";

/// Bytes at the beginning of a file in which its format stands.
const HEAD: u64 = 4096;

/// Where searches are, below a directory of runs.
pub fn directory(base: &Path) -> PathBuf {
    base.join("tunings")
}

/// Reads the record of a search.
///
/// # Errors
/// When it is missing, damaged or of another version.
pub fn read(path: &Path) -> Result<Tuning> {
    let value: Option<Value> = read_json(path)?;
    let value = value.with_context(|| format!("there is no {}", path.display()))?;
    let damaged = || format!("{} is not a record of this version", path.display());
    let schema = value.get("schema").and_then(Value::as_str).with_context(damaged)?;
    ensure!(
        schema == TUNING_SCHEMA,
        "{} has the format {schema:?}, this version reads {TUNING_SCHEMA}; use the version of mad \
         that wrote it, or search again",
        path.display(),
    );
    serde_json::from_value(value).with_context(damaged)
}

/// The record that `name` means, if it means one: [`LATEST`], a file whose content says so, the
/// directory of a search, or the id of a search below `base`.
///
/// # Errors
/// When the newest is wanted and there is none.
pub fn find(name: &str, base: &Path) -> Result<Option<PathBuf>> {
    if name == LATEST {
        return latest(base).map(Some);
    }
    let path = Path::new(name);
    if path.is_file() {
        return Ok(is_tuning(path).then(|| path.to_owned()));
    }
    let candidates = [path.to_owned(), directory(base).join(slug(name))];
    // A name that is none, `` or `.`, is no directory of a search.
    let found = candidates.into_iter().map(|dir| dir.join(TUNING_FILE)).find(|p| p.is_file());
    Ok(found.filter(|_| !name.is_empty()))
}

/// The record of the search that began last. One that cannot be read is none of them.
fn latest(base: &Path) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Header {
        started: String,
    }
    let dir = directory(base);
    let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
    let dated = entries.filter_map(|entry| {
        let path = entry.path().join(TUNING_FILE);
        let header: Header = read_json(&path).ok()??;
        Some((header.started, path))
    });
    let Some((_, newest)) = dated.max() else {
        bail!("there are no searches in {}: mad tune-search makes one", dir.display());
    };
    Ok(newest)
}

fn is_tuning(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && String::from_utf8_lossy(&head).contains("\"mad-tuning/")
}
