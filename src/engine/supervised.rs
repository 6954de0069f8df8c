//! Starting a program under its supervisor, and following what it prints.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use super::pin::Pinned;
use super::supervise::Order;
use super::{Cancel, Container, Slot, Status, absolute, environment, orphans};
use crate::contract::{Exit, LogFindings, LogScanner, Masker};
use crate::plan::Job;
use crate::progress::Activity;

/// Capacity asked of the output pipe: fewer wake-ups for scripts that print much.
const PIPE_BYTES: usize = 1 << 20;
/// How long to wait for the rest of the output once the supervisor is gone.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// What is started.
pub(super) struct Launch {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Where it starts.
    pub dir: PathBuf,
    /// Variables to set, and with `None` to remove, on top of the harness's own.
    pub env: Vec<(String, Option<String>)>,
    /// Seconds it may take.
    pub timeout_s: Option<f64>,
    /// Whether it clears up on SIGINT alone.
    pub interrupt: bool,
    /// The container that the command runs, if it runs one.
    pub container: Option<Container>,
}

impl Launch {
    /// A command that may take as long as it likes.
    pub(super) fn new(command: Vec<String>, dir: PathBuf) -> Launch {
        Launch { command, dir, env: Vec::new(), timeout_s: None, interrupt: false, container: None }
    }
}

/// How what was started came to its end.
pub(super) struct Ended {
    pub status: Status,
    pub log: LogFindings,
    /// Trouble of the harness's own, such as a full disk.
    pub trouble: Vec<String>,
}

/// Starts `launch` and waits for its end; its output goes to the log of `slot`.
pub(super) fn run(launch: Launch, job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Inherited by what is started. A container has its own processors.
    let _pinned = launch.container.is_none().then(|| Pinned::to(&slot.cores)).flatten();
    runtime.block_on(follow(launch, job, slot, cancel))
}

async fn follow(launch: Launch, job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Ended> {
    let (output, child_output) = std::io::pipe().context("cannot make a pipe")?;
    // Best effort: an unprivileged user may have used up the quota for large pipes.
    let _ = rustix::pipe::fcntl_setpipe_size(&child_output, PIPE_BYTES);
    let order = Order {
        status: absolute(&slot.dir.join("status.json")),
        running: absolute(&slot.running),
        timeout_s: launch.timeout_s,
        grace_s: job.grace_s,
        interrupt: launch.interrupt,
        container: launch.container,
        command: launch.command,
    };
    // Not by its path: a program that was rebuilt meanwhile is another one.
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0("mad-supervise")
        .args(order.to_args())
        .current_dir(launch.dir)
        .stdin(Stdio::piped())
        .stdout(child_output.try_clone()?)
        .stderr(child_output)
        // Ctrl-C in a terminal reaches the harness alone, which ends its children
        // in order.
        .process_group(0);
    let own = launch.env.into_iter().map(|(name, value)| (name.into(), value.map(Into::into)));
    for (name, value) in environment::corrections().into_iter().chain(own) {
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
    let mut sink = Sink::create(job, &slot.log(), slot.live_output, slot.activity.clone())?;
    let mut buffer = vec![0; PIPE_BYTES];
    let (mut open, mut ended, mut cancelled) = (true, None, false);
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
            () = cancel.cancelled(), if !cancelled => {
                cancelled = true;
                // It stays open: its end means that there is no time for a farewell.
                if let Some(line) = &mut lifeline {
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
    Ok(Ended { status: Status { exit, ..status }, log, trouble })
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
pub(super) struct Sink {
    log: Option<File>,
    masker: Masker,
    masked: Vec<u8>,
    scanner: LogScanner,
    live: bool,
    activity: Activity,
    trouble: Vec<String>,
    path: PathBuf,
}

impl Sink {
    /// One that writes to `path`, and shows what it writes if it is `live`; `activity` passes on
    /// the last line.
    pub(super) fn create(job: &Job, path: &Path, live: bool, activity: Activity) -> Result<Sink> {
        let log =
            File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Sink {
            log: Some(log),
            masker: job.masker(),
            masked: Vec::new(),
            scanner: LogScanner::new(&job.error_scan),
            live,
            activity,
            trouble: Vec::new(),
            path: path.to_owned(),
        })
    }

    pub(super) fn feed(&mut self, chunk: &[u8]) {
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
        self.activity.printed(chunk);
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

    /// What the output held, and trouble with the log.
    pub(super) fn finish(mut self) -> (LogFindings, Vec<String>) {
        let mut rest = Vec::new();
        self.masker.finish(&mut rest);
        self.write(&rest);
        (self.scanner.finish(), self.trouble)
    }
}
