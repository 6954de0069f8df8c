//! Scripts that outlived both their harness and their supervisor, as after
//! `pkill -9 mad`: noted down while they run, ended by whoever comes next.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

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

/// Notes down in `dir` that this process supervises `script`.
pub(super) fn note(dir: &Path, script: Pid) -> Result<Noted> {
    fs::create_dir_all(dir)?;
    let script = script.as_raw_nonzero().get();
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let process = |pid| Process { pid, started: stat(pid).map_or(0, |s| s.started) };
    let note = Note { boot_id: boot_id(), supervisor: process(own), script: process(script) };
    let path = dir.join(format!("{own}.json"));
    write_json(&path, &note)?;
    Ok(Noted(path))
}

/// Ends the scripts noted in `dir` whose supervisor is gone; says which.
pub(crate) fn reap(dir: &Path) -> Vec<String> {
    let mut ended = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(Some(note)) = read_json::<Note>(&path) else { continue };
        let same_boot = note.boot_id == boot_id();
        if same_boot && note.supervisor.is_alive() {
            continue;
        }
        if same_boot && note.script.end_group() {
            let pid = note.script.pid;
            ended.push(format!("ended process group {pid}, left over from a killed run"));
        }
        let _ = fs::remove_file(&path);
    }
    ended
}

impl Process {
    fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|s| s.started == self.started && s.state != 'Z')
    }

    /// Kills the group that this process leads, or led: its number is not given to
    /// another process as long as the group has members.
    fn end_group(self) -> bool {
        let in_group = |s: &Stat| s.group == self.pid && s.started >= self.started;
        let reused = stat(self.pid).is_some_and(|s| s.started != self.started);
        let members = processes().filter_map(stat).any(|s| in_group(&s) && s.state != 'Z');
        if reused || !members {
            return false;
        }
        let group = Pid::from_raw(self.pid);
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
