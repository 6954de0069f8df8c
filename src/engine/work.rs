//! The private work directory of an Execution: what a script may read and write.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use super::{Cancel, Prepared, Slot, absolute};
use crate::contract::{Exit, Masker};
use crate::data;
use crate::glob::{Glob, files_below};
use crate::plan::Job;

/// Gets what the Job needs from elsewhere.
pub(super) fn prepare(job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Prepared> {
    let mut prepared = Prepared::default();
    if let Some(repository) = &job.repository {
        let mut log = log(slot, "source.log")?;
        let cancelled = || cancel.is_cancelled();
        let (source, warnings) = repository.resolve(&slot.cache, &mut log, &cancelled)?;
        prepared.source = Some(source);
        prepared.warnings = warnings;
    }
    if !job.data.is_empty() {
        let log = Mutex::new(log(slot, "data.log")?);
        let masker = job.masker();
        let say = |line: &str| {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            // A log that cannot be written is no reason to be without data.
            let _ = writeln!(log, "{}", masker.mask_str(line));
        };
        prepared.data = Some(data::provide(&job.data, &say, &|| cancel.is_cancelled())?);
    }
    Ok(prepared)
}

fn log(slot: &Slot, name: &str) -> Result<File> {
    fs::create_dir_all(&slot.dir).with_context(|| format!("cannot make {}", slot.dir.display()))?;
    let path = slot.dir.join(name);
    File::create(&path).with_context(|| format!("cannot create {}", path.display()))
}

/// Fills the work directory of `slot` with the clone of the entry's `url`, if it has one,
/// and a copy of the script's directory.
///
/// Returns whether a results file of an earlier run was among the scripts, and what the user
/// should know. That file is removed: a script that appends to it would report its rows
/// again.
pub(super) fn fill(
    job: &Job,
    prepared: &Prepared,
    slot: &Slot,
    cancel: &Cancel,
) -> Result<(bool, Vec<String>)> {
    let work = slot.work();
    let mut warnings = Vec::new();
    if let (Some(repository), Some(source)) = (&job.repository, &prepared.source) {
        let mut log = log(slot, "source.log")?;
        let cancelled = || cancel.is_cancelled();
        warnings = repository.checkout(&slot.cache, source, &work, &mut log, &cancelled)?;
    }
    copy_tree(&job.script_dir, &work, &slot.dir)
        .with_context(|| format!("cannot copy {}", job.script_dir.display()))?;
    edit(job, &work)?;
    bring_kept(job, slot)?;
    match job.results_csv.as_ref().map(|name| work.join(name)) {
        Some(path) if path.exists() => {
            fs::remove_file(&path)
                .with_context(|| format!("cannot remove the stale {}", path.display()))?;
            Ok((true, warnings))
        }
        _ => Ok((false, warnings)),
    }
}

/// Makes the edits of the Job in `copy`, which is one of the script's directory.
pub(super) fn edit(job: &Job, copy: &Path) -> Result<()> {
    for edit in &job.edits {
        let path = copy.join(&edit.file);
        let place = || format!("cannot edit the copy of {}", edit.file.display());
        let text = fs::read_to_string(&path).with_context(place)?;
        let edited = edit.of(&text).map_err(anyhow::Error::msg)?;
        // The copy of a link leads to the user's file.
        if path.is_symlink() {
            fs::remove_file(&path).with_context(place)?;
        }
        fs::write(&path, edited).with_context(place)?;
    }
    Ok(())
}

/// Where files wait for the next Execution of the attempt.
fn kept(slot: &Slot) -> Option<PathBuf> {
    Some(slot.dir.parent()?.join("kept"))
}

/// Copies what an earlier Execution left for this one.
fn bring_kept(job: &Job, slot: &Slot) -> Result<()> {
    match kept(slot).filter(|dir| !job.keep.is_empty() && dir.is_dir()) {
        Some(dir) => copy_tree(&dir, &slot.work(), &slot.dir)
            .with_context(|| format!("cannot copy {}", dir.display())),
        None => Ok(()),
    }
}

/// Copies what the next Execution is to find, once this one went well; trouble is told.
pub(super) fn keep(job: &Job, slot: &Slot, exit: Exit) -> Option<String> {
    let dir = kept(slot).filter(|_| !job.keep.is_empty() && exit == Exit::Code(0))?;
    let globs: Vec<Glob> = job.keep.iter().map(|pattern| Glob::new(pattern)).collect();
    let copy = || -> std::io::Result<()> {
        let work = slot.work();
        for file in files_below(&work, usize::MAX)? {
            let from = work.join(&file);
            // A link may lead to anything on this host.
            if !from.is_symlink() && globs.iter().any(|glob| glob.matches(&file)) {
                let to = dir.join(&file);
                fs::create_dir_all(to.parent().unwrap_or(&dir))?;
                // One that must not be written, as some caches are, can still be replaced.
                let _ = fs::remove_file(&to);
                fs::copy(from, to)?;
            }
        }
        Ok(())
    };
    let failed = copy().err()?;
    Some(format!("cannot keep `{}` for the next execution: {failed}", job.keep.join("`, `")))
}

/// Keeps the first of `candidates` that the script wrote beside the log, without the
/// secrets in it; the work directory goes.
pub(super) fn keep_results(
    job: &Job,
    slot: &Slot,
    candidates: &[PathBuf],
) -> Result<Option<PathBuf>> {
    let Some(path) = candidates.iter().find(|p| p.is_file()) else { return Ok(None) };
    let kept = slot.dir.join("results.csv");
    copy_masked(path, &kept, job.masker())
        .with_context(|| format!("cannot keep {}", path.display()))?;
    Ok(Some(kept))
}

/// Removes the work directory unless it is to be kept; trouble is told.
pub(super) fn remove(slot: &Slot) -> Option<String> {
    let work = slot.work();
    let removed = if slot.keep_work { Ok(()) } else { fs::remove_dir_all(&work) };
    removed.err().map(|e| format!("cannot remove {}: {e}", work.display()))
}

/// Copies the file `from` to `to` without the secrets in it.
pub(super) fn copy_masked(from: &Path, to: &Path, mut masker: Masker) -> std::io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let (mut buffer, mut masked) = (vec![0; 64 << 10], Vec::new());
    loop {
        let n = from.read(&mut buffer)?;
        match n {
            0 => masker.finish(&mut masked),
            n => masker.feed(&buffer[..n], &mut masked),
        }
        to.write_all(&masked)?;
        masked.clear();
        if n == 0 {
            return Ok(());
        }
    }
}

