//! git as a child: nothing it starts outlives us, it asks nobody anything, and what it
//! says is masked.

use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::login::{self, Login};
use super::url::Url;
use crate::contract::Masker;

/// Runs its arguments with standard input as a lifeline: when the other end closes, as
/// it does when the harness is killed, the whole process group dies.
const LIFELINE: &str = r#"exec 3<&0 </dev/null
"$@" 3<&- & git=$!
{ read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 &
wait "$git"; code=$?
exec 2>/dev/null
kill "$!"
exit "$code""#;

/// How often a running git is looked at for its end and for cancellation.
const POLL: Duration = Duration::from_millis(20);
/// How long git may take to tidy up when it is cancelled.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait for output once git has ended: a daemon may have inherited the pipe.
/// Longer than the grace period, in which what git started may still be ending.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// The shell's word for a program that is not there.
const NOT_FOUND: i32 = 127;
/// Lines of git's that an error quotes.
const QUOTED_LINES: usize = 8;

/// What ties git to a repository that is not the one meant, as inside a git hook.
const NOT_INHERITED: [&str; 14] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Configuration of every git: no hooks of the user's, nothing in the background, and
/// no pruning, so that a commit that was measured stays.
const CONFIG: [&str; 5] = [
    "core.hooksPath=/dev/null",
    "gc.autoDetach=false",
    "maintenance.autoDetach=false",
    "gc.pruneExpire=never",
    "submodule.recurse=false",
];

/// Why git did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub(super) enum GitError {
    /// Somebody lost patience.
    #[error("cancelled")]
    Cancelled,
    /// It could not be started or watched.
    #[error("cannot run git: {0}")]
    Start(#[from] std::io::Error),
    /// It failed.
    #[error("{}", failure(.0, .1))]
    Failed(ExitStatus, String),
}

impl GitError {
    /// Whether git said one of `phrases`.
    pub(super) fn says(&self, phrases: &[&str]) -> bool {
        match self {
            GitError::Failed(_, said) => phrases.iter().any(|phrase| said.contains(phrase)),
            _ => false,
        }
    }
}

fn failure(status: &ExitStatus, said: &str) -> String {
    match said {
        "" => format!("git failed without a word ({status})"),
        said => format!("git says: {}", said.replace('\n', "\n  ")),
    }
}

/// Starts git, one at a time.
pub(super) struct Git<'a> {
    /// The login, and the URL that it is for.
    login: Option<(Url, Login)>,
    log: &'a mut dyn Write,
    cancelled: &'a dyn Fn() -> bool,
}

/// One command of git's in preparation.
pub(super) struct Call {
    words: Vec<OsString>,
    place: Place,
    /// What it connects to.
    remote: Option<Url>,
}

/// Which repository a command is about. None is looked for in the directories above, but for
/// [`Place::Inside`]: the cache itself usually lies in a repository of the user's.
enum Place {
    Nowhere,
    Bare(PathBuf),
    Tree(PathBuf),
    Inside(PathBuf),
}

/// `git` with these words.
pub(super) fn git<S: AsRef<OsStr>>(words: impl IntoIterator<Item = S>) -> Call {
    let words = words.into_iter().map(|word| word.as_ref().to_owned()).collect();
    Call { words, place: Place::Nowhere, remote: None }
}

impl Call {
    /// Adds a path.
    pub(super) fn path(mut self, path: &Path) -> Call {
        self.words.push(path.into());
        self
    }

    /// Adds a word.
    pub(super) fn word(mut self, word: &str) -> Call {
        self.words.push(word.into());
        self
    }

    /// Is about the bare repository `dir`.
    pub(super) fn of(mut self, dir: &Path) -> Call {
        self.place = Place::Bare(dir.to_owned());
        self
    }

    /// Runs in the work tree `dir`.
    pub(super) fn at(mut self, dir: &Path) -> Call {
        self.place = Place::Tree(dir.to_owned());
        self
    }

    /// Is about the repository that `dir` is in, wherever in it.
    pub(super) fn inside(mut self, dir: &Path) -> Call {
        self.place = Place::Inside(dir.to_owned());
        self
    }

    /// May connect to `url`, with the login if it is for the same server. What it says
    /// goes to the log.
    pub(super) fn connecting(mut self, url: &Url) -> Call {
        self.remote = Some(url.clone());
        self
    }
}

impl<'a> Git<'a> {
    pub(super) fn new(
        login: Option<(Url, Login)>,
        log: &'a mut dyn Write,
        cancelled: &'a dyn Fn() -> bool,
    ) -> Self {
        Git { login, log, cancelled }
    }

