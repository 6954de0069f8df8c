//! Files that appear all together, or not at all.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::NamedTempFile;

/// A file to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Path relative to the catalog root.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
    /// Whether it can be started.
    pub executable: bool,
}

/// A file whose text is replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    /// Path relative to the root.
    pub(crate) path: PathBuf,
    /// The text that it must still have; `None`: there must be no such file.
    pub(crate) before: Option<String>,
    /// The text that it gets.
    pub(crate) after: String,
}

/// What was made so far, undone again unless it is [kept](Placed::keep).
#[derive(Debug, Default)]
struct Placed {
    files: Vec<PathBuf>,
    directories: Vec<PathBuf>,
    /// Files that were replaced, with what they held.
    replaced: Vec<(PathBuf, NamedTempFile)>,
}

impl Placed {
    fn keep(mut self) {
        self.files.clear();
        self.directories.clear();
        self.replaced.clear();
    }

    /// Makes the directory `path` and those above it that are missing.
    fn directory(&mut self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.directory(parent)?;
        }
        fs::create_dir(path)
            .with_context(|| format!("cannot make the directory {}", path.display()))?;
        self.directories.push(path.to_owned());
        Ok(())
    }

    /// Makes the file `path`, which nothing may be.
    fn add(&mut self, path: &Path, text: &str, mode: u32) -> Result<()> {
        self.directory(path.parent().unwrap_or(Path::new(".")))?;
        rename_new(temporary(path, text, mode)?, path)?;
        self.files.push(path.to_owned());
        Ok(())
    }

    /// Replaces the text of the file `path`.
    fn replace(&mut self, path: &Path, before: &str, after: &str) -> Result<()> {
        // A link stays one.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let cannot = || format!("cannot read {}", path.display());
        let mode = path.metadata().with_context(cannot)?.permissions().mode() & 0o7777;
        let (new, old) = (temporary(&path, after, mode)?, temporary(&path, before, mode)?);
        let now = fs::read(&path).with_context(cannot)?;
        ensure!(
            now == before.as_bytes(),
            "{} was changed by somebody else meanwhile; try again",
            path.display()
        );
        new.persist(&path).with_context(|| format!("cannot replace {}", path.display()))?;
        self.replaced.push((path, old));
        Ok(())
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        // What cannot be undone is all that is left, and the error that led here is told.
        for (file, before) in self.replaced.drain(..).rev() {
            let _ = before.persist(file);
        }
        for file in self.files.iter().rev() {
            let _ = fs::remove_file(file);
        }
        for directory in self.directories.iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

/// Makes `new` below `root` and replaces the texts of `replaced`. Overwrites nothing else.
/// `cancelled` is asked before each step; with an error all is as it was.
///
/// # Errors
/// When something exists already, cannot be written, changed meanwhile, or on cancellation.
pub(crate) fn place(
    root: &Path,
    new: &[NewFile],
    replaced: &[Replaced],
    cancelled: &dyn Fn() -> bool,
) -> Result<()> {
    let mut placed = Placed::default();
    for NewFile { path, text, executable } in new {
        ensure!(!cancelled(), "interrupted");
        placed.add(&root.join(path), text, if *executable { 0o755 } else { 0o644 })?;
    }
    for Replaced { path, before, after } in replaced {
        ensure!(!cancelled(), "interrupted");
        let path = root.join(path);
        match before {
            None => placed.add(&path, after, 0o644)?,
            Some(before) => placed.replace(&path, before, after)?,
        }
    }
    ensure!(!cancelled(), "interrupted");
    placed.keep();
    Ok(())
}

/// The text of a file, if there is one.
///
/// # Errors
/// When it cannot be read, or is no UTF-8.
pub(crate) fn text_of(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// A finished file beside `path`, which disappears unless it is renamed.
fn temporary(path: &Path, text: &str, mode: u32) -> Result<NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<NamedTempFile> {
        let mut file =
            tempfile::Builder::new().prefix(".mad-").suffix(".tmp").tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(Permissions::from_mode(mode))?;
        // A full disk may say so only now.
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Gives `temporary` the name `path`, which nothing may have.
fn rename_new(temporary: NamedTempFile, path: &Path) -> Result<()> {
    let exists = || format!("{} exists already", path.display());
    match renameat_with(CWD, temporary.path(), CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => {
            // There is nothing left at its path to remove.
            let _ = temporary.into_temp_path().keep();
            Ok(())
        }
        // Some file systems know no such rename; a link fails on what exists, too.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            temporary.persist_noclobber(path).with_context(exists)?;
            Ok(())
        }
        Err(rustix::io::Errno::EXIST) => anyhow::bail!(exists()),
        Err(e) => Err(e).with_context(|| format!("cannot write {}", path.display())),
    }
}