/// Copies the directory `from` to `to`: files, directories, links as links.
/// `except` (the run's own directory) and version control are left out.
pub(super) fn copy_tree(from: &Path, to: &Path, except: &Path) -> std::io::Result<()> {
    copy_all(from, to, except, copy_link)
}

/// The same for a tree that is copied with all its links may point to.
pub(super) fn copy_as_is(from: &Path, to: &Path, except: &Path) -> std::io::Result<()> {
    copy_all(from, to, except, |source, target| {
        std::os::unix::fs::symlink(fs::read_link(source)?, target)
    })
}

fn copy_all(
    from: &Path,
    to: &Path,
    except: &Path,
    link: fn(&Path, &Path) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let of = |path: &Path| {
        let path = path.display().to_string();
        move |e: Error| Error::new(e.kind(), format!("{path}: {e}"))
    };
    let entries = fs::read_dir(from).map_err(of(from))?;
    fs::create_dir_all(to).map_err(of(to))?;
    let except = absolute(except);
    for entry in entries {
        let entry = entry.map_err(of(from))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let copied = entry.file_type().map_err(of(&source)).and_then(|kind| {
            if kind.is_symlink() {
                link(&source, &target).map_err(of(&source))
            } else if kind.is_dir() {
                let skipped = entry.file_name() == ".git" || except.starts_with(absolute(&source));
                if skipped { Ok(()) } else { copy_all(&source, &target, &except, link) }
            } else if kind.is_file() {
                fs::copy(&source, &target).map(drop).map_err(of(&source))
            } else {
                // Sockets, pipes and devices are nothing a script directory holds on purpose.
                Ok(())
            }
        });
        match copied {
            // It went since the directory was listed, as temporary files do: a copy made a moment
            // later would not have it either.
            Err(e) if e.kind() == ErrorKind::NotFound && is_gone(&source) => {}
            other => other?,
        }
    }
    Ok(())
}

