//! The small process between the harness and a script, so that nothing a script
//! starts outlives it, however the harness ends.
//!
//! It is this same program, started again with [`ARGUMENT`] as its first argument.
//! The harness holds the other end of its standard input: when that closes, because
//! the harness cancels or because it was killed, the script ends. As a subreaper it
//! inherits every process whose parent ended, so a daemon that the script left
//! behind is found and ended too.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, WaitOptions};
use tokio::io::AsyncReadExt;
use tokio::process::Child;

use super::{Container, Status, orphans};
use crate::contract::Exit;
use crate::record::write_atomically;

/// First argument that turns this program into a supervisor.
pub const ARGUMENT: &str = "__mad-supervise";

/// How long a process may take to die of SIGKILL: one that hangs in a driver does
/// not die at all, and must not take the harness with it.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How long to wait for the client of a container that was removed.
const REMOVE_PAUSE: Duration = Duration::from_millis(100);

/// What a supervisor is told on its command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Where the [`Status`] goes.
    pub status: PathBuf,
    /// Where it is noted that the script runs.
    pub running: PathBuf,
    /// Seconds after which the script is ended; `None` is never.
    pub timeout_s: Option<f64>,
    /// Seconds between SIGTERM and SIGKILL.
    pub grace_s: f64,
    /// Whether it is asked to end by SIGINT, as a program that clears up on Ctrl-C.
    pub interrupt: bool,
    /// The container that the command runs, if it runs one.
    pub container: Option<Container>,
    /// Program and arguments.
    pub command: Vec<String>,
}

impl Order {
    /// The command line after the program name.
    pub fn to_args(&self) -> Vec<std::ffi::OsString> {
        let timeout = self.timeout_s.map_or_else(|| "none".to_owned(), |s| s.to_string());
        let mut args: Vec<std::ffi::OsString> =
            vec![ARGUMENT.into(), self.status.clone().into(), self.running.clone().into()];
        // Serialising plain strings does not fail.
        let container = serde_json::to_string(&self.container).unwrap_or_default();
        args.extend([timeout.into(), self.grace_s.to_string().into()]);
        args.extend([self.interrupt.to_string().into(), container.into()]);
        args.extend(self.command.iter().map(Into::into));
        args
    }

    fn from_args(mut args: impl Iterator<Item = std::ffi::OsString>) -> Result<Order> {
        let mut next = || args.next().context("too few arguments");
        let status = PathBuf::from(next()?);
        let running = PathBuf::from(next()?);
        let number = |word: std::ffi::OsString| -> Result<f64> {
            Ok(word.to_str().context("not a number")?.parse()?)
        };
        let timeout = next()?;
        let timeout_s = if timeout == "none" { None } else { Some(number(timeout)?) };
        let grace_s = number(next()?)?;
        let interrupt = next()? == "true";
        let container = serde_json::from_str(next()?.to_str().context("not UTF-8")?)?;
        let command: Result<Vec<String>, _> = args.map(std::ffi::OsString::into_string).collect();
        let command = command.map_err(|word| anyhow::anyhow!("{word:?} is not UTF-8"))?;
        ensure!(!command.is_empty(), "no command");
        Ok(Order { status, running, timeout_s, grace_s, interrupt, container, command })
    }
}

/// Becomes a supervisor if this process was started as one. To be called first
/// thing in `main`.
pub fn intercept() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != ARGUMENT {
        return None;
    }
    let result = Order::from_args(args).and_then(|order| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(supervise(&order))
    });
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("mad: cannot supervise the script: {e:#}");
            ExitCode::FAILURE
        }
    })
}

async fn supervise(order: &Order) -> Result<()> {
    // Refused only by kernels before 3.4; the process group is then what remains.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let started = Instant::now();
    let mut command = tokio::process::Command::new(&order.command[0]);
    command.args(&order.command[1..]).stdin(std::process::Stdio::null()).process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => {
            // In the log, where people look; the status says the same by its code.
            println!("mad: cannot start {}: {e}", order.command[0]);
            let code = if e.kind() == ErrorKind::NotFound { 127 } else { 126 };
            let duration_s = started.elapsed().as_secs_f64();
            return write_status(
                order,
                Status { exit: Exit::Code(code), duration_s, container: None },
            );
        }
    };
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    // Without the note the script is still ended by us; only not after us.
    let noted = group.and_then(|g| orphans::note(&order.running, g, order.container.as_ref()).ok());
    let container = order.container.as_ref();
    let script = Script { group, interrupt: order.interrupt, container };
    let mut lifeline = Lifeline::open();
    let exit = tokio::select! {
        status = child.wait() => exit_of(status?),
        () = sleep(order.timeout_s) => {
            script.end(&mut child, order.grace_s, &mut lifeline).await;
            Exit::TimedOut { after_s: order.timeout_s.unwrap_or_default() }
        }
        asked = lifeline.word() => {
            // If the harness died, the machine must be free for others at once.
            let grace = if asked { order.grace_s } else { 0.0 };
            script.end(&mut child, grace, &mut lifeline).await;
            Exit::Cancelled
        }
    };
    let duration_s = started.elapsed().as_secs_f64();
    let container = order.container.as_ref().map(Container::end);
    let unwanted = order.container.as_ref().filter(|c| !c.keep);
    let removed = unwanted.map_or(Ok(()), Container::remove);
    let result = write_status(order, Status { exit, duration_s, container });
    kill_descendants().await;
    match removed {
        Ok(()) => drop(noted),
        // The note stays, so that whoever comes next tries again.
        Err(e) => {
            println!("mad: cannot remove the container: {e}");
            std::mem::forget(noted);
        }
    }
    result
}

