//! The directory of one Slurm job, which this host and the nodes share, and the note in it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::{Prepared, absolute};
use crate::record::{read_json, write_json};

/// What is known of a job that was submitted, or was about to be: `note.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobNote {
    /// `mad-slurm-job/1`.
    pub schema: String,
    /// The job's name, which no other job has, or that of the array it is a task of: it finds one
    /// whose id was not written down.
    pub name: String,
    /// Its number in the array, from 0.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub task: Option<u32>,
    /// Its id, once Slurm has said it: `<job>`, or `<array>_<task>`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job: Option<String>,
    /// When it was submitted, RFC 3339, UTC.
    pub submitted: String,
    /// The Executions that it makes, first and last.
    pub executions: (u32, u32),
    /// What was made ready for them.
    #[serde(default)]
    pub prepared: Prepared,
}

/// Format of [`JobNote`].
pub(super) const NOTE_SCHEMA: &str = "mad-slurm-job/1";

/// The directory of a job: scripts, what the nodes write, and the note.
#[derive(Clone, Debug)]
pub(super) struct JobDir {
    pub(super) path: PathBuf,
}

impl JobDir {
    /// Name of the file of what Slurm and `srun` themselves print.
    pub(super) const OUTPUT: &str = "slurm.out";

    /// The one for Executions from `first` on, of an attempt.
    pub(super) fn of(attempt: &Path, first: u32) -> JobDir {
        JobDir { path: absolute(&attempt.join(format!("slurm-{first}"))) }
    }

    /// All of an attempt.
    pub(super) fn in_attempt(attempt: &Path) -> Vec<JobDir> {
        let entries = fs::read_dir(attempt).into_iter().flatten().flatten();
        let ours = entries.filter(|e| e.file_name().to_string_lossy().starts_with("slurm-"));
        ours.map(|e| JobDir { path: absolute(&e.path()) }).collect()
    }

    /// Those of an attempt that have a note: their jobs are to be collected.
    pub(super) fn all(attempt: &Path) -> Result<Vec<(JobDir, JobNote)>> {
        let mut found = Vec::new();
        for dir in JobDir::in_attempt(attempt) {
            found.extend(dir.note()?.map(|note| (dir, note)));
        }
        Ok(found)
    }

    /// Makes it anew, for this user alone: scripts print secrets, and they are masked later. Where
    /// the first try writes what Execution `first` does is there already: that need not be made
    /// on a node.
    pub(super) fn make(&self, first: u32) -> Result<()> {
        if self.path.exists() {
            self.remove().with_context(|| format!("cannot remove {}", self.path.display()))?;
        }
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).recursive(true);
        builder
            .create(self.path.join(format!("try-0/{first}")))
            .with_context(|| format!("cannot make {}", self.path.display()))
    }

    /// Writes a file that this user alone can read.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path.join(name);
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file =
            options.open(&path).with_context(|| format!("cannot create {}", path.display()))?;
        file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }

    pub(super) fn note(&self) -> Result<Option<JobNote>> {
        read_json(&self.path.join("note.json"))
    }

    pub(super) fn write_note(&self, note: &JobNote) -> Result<()> {
        write_json(&self.path.join("note.json"), note)
    }

    /// Lets nobody look for the job any more.
    pub(super) fn forget(&self) {
        self.leave_array();
        let _ = fs::remove_file(self.path.join("note.json"));
    }

    /// The directory of an array of this Run: the link with the number of a task leads to its
    /// job's directory.
    pub(super) fn array(&self, name: &str) -> Option<PathBuf> {
        // <run>/<entry>/<attempt>/<job>
        Some(self.path.ancestors().nth(3)?.join(".arrays").join(name))
    }

    /// Takes the job's link out of its array; with the last one the array's directory goes.
    fn leave_array(&self) {
        let Ok(Some(JobNote { name, task: Some(task), .. })) = self.note() else { return };
        let Some(array) = self.array(&name) else { return };
        let _ = fs::remove_file(array.join(task.to_string()));
        // They stay while there is something in them.
        let _ = fs::remove_dir(&array);
        let _ = array.parent().map(fs::remove_dir);
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(&self) -> std::io::Result<()> {
        self.leave_array();
        fs::remove_dir_all(&self.path)
    }

    /// What Slurm and `srun` themselves print.
    pub(super) fn output(&self) -> PathBuf {
        self.path.join(JobDir::OUTPUT)
    }

    /// The latest try: Slurm starts a job anew that it has requeued.
    pub(super) fn latest_try(&self) -> Option<(u32, PathBuf)> {
        let tries = fs::read_dir(&self.path).ok()?.flatten().filter_map(|entry| {
            let number = entry.file_name().to_str()?.strip_prefix("try-")?.parse().ok()?;
            Some((number, entry.path()))
        });
        let latest = tries.max_by_key(|(number, _)| *number);
        latest.filter(|(_, path)| JobDir::look(path).join("begin").exists())
    }

    /// Makes a network file system look what is new in `directory`: it does so when that is opened,
    /// and otherwise remembers for up to a minute what was not there.
    pub(super) fn look(directory: &Path) -> &Path {
        let _ = fs::File::open(directory);
        directory
    }

    /// Id of the job as the job itself wrote it down.
    pub(super) fn begun_as(&self) -> Option<String> {
        let (_, path) = self.latest_try()?;
        let text = fs::read_to_string(path.join("begin")).ok()?;
        text.split_whitespace().next().map(str::to_owned)
    }
}