fn is_gone(path: &Path) -> bool {
    path.symlink_metadata().is_err_and(|e| e.kind() == ErrorKind::NotFound)
}

/// A relative link keeps meaning what it meant, although the copy is elsewhere.
fn copy_link(source: &Path, target: &Path) -> std::io::Result<()> {
    let points_to = fs::read_link(source)?;
    let resolved = match (points_to.is_relative(), source.canonicalize()) {
        (true, Ok(real)) if points_to.components().any(|c| c.as_os_str() == "..") => real,
        _ => points_to,
    };
    std::os::unix::fs::symlink(resolved, target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Edit;
    use crate::tune::tests::Fixture;

    #[test]
    fn a_copy_is_edited_and_what_is_kept_goes_from_one_to_the_next() {
        let fixture = Fixture::with("");
        fixture.write("common.yml", "lr: 1 # keep\n");
        let dir = fixture.root().join("scripts/x");
        std::os::unix::fs::symlink("../../common.yml", dir.join("link.yml")).unwrap();
        let mut job = fixture.job(&[]);
        job.edits = vec![Edit { file: "link.yml".into(), path: "lr".into(), value: "2".into() }];
        job.keep = vec!["cache*.csv".to_owned()];
        let attempt = fixture.root().join("run");
        let execution = |number: u32| {
            let slot = fixture.slot(&format!("run/execution-{number}"));
            fill(&job, &Prepared::default(), &slot, &Cancel::default()).unwrap();
            slot
        };
        let first = execution(1);
        let text = |path: PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(text(first.work().join("link.yml")), "lr: 2 # keep\n");
        assert_eq!(text(fixture.root().join("common.yml")), "lr: 1 # keep\n");
        for (name, content) in [("cache0.csv", "warm"), ("other.csv", "x")] {
            fs::write(first.work().join(name), content).unwrap();
        }
        std::os::unix::fs::symlink("/etc/hostname", first.work().join("cache1.csv")).unwrap();
        assert_eq!(keep(&job, &first, Exit::Code(1)), None);
        assert!(!attempt.join("kept").exists(), "of one that failed nothing is kept");
        assert_eq!(keep(&job, &first, Exit::Code(0)), None);
        assert_eq!(remove(&first), None);
        let second = execution(2);
        assert_eq!(text(second.work().join("cache0.csv")), "warm");
        assert!(!second.work().join("other.csv").exists());
        assert!(!second.work().join("cache1.csv").exists(), "a link may lead to anything");
    }

    /// Whoever comes to the link first sees the rest go.
    fn the_rest_goes(source: &Path, target: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(source.parent().unwrap())?.flatten() {
            match entry.file_type()? {
                kind if kind.is_dir() => fs::remove_dir_all(entry.path())?,
                kind if kind.is_file() => fs::remove_file(entry.path())?,
                _ => {}
            }
        }
        std::os::unix::fs::symlink("x", target)
    }

    #[test]
    fn what_goes_meanwhile_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir(&from).unwrap();
        for i in 0..20 {
            fs::write(from.join(format!("file{i}")), "").unwrap();
            fs::create_dir(from.join(format!("dir{i}"))).unwrap();
        }
        std::os::unix::fs::symlink("x", from.join("link")).unwrap();
        copy_all(&from, &to, &dir.path().join("none"), the_rest_goes).unwrap();
        assert!(to.join("link").is_symlink());
    }

    #[test]
    fn what_cannot_be_copied_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        let missing = copy_tree(&from, &dir.path().join("to"), dir.path()).unwrap_err();
        assert!(missing.to_string().starts_with(&from.display().to_string()), "{missing}");
    }
}