fn exit_of(status: std::process::ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or_default()),
    }
}

async fn sleep(seconds: Option<f64>) {
    match seconds {
        Some(s) => tokio::time::sleep(Duration::from_secs_f64(s)).await,
        None => std::future::pending().await,
    }
}

/// The pipe from the harness. A word in it means that the Run is cancelled, its end that the
/// harness is gone.
struct Lifeline(Option<tokio::net::unix::pipe::Receiver>);

impl Lifeline {
    /// Reads the pipe directly: tokio's stdin would read in a thread that nothing can stop.
    fn open() -> Lifeline {
        let pipe = rustix::io::dup(rustix::stdio::stdin());
        Lifeline(pipe.ok().and_then(|p| tokio::net::unix::pipe::Receiver::from_owned_fd(p).ok()))
    }

    /// Waits for a word (`true`) or the end (`false`).
    async fn word(&mut self) -> bool {
        match &mut self.0 {
            Some(pipe) => pipe.read_u8().await.is_ok(),
            None => std::future::pending().await,
        }
    }

    /// Waits for the end.
    async fn end(&mut self) {
        while self.word().await {}
    }
}

/// What must be ended: the process group of the command, and the container it runs.
struct Script<'a> {
    group: Option<Pid>,
    interrupt: bool,
    container: Option<&'a Container>,
}

impl Script<'_> {
    /// SIGTERM (or SIGINT) to the script and all it started, and SIGKILL to what is left after
    /// the grace period, or as soon as the harness is gone.
    async fn end(&self, child: &mut Child, grace_s: f64, lifeline: &mut Lifeline) {
        if grace_s > 0.0 {
            let ended = tokio::select! {
                ended = self.ask_to_end(child, grace_s) => ended,
                () = lifeline.end() => false,
            };
            if ended {
                return;
            }
        }
        if let Some(container) = self.container {
            remove_wanted(container, child).await;
        }
        self.signal(Signal::KILL);
        let _ = tokio::time::timeout(KILL_LIMIT, child.wait()).await;
    }

    /// Whether it ended within the grace period.
    async fn ask_to_end(&self, child: &mut Child, grace_s: f64) -> bool {
        let limit = match self.container.cloned() {
            _ if self.interrupt => {
                self.signal(Signal::INT);
                Duration::from_secs_f64(grace_s)
            }
            // The engine passes the signal on, and waits. The client has yet to print what
            // was said last.
            Some(container) => {
                let stop = tokio::task::spawn_blocking(move || container.stop(grace_s));
                match stop.await {
                    Ok(Ok(())) => KILL_LIMIT,
                    _ => return false,
                }
            }
            None => {
                self.signal(Signal::TERM);
                Duration::from_secs_f64(grace_s)
            }
        };
        tokio::time::timeout(limit, child.wait()).await.is_ok()
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

/// Removes `container` again and again until its client gives up: the engine may be about to
/// make it.
async fn remove_wanted(container: &Container, child: &mut Child) {
    let deadline = Instant::now() + KILL_LIMIT;
    while Instant::now() < deadline {
        // Whether it is gone is seen when it is removed for the last time.
        let _ = container.remove();
        if tokio::time::timeout(REMOVE_PAUSE, child.wait()).await.is_ok() {
            return;
        }
    }
}

/// Ends the processes that the script left behind. Each that ends hands its own
/// children to us, so this repeats until there are none.
async fn kill_descendants() {
    let deadline = Instant::now() + KILL_LIMIT;
    loop {
        let children = children();
        if children.is_empty() || Instant::now() > deadline {
            return;
        }
        for pid in children {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Children of this process, zombies included.
fn children() -> Vec<Pid> {
    let mut pids = Vec::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        pids.extend(text.split_whitespace().filter_map(|p| Pid::from_raw(p.parse().ok()?)));
    }
    pids
}

fn write_status(order: &Order, status: Status) -> Result<()> {
    write_atomically(&order.status, &serde_json::to_vec(&status)?)
}
