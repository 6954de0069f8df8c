//! Shards of one sweep into one Run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use super::{CellRecord, SweepRecord};
use crate::record::{self, RunDir, RunRecord};
use crate::slug::{BEFORE_IMAGE, slug};

/// Joins the Runs in `dirs` into a new one below `base`. Cells that are in several of them are
/// taken from the first one that has a number, and told as text.
///
/// # Errors
/// When one is no sweep, is of another version or catalog than the others, or cannot be read;
/// then nothing is left behind.
pub fn merge(dirs: &[PathBuf], base: &Path) -> Result<(RunDir, Vec<String>)> {
    let mut runs = Vec::new();
    for path in dirs {
        let run = RunDir::find(path, &path.display().to_string())
            .with_context(|| format!("{} is no run directory", path.display()))?;
        let sweep = SweepRecord::read(&run)?;
        ensure!(
            runs.iter().all(|(other, _): &(RunDir, SweepRecord)| other.path() != run.path()),
            "{} is named twice",
            path.display()
        );
        runs.push((run, sweep));
    }
    let Some((first, sweep)) = runs.first() else { bail!("there is nothing to merge") };
    let machine = first.read_run()?.machine;
    for (run, other) in &runs {
        ensure!(
            other.version == sweep.version,
            "{} is of version {}, {} of {}: numbers of two versions are not mixed",
            first.path().display(),
            sweep.version,
            run.path().display(),
            other.version
        );
        ensure!(
            run.read_run()?.machine.simulated == machine.simulated,
            "{} is of a simulated machine and {} is not, or the other way round",
            first.path().display(),
            run.path().display()
        );
    }
    let (cells, told) = merged_cells(&runs)?;
    let id = record::run_id();
    let target = RunDir::open(base, &id)?;
    let copied = (|| -> Result<()> {
        let listed: Vec<BTreeSet<String>> =
            runs.iter().map(|(run, _)| directories(run.path())).collect::<Result<_>>()?;
        for (run, cell) in cells.values() {
            copy_cell(&runs[*run].0, &listed[*run], &target, &cell.id)?;
        }
        let mut unresolved: Vec<_> = Vec::new();
        for tag in runs.iter().flat_map(|(_, sweep)| &sweep.unresolved) {
            if !unresolved.contains(tag) {
                unresolved.push(tag.clone());
            }
        }
        record::write_json(
            &target.path().join("sweep.json"),
            &SweepRecord {
                run: id.clone(),
                shard: None,
                cells: cells.values().map(|(_, cell)| cell.clone()).collect(),
                unresolved,
                merged: runs.iter().map(|(run, _)| run.id.clone()).collect(),
                ..sweep.clone()
            },
        )?;
        join_rows(&target, &runs)?;
        let then = first.read_run()?;
        // Last: without it, it is no run.
        target.write_run(&RunRecord { id: id.clone(), ..then })
    })();
    if let Err(e) = copied {
        let _ = fs::remove_dir_all(target.path());
        return Err(e);
    }
    Ok((target, told))
}

/// Which Run each Cell is taken from, by position in the order of the Cells' ids, and what
/// the user should know.
///
/// # Errors
/// When the same Cell is of two versions of its entry.
#[expect(clippy::type_complexity, reason = "one place, and each part has a name")]
pub fn merged_cells(
    runs: &[(RunDir, SweepRecord)],
) -> Result<(BTreeMap<String, (usize, CellRecord)>, Vec<String>)> {
    let mut cells: BTreeMap<String, (usize, CellRecord)> = BTreeMap::new();
    let mut told = Vec::new();
    for (at, (run, sweep)) in runs.iter().enumerate() {
        for cell in &sweep.cells {
            let Some((earlier, first)) = cells.get(&cell.id) else {
                cells.insert(cell.id.clone(), (at, cell.clone()));
                continue;
            };
            let other = &runs[*earlier].0;
            ensure!(
                first.entry_hash == cell.entry_hash,
                "{} is in {} and in {} with different entries: the catalog changed between them",
                cell.id,
                other.path().display(),
                run.path().display()
            );
            let has = |run: &RunDir| -> Result<bool> {
                Ok(run.measurement(&cell.id)?.is_some_and(|m| m.failure.is_none()))
            };
            let taken = if !has(other)? && has(run)? { at } else { *earlier };
            told.push(format!(
                "{} is in several: taken from {}",
                cell.id,
                runs[taken].0.path().display()
            ));
            cells.insert(cell.id.clone(), (taken, cell.clone()));
        }
    }
    Ok((cells, told))
}

/// Names of the directories in `dir`.
fn directories(dir: &Path) -> Result<BTreeSet<String>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let directories = entries.flatten().filter(|entry| entry.path().is_dir());
    Ok(directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
}

/// Copies the records of one Cell; `listed` are the directories of the Run.
fn copy_cell(from: &RunDir, listed: &BTreeSet<String>, to: &RunDir, id: &str) -> Result<()> {
    let own = slug(id);
    let images = format!("{own}{BEFORE_IMAGE}");
    let of_images = listed.range(images.clone()..).take_while(|name| name.starts_with(&images));
    for name in listed.get(&own).into_iter().chain(of_images) {
        copy_tree(&from.path().join(name), &to.path().join(name))?;
    }
    let case = format!("{}.json", slug(&format!("bench::{id}")));
    for (from, to) in [
        (from.path().join("cases").join(&case), to.path().join("cases").join(&case)),
        (from.cell_csv(id), to.cell_csv(id)),
    ] {
        if from.exists() {
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

/// One file of all rows.
fn join_rows(target: &RunDir, runs: &[(RunDir, SweepRecord)]) -> Result<()> {
    let mut text = String::new();
    let sweep = SweepRecord::read(target)?;
    let mut files: Vec<PathBuf> = sweep.cells.iter().map(|c| target.cell_csv(&c.id)).collect();
    for tag in &sweep.unresolved {
        let id = super::run::unresolved_id(&tag.tag);
        let found = runs.iter().map(|(run, _)| run.cell_csv(&id)).find(|path| path.exists());
        files.extend(found);
    }
    for file in files.iter().filter(|file| file.exists()) {
        let rows =
            fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let (header, rows) = rows.split_once('\n').unwrap_or((&rows, ""));
        if text.is_empty() {
            text = format!("{header}\n");
        }
        text.push_str(rows);
    }
    record::write_atomically(&target.path().join("perf.csv"), text.as_bytes())
}
