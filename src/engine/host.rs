//! The host engine: runs a script in a private copy of its directory, on this
//! machine, without a container.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::supervise::Order;
use super::{Cancel, Engine, Execution, Slot, Status, absolute, environment, orphans};
use crate::contract::{Exit, LogScanner, Masker};
use crate::plan::Job;

/// Capacity asked of the output pipe: fewer wake-ups for scripts that print much.
const PIPE_BYTES: usize = 1 << 20;
/// How long to wait for the rest of the output once the supervisor is gone.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Runs Jobs on this host.
#[derive(Clone, Copy, Debug, Default)]
pub struct HostEngine;

impl Engine for HostEngine {
    fn name(&self) -> &'static str {
        "host"
    }

    fn prepare(&self, _job: &Job) -> Result<()> {
        Ok(())
    }

    fn execute(&self, job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Execution> {
        let work = slot.work();
        copy_tree(&job.script_dir, &work, &slot.dir)
            .with_context(|| format!("cannot copy {}", job.script_dir.display()))?;
        let results = job.results_csv.as_ref().map(|name| work.join(name));
        // A results file among the scripts is one of an earlier run; a script that
        // appends to it would report its rows again.
        let stale_results = match &results {
            Some(path) if path.exists() => {
                fs::remove_file(path)
                    .with_context(|| format!("cannot remove the stale {}", path.display()))?;
                true
            }
            _ => false,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let execution = runtime.block_on(run(job, slot, cancel));
        let mut execution = execution?;
        execution.stale_results = stale_results;
        if let Some(path) = results.filter(|p| p.is_file()) {
            // Kept beside the log; the work directory goes.
            let kept = slot.dir.join("results.csv");
            copy_masked(&path, &kept, job.masker())
                .with_context(|| format!("cannot keep {}", path.display()))?;
            execution.results = Some(kept);
        }
        if !slot.keep_work
            && let Err(e) = fs::remove_dir_all(&work)
        {
            execution.trouble.push(format!("cannot remove {}: {e}", work.display()));
        }
        Ok(execution)
    }
}

async fn run(job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Execution> {
    let (output, child_output) = std::io::pipe().context("cannot make a pipe")?;
    // Best effort: an unprivileged user may have used up the quota for large pipes.
    let _ = rustix::pipe::fcntl_setpipe_size(&child_output, PIPE_BYTES);
    let order = Order {
        status: absolute(&slot.dir.join("status.json")),
        running: absolute(&slot.running),
        timeout_s: job.timeout_s,
        grace_s: job.grace_s,
        command: job.command.clone(),
    };
    // Not by its path: a program that was rebuilt meanwhile is another one.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("mad-supervise")
        .args(order.to_args())
        .current_dir(slot.work())
        .stdin(Stdio::piped())
        .stdout(child_output.try_clone()?)
        .stderr(child_output)
        // Ctrl-C in a terminal reaches the harness alone, which ends its children
        // in order.
        .process_group(0);
    let devices = job.environment(&slot.gpus).into_iter();
    let devices = devices.map(|(name, value)| (name.into(), value.map(Into::into)));
    for (name, value) in environment::corrections().into_iter().chain(devices) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut command = tokio::process::Command::from(command);
    let mut supervisor = command.spawn().context("cannot start the supervisor")?;
    // The command holds the write end of the pipe; while it does there is no end.
    drop(command);
    let mut lifeline = supervisor.stdin.take();

    let mut output = pipe::Receiver::from_owned_fd(OwnedFd::from(output))?;
    let mut sink = Sink::create(job, slot)?;
    let mut buffer = vec![0; PIPE_BYTES];
    let (mut open, mut ended) = (true, None);
    // The output may end long before the script does, and the other way round.
    while open || ended.is_none() {
        tokio::select! {
            read = output.read(&mut buffer), if open => {
                match read.context("cannot read the output")? {
                    0 => open = false,
                    n => sink.feed(&buffer[..n]),
                }
            }
            status = supervisor.wait(), if ended.is_none() => {
                ended = Some(status.context("cannot wait for the supervisor")?);
                if open {
                    let rest = drain(&mut output, &mut buffer, &mut sink);
                    let _ = tokio::time::timeout(DRAIN_LIMIT, rest).await;
                    open = false;
                }
            }
            () = cancel.cancelled(), if lifeline.is_some() => {
                if let Some(mut line) = lifeline.take() {
                    let _ = line.write_all(b"x").await;
                }
            }
        }
    }
    let status: Status = match fs::read(&order.status) {
        Ok(bytes) => serde_json::from_slice(&bytes).context("cannot read the script's status")?,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            orphans::reap(&order.running);
            let how = ended.map(|status| status.to_string()).unwrap_or_default();
            anyhow::bail!("the supervisor ended without a word ({how}); the script was ended")
        }
        Err(e) => return Err(e).context("cannot read the script's status"),
    };
    let exit = match status.exit {
        Exit::Code(_) | Exit::Signal(_) if cancel.is_cancelled() => Exit::Cancelled,
        exit => exit,
    };
    let (log, trouble) = sink.finish();
    Ok(Execution {
        exit,
        duration_s: status.duration_s,
        log,
        results: None,
        stale_results: false,
        trouble,
    })
}

async fn drain(output: &mut pipe::Receiver, buffer: &mut [u8], sink: &mut Sink) {
    while let Ok(n) = output.read(buffer).await {
        if n == 0 {
            return;
        }
        sink.feed(&buffer[..n]);
    }
}

/// Where the output goes: the log, the scanner, the user's terminal.
struct Sink {
    log: Option<File>,
    masker: Masker,
    masked: Vec<u8>,
    scanner: LogScanner,
    live: bool,
    trouble: Vec<String>,
    path: PathBuf,
}

impl Sink {
    fn create(job: &Job, slot: &Slot) -> Result<Sink> {
        let path = slot.log();
        let log =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Sink {
            log: Some(log),
            masker: job.masker(),
            masked: Vec::new(),
            scanner: LogScanner::new(&job.error_scan),
            live: slot.live_output,
            trouble: Vec::new(),
            path,
        })
    }

    fn feed(&mut self, chunk: &[u8]) {
        if self.masker.is_empty() {
            self.write(chunk);
            return;
        }
        let mut masked = std::mem::take(&mut self.masked);
        masked.clear();
        self.masker.feed(chunk, &mut masked);
        self.write(&masked);
        self.masked = masked;
    }

    fn write(&mut self, chunk: &[u8]) {
        self.scanner.feed(chunk);
        if self.live {
            // A closed terminal is no reason to lose the measurement.
            let _ = std::io::stderr().write_all(chunk);
        }
        if let Some(log) = &mut self.log
            && let Err(e) = log.write_all(chunk)
        {
            self.trouble.push(format!("the log {} is incomplete: {e}", self.path.display()));
            // The script goes on: it must not block on a pipe that nobody reads.
            self.log = None;
        }
    }

    fn finish(mut self) -> (crate::contract::LogFindings, Vec<String>) {
        let mut rest = Vec::new();
        self.masker.finish(&mut rest);
        self.write(&rest);
        (self.scanner.finish(), self.trouble)
    }
}

/// Copies the file `from` to `to` without the secrets in it.
fn copy_masked(from: &Path, to: &Path, mut masker: Masker) -> std::io::Result<()> {
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
fn copy_tree(from: &Path, to: &Path, except: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let except = absolute(except);
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            copy_link(&source, &target)?;
        } else if kind.is_dir() {
            let skipped = entry.file_name() == ".git" || except.starts_with(absolute(&source));
            if !skipped {
                copy_tree(&source, &target, &except)?;
            }
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
        }
        // Sockets, pipes and devices are nothing a script directory holds on purpose.
    }
    Ok(())
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
