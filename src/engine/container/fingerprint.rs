//! What an image is built from, in one number.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::engine::absolute;
use crate::plan::Build;
use crate::slug::hexadecimal;

/// SHA-256 over the Dockerfile, the arguments, the names of the secrets and the files of
/// the build context, 32 hexadecimal digits of it.
///
/// Of a file path, size, mode and time of its last change count, not its content, as in
/// `make`: contexts may hold gigabytes. Files that a `.dockerignore` excludes count, too;
/// at worst that asks the engine for a build whose layers are all cached. `own`, the
/// directory of the Run, and version control do not.
pub(super) fn fingerprint(dockerfile: &str, build: &Build, own: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    add(dockerfile);
    for (name, value) in &build.args {
        add(name);
        add(value);
    }
    for name in build.secrets.keys() {
        add(name);
    }
    add(&build.secrets_as_args.to_string());
    let mut files = Vec::new();
    walk(&build.context, &absolute(own), &mut files)
        .with_context(|| format!("cannot read the build context {}", build.context.display()))?;
    files.sort();
    for line in &files {
        add(line);
    }
    Ok(hexadecimal(&hash.finalize()[..16]))
}

fn walk(dir: &Path, own: &Path, files: &mut Vec<String>) -> std::io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == ".git") || own.starts_with(&path) {
            continue;
        }
        let found = fs::symlink_metadata(&path)?;
        files.push(format!(
            "{}\0{}\0{}\0{}.{}",
            path.display(),
            found.len(),
            found.mode(),
            found.mtime(),
            found.mtime_nsec()
        ));
        if found.is_dir() {
            walk(&path, own, files)?;
        }
    }
    Ok(())
}
