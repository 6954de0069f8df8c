//! What earlier Runs left behind, and its removal.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::container::{Containers, images_to_remove, leftovers};
use super::orphans;
use super::slurm::left_jobs;
use crate::source::worktree;

/// What is to be removed.
#[derive(Clone, Debug, Default)]
pub struct Clean {
    /// Where Runs are.
    pub run_dir: PathBuf,
    /// Only what these Runs left behind; of all Runs if empty.
    pub runs: Vec<String>,
    /// Also images that were built and that no container uses.
    pub images: bool,
    /// Also Slurm jobs that nobody waits for: they end.
    pub jobs: bool,
    /// Also containers whose Run goes on.
    pub all: bool,
    /// Nothing is removed.
    pub plan: bool,
}

/// One thing that was left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remnant {
    /// What it is.
    pub kind: RemnantKind,
    /// Its name: of a container or image, a process group, a file.
    pub name: String,
    /// Where it comes from.
    pub origin: String,
    /// What was done about it.
    pub state: RemnantState,
    /// Why it is still there, or was not left alone.
    pub reason: Option<String>,
}

/// Kinds of [`Remnant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RemnantKind {
    /// A script that nobody watches.
    Script,
    /// A Slurm job.
    Job,
    /// A container.
    Container,
    /// A file half written.
    File,
    /// A revision that was checked out for a comparison.
    Worktree,
    /// An image.
    Image,
}

/// What was done about a [`Remnant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RemnantState {
    /// It is gone.
    Removed,
    /// It would go, if this was no plan.
    Planned,
    /// It stays: it is in use.
    Left,
    /// It could not be removed.
    Failed,
}

impl Clean {
    /// Removes what there is, scripts first and images last; says what. Also says which
    /// engine is there and does not answer.
    pub fn run(&self) -> (Vec<Remnant>, Vec<String>) {
        let (engines, silent) = Containers::all();
        let mut found = Vec::new();
        let everything = self.runs.is_empty();
        if everything {
            self.scripts(&mut found);
        }
        self.slurm_jobs(&mut found);
        for engine in &engines {
            self.containers(engine, &mut found);
        }
        if everything {
            self.files(&mut found);
            self.worktrees(&mut found);
        }
        if self.images {
            for engine in &engines {
                self.unused_images(engine, &mut found);
            }
        }
        (found, silent)
    }

    /// Removes one thing, unless it is only planned.
    fn remove<E: ToString>(
        &self,
        kind: RemnantKind,
        name: String,
        origin: String,
        remove: impl FnOnce() -> Result<(), E>,
    ) -> Remnant {
        let done = if self.plan { None } else { Some(remove()) };
        let (state, reason) = match done {
            None => (RemnantState::Planned, None),
            Some(Ok(())) => (RemnantState::Removed, None),
            Some(Err(e)) => (RemnantState::Failed, Some(e.to_string())),
        };
        Remnant { kind, name, origin, state, reason }
    }

    fn scripts(&self, found: &mut Vec<Remnant>) {
        for left in orphans::abandoned(&orphans::directory(&self.run_dir)) {
            let name = match left.group() {
                Some(group) => format!("process group {group}"),
                None => left.path().display().to_string(),
            };
            let end = || {
                let said = left.end();
                if left.path().exists() { Err(said.join("; ")) } else { Ok(()) }
            };
            let origin = "a run that was killed".to_owned();
            found.push(self.remove(RemnantKind::Script, name, origin, end));
        }
    }

    /// A job may have run for hours, and its numbers can still be collected.
    fn slurm_jobs(&self, found: &mut Vec<Remnant>) {
        let wanted = |run: &String| self.runs.is_empty() || self.runs.contains(run);
        for left in left_jobs(&self.run_dir).into_iter().filter(|left| wanted(&left.run)) {
            let name = left.job.clone().unwrap_or_else(|| "not submitted".to_owned());
            let origin = format!("run {}", left.run);
            if self.jobs && !left.watched {
                found.push(self.remove(RemnantKind::Job, name, origin, || left.remove()));
                continue;
            }
            let reason = match left.watched {
                true => "its run goes on".to_owned(),
                false => format!("mad attach {} collects it, --jobs ends it", left.run),
            };
            let (kind, state) = (RemnantKind::Job, RemnantState::Left);
            found.push(Remnant { kind, name, origin, state, reason: Some(reason) });
        }
    }

