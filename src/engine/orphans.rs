//! Scripts that outlived both their harness and their supervisor, as after
//! `pkill -9 mad`: noted down while they run, ended by whoever comes next.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

use super::{CliError, Container};
use crate::record::{read_json, write_json};

/// Where the notes of all Runs of one run directory are.
pub(crate) fn directory(run_dir: &Path) -> PathBuf {
    run_dir.join("running")
}

/// A script that runs, or did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    boot_id: String,
    supervisor: Process,
    /// Leader of the script's process group.
    script: Process,
    /// The container it runs in.
    #[serde(default)]
    container: Option<Container>,
}

impl Note {
    fn is_this_boot(&self) -> bool {
        self.boot_id == boot_id()
    }
}

/// A process that watches over something, wherever that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Watcher {
    host: String,
    boot_id: String,
    process: Process,
}

impl Watcher {
    /// This process.
    pub(crate) fn this_process() -> Watcher {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Watcher { host: hostname(), boot_id: boot_id(), process: Process::of(pid) }
    }

    /// Whether it is still there. One on another host cannot be asked, and counts as there.
    pub(crate) fn is_there(&self) -> bool {
        self.host != hostname() || self.boot_id == boot_id() && self.process.is_alive()
    }
}

fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A process, told from later ones with its number by the time it started.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Process {
    pid: i32,
    /// Clock ticks after boot.
    started: u64,
}

/// Removes its note when it goes.
#[derive(Debug)]
pub(super) struct Noted(PathBuf);

impl Drop for Noted {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Notes down in `dir` that this process supervises `script`, which may run `container`.
pub(super) fn note(dir: &Path, script: Pid, container: Option<&Container>) -> Result<Noted> {
    fs::create_dir_all(dir)?;
    let script = script.as_raw_nonzero().get();
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let note = Note {
        boot_id: boot_id(),
        supervisor: Process::of(own),
        script: Process::of(script),
        container: container.cloned(),
    };
    let path = dir.join(format!("{own}.json"));
    write_json(&path, &note)?;
    Ok(Noted(path))
}

/// A note whose supervisor is gone.
#[derive(Debug)]
pub(crate) struct Abandoned {
    path: PathBuf,
    note: Note,
}

/// The notes in `dir` whose supervisor is gone.
pub(crate) fn abandoned(dir: &Path) -> Vec<Abandoned> {
    let notes = fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| {
        let path = entry.path();
        let note = read_json::<Note>(&path).ok()??;
        (!note.is_this_boot() || !note.supervisor.is_alive()).then_some(Abandoned { path, note })
    });
    notes.collect()
}

/// Ends the scripts noted in `dir` whose supervisor is gone; says which.
pub(crate) fn reap(dir: &Path) -> Vec<String> {
    abandoned(dir).iter().flat_map(Abandoned::end).collect()
}

impl Abandoned {
    /// The process group that is left of the script, if one is.
    pub(crate) fn group(&self) -> Option<i32> {
        let script = self.note.script;
        (self.note.is_this_boot() && script.has_group()).then_some(script.pid)
    }

    /// The note itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends what is left, container included; says what was done. The note goes once
    /// nothing is left.
    pub(crate) fn end(&self) -> Vec<String> {
        let mut ended = Vec::new();
        if self.note.is_this_boot() && self.note.script.end_group() {
            let pid = self.note.script.pid;
            ended.push(format!("ended process group {pid}, left over from a killed run"));
        }
        match self.note.container.as_ref().map(remove) {
            Some(Err(e)) => {
                // The note stays: the engine may answer next time.
                ended.push(format!("cannot remove a container left over from a killed run: {e}"));
                return ended;
            }
            Some(Ok(Some(name))) => {
                ended.push(format!("removed container {name}, left over from a killed run"));
            }
            Some(Ok(None)) | None => {}
        }
        let _ = fs::remove_file(&self.path);
        ended
    }
}

/// Removes `container`; its name, if it was there.
fn remove(container: &Container) -> Result<Option<&str>, CliError> {
    if !container.exists()? {
        return Ok(None);
    }
    container.remove()?;
    Ok(Some(&container.name))
}

impl Process {
    fn of(pid: i32) -> Process {
        Process { pid, started: stat(pid).map_or(0, |s| s.started) }
    }

    fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|s| s.started == self.started && s.state != 'Z')
    }

    /// Whether the group that this process leads, or led, has members. Its number is not
    /// given to another process as long as it has.
    fn has_group(self) -> bool {
        let in_group = |s: &Stat| s.group == self.pid && s.started >= self.started;
        let reused = stat(self.pid).is_some_and(|s| s.started != self.started);
        !reused && processes().filter_map(stat).any(|s| in_group(&s) && s.state != 'Z')
    }

    /// Kills that group.
    fn end_group(self) -> bool {
        let group = Pid::from_raw(self.pid).filter(|_| self.has_group());
        group.is_some_and(|g| rustix::process::kill_process_group(g, Signal::KILL).is_ok())
    }
}

struct Stat {
    state: char,
    group: i32,
    started: u64,
}

/// What `/proc/<pid>/stat` says: fields 3 (state), 5 (process group) and 22 (start
/// time) of proc(5), counted behind the name, which may hold anything.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        group: fields.get(2)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

fn processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse().ok())
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