    /// Whether somebody lost patience.
    pub(super) fn cancelled(&self) -> &'a dyn Fn() -> bool {
        self.cancelled
    }

    /// The login that is shown to the server of `url`.
    pub(super) fn login(&self, url: &Url) -> Option<&Login> {
        let (of, login) = self.login.as_ref()?;
        of.same_server(url).then_some(login)
    }

    /// Writes a line to the log.
    pub(super) fn say(&mut self, line: &str) {
        // A log that cannot be written is no reason to stop.
        let _ = writeln!(self.log, "{line}");
    }

    /// Runs a command to its end; returns what it printed.
    pub(super) fn run(&mut self, call: Call) -> Result<String, GitError> {
        if (self.cancelled)() {
            return Err(GitError::Cancelled);
        }
        let mut child = self.command(&call).spawn()?;
        // Closed when this returns, however it does.
        let _lifeline = child.stdin.take();
        let output = listen(&mut child)?;
        let secrets = self.login.iter().flat_map(|(_, login)| login.secrets());
        let mut said = Said { masker: Masker::new(secrets), masked: Vec::new(), written: 0 };
        let mut printed = Vec::new();
        let mut cancelled: Option<Instant> = None;
        let mut ended: Option<(ExitStatus, Instant)> = None;
        let mut open = true;
        while open || ended.is_none() {
            match output.recv_timeout(if open { POLL } else { Duration::ZERO }) {
                Ok((Stream::Printed, bytes)) => printed.extend(bytes),
                Ok((Stream::Said, bytes)) => said.feed(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    open = false;
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            if call.remote.is_some() {
                said.write_to(self.log);
            }
            if ended.is_none() {
                ended = child.try_wait()?.map(|status| (status, Instant::now()));
            }
            if ended.is_some_and(|(_, when)| when.elapsed() > DRAIN_LIMIT) {
                break;
            }
            if cancelled.is_none() && (self.cancelled)() {
                cancelled = Some(Instant::now());
                end(&child, Signal::TERM);
            } else if open && cancelled.is_some_and(|when| when.elapsed() > GRACE) {
                end(&child, Signal::KILL);
            }
        }
        said.finish();
        if call.remote.is_some() {
            said.write_to(self.log);
        }
        match ended {
            _ if cancelled.is_some() => Err(GitError::Cancelled),
            Some((status, _)) if status.code() == Some(NOT_FOUND) => {
                Err(std::io::Error::new(ErrorKind::NotFound, "it is not installed").into())
            }
            Some((status, _)) if !status.success() => Err(GitError::Failed(status, said.last())),
            _ => Ok(String::from_utf8_lossy(&printed).trim_end_matches('\n').to_owned()),
        }
    }

    fn command(&self, call: &Call) -> Command {
        let login = call.remote.as_ref().and_then(|url| Some((self.login(url)?, url)));
        let mut command = Command::new("sh");
        command.args(["-c", LIFELINE, "sh", "git"]);
        for setting in CONFIG {
            command.args(["-c", setting]);
        }
        for (key, value) in login.iter().flat_map(|(login, url)| login.config(url)) {
            command.arg("-c").arg(format!("{key}={value}"));
        }
        match &call.place {
            Place::Nowhere => {}
            Place::Bare(dir) => {
                command.arg("--git-dir").arg(dir);
            }
            Place::Tree(dir) => {
                command.arg("-C").arg(dir);
                command.env("GIT_CEILING_DIRECTORIES", dir.parent().unwrap_or(dir));
            }
            Place::Inside(dir) => {
                command.arg("-C").arg(dir);
            }
        }
        command.args(&call.words);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        let protocols = match &call.remote {
            Some(url) if !url.is_local() => "https:http:ssh:git",
            Some(_) => "https:http:ssh:git:file",
            // Our own clones.
            None => "file",
        };
        command
            .env("GIT_ALLOW_PROTOCOL", protocols)
            .env("GIT_TERMINAL_PROMPT", "0")
            // Messages are read, by people and by us.
            .env("LC_ALL", "C");
        command.envs(call.remote.as_ref().and_then(login::without_questions));
        command.envs(login.iter().flat_map(|(login, url)| login.environment(url)));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, that can be ended as a whole; Ctrl-C reaches us alone.
            .process_group(0);
        command
    }
}

fn end(child: &Child, signal: Signal) {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Where bytes of git's come from.
enum Stream {
    Printed,
    Said,
}

/// Reads both outputs of `child` until they close.
fn listen(child: &mut Child) -> std::io::Result<Receiver<(Stream, Vec<u8>)>> {
    let (sender, receiver) = mpsc::channel();
    let printed = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    let said = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn Read + Send>);
    for (pipe, stream) in
        [(printed, (|| Stream::Printed) as fn() -> Stream), (said, || Stream::Said)]
    {
        let Some(mut pipe) = pipe else { continue };
        let sender = sender.clone();
        std::thread::Builder::new().name("git".into()).spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                if sender.send((stream(), buffer[..n].to_vec())).is_err() {
                    return;
                }
            }
        })?;
    }
    Ok(receiver)
}

/// What git says on its standard error, masked.
struct Said {
    masker: Masker,
    masked: Vec<u8>,
    /// How much of it is in the log.
    written: usize,
}

impl Said {
    fn feed(&mut self, bytes: &[u8]) {
        self.masker.feed(bytes, &mut self.masked);
    }

    fn finish(&mut self) {
        self.masker.finish(&mut self.masked);
    }

    fn write_to(&mut self, log: &mut dyn Write) {
        let _ = log.write_all(&self.masked[self.written..]);
        self.written = self.masked.len();
    }

    /// The last lines.
    fn last(&self) -> String {
        let text = String::from_utf8_lossy(&self.masked);
        let lines: Vec<&str> =
            text.split(['\n', '\r']).map(str::trim_end).filter(|l| !l.is_empty()).collect();
        lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
    }
}