    fn containers(&self, engine: &Containers, found: &mut Vec<Remnant>) {
        let program = &engine.cli.program;
        let containers = match leftovers(engine) {
            Ok(containers) => containers,
            Err(e) => {
                found.push(unknown(RemnantKind::Container, program, &e.to_string()));
                return;
            }
        };
        let wanted = |run: &String| self.runs.is_empty() || self.runs.contains(run);
        for left in containers.into_iter().filter(|left| wanted(&left.run)) {
            let name = left.container.name.clone();
            let origin = format!("{program}: {} of run {}", left.model, left.run);
            if left.watched && !self.all {
                found.push(Remnant {
                    kind: RemnantKind::Container,
                    name,
                    origin,
                    state: RemnantState::Left,
                    reason: Some("its run goes on (--all removes it)".to_owned()),
                });
                continue;
            }
            let remove = || left.container.remove();
            let mut done = self.remove(RemnantKind::Container, name, origin, remove);
            if left.watched && done.reason.is_none() {
                done.reason = Some("although its run goes on (--all)".to_owned());
            }
            found.push(done);
        }
    }

    /// Files that a killed process had begun to write.
    fn files(&self, found: &mut Vec<Remnant>) {
        let dirs =
            [self.run_dir.clone(), self.run_dir.join("cache"), orphans::directory(&self.run_dir)];
        for path in dirs.iter().flat_map(|dir| half_written(dir)) {
            let (name, remove) = (path.display().to_string(), || fs::remove_file(&path));
            found.push(self.remove(RemnantKind::File, name, "half written".to_owned(), remove));
        }
    }

    fn worktrees(&self, found: &mut Vec<Remnant>) {
        for left in worktree::abandoned(&self.run_dir) {
            let name = left.path().display().to_string();
            let origin = "a comparison that was killed".to_owned();
            found.push(self.remove(RemnantKind::Worktree, name, origin, || left.remove()));
        }
    }

    fn unused_images(&self, engine: &Containers, found: &mut Vec<Remnant>) {
        let program = &engine.cli.program;
        // In a plan they are still there.
        let gone = found.iter().filter(|left| left.state == RemnantState::Planned);
        let gone: BTreeSet<&str> = gone.map(|left| left.name.as_str()).collect();
        match images_to_remove(engine, &gone) {
            Ok(images) => {
                for image in &images {
                    let (kind, name) = (RemnantKind::Image, image.name.clone());
                    let id: String =
                        image.id.trim_start_matches("sha256:").chars().take(12).collect();
                    let origin = format!("{program}: image {id}");
                    found.push(match image.used {
                        false => self.remove(kind, name, origin, || image.remove(engine)),
                        true => Remnant {
                            kind,
                            name,
                            origin,
                            state: RemnantState::Left,
                            reason: Some("a container uses it".to_owned()),
                        },
                    });
                }
            }
            Err(e) => found.push(unknown(RemnantKind::Image, program, &e.to_string())),
        }
    }
}

/// What an engine did not tell.
fn unknown(kind: RemnantKind, program: &str, why: &str) -> Remnant {
    let (name, origin) = ("?".to_owned(), program.to_owned());
    Remnant { kind, name, origin, state: RemnantState::Failed, reason: Some(why.to_owned()) }
}

/// Files `<name>.<process>-<number>.tmp` in `dir` whose process is gone.
fn half_written(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let process = name
            .strip_suffix(".tmp")
            .and_then(|rest| rest.rsplit_once('.')?.1.split_once('-'))
            .and_then(|(process, _)| process.parse::<u32>().ok());
        process.is_some_and(|process| !Path::new(&format!("/proc/{process}")).exists())
    });
    paths.sort();
    paths
}
