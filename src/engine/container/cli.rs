//! The container engine's own command line, `docker` or `podman`.
//!
//! The command line rather than the API: one code path serves both engines, contexts,
//! credential helpers and builders are the user's own, and a person can repeat what was
//! done by pasting the command from the log.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// Variables that say which engine is meant. They are kept with what runs, so that whoever
/// cleans up later asks the same engine.
pub(super) const MEANING: [&str; 9] = [
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "CONTAINER_HOST",
    "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF",
    "XDG_RUNTIME_DIR",
];

/// How long a question to the engine may take.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How often something is tried that may fail [in passing](is_passing), and the pause between.
pub(super) const TRIES: u32 = 5;
pub(super) const PASSING: Duration = Duration::from_millis(300);

/// Pauses between looks at a child that was asked something.
const PAUSES_MS: [u64; 6] = [1, 2, 3, 5, 8, 13];

/// A container engine, as it was reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cli {
    /// `docker` or `podman`.
    pub program: String,
    /// The variables of [`MEANING`] that were set.
    #[serde(default)]
    environment: BTreeMap<String, String>,
}

/// Why the engine did not answer.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The program could not be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It did not end.
    #[error("{command} did not end within {} s", limit.as_secs())]
    Slow {
        /// The command line.
        command: String,
        /// The time it had.
        limit: Duration,
    },
    /// It ended badly.
    #[error("{command}: {message}")]
    Failed {
        /// The command line.
        command: String,
        /// What it printed, or its exit status.
        message: String,
        /// What it answered all the same.
        stdout: String,
    },
}

impl Cli {
    /// The engine behind `program` in this process's environment.
    pub fn new(program: &str) -> Cli {
        let set = |name: &&str| Some(((*name).to_owned(), std::env::var(name).ok()?));
        Cli { program: program.to_owned(), environment: MEANING.iter().filter_map(set).collect() }
    }

    /// The engine's command with these arguments, to be started by the caller.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args);
        for name in MEANING {
            match self.environment.get(name) {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Asks the engine something and returns its answer, standard output without the last
    /// line break.
    ///
    /// # Errors
    /// When it cannot be started, takes longer than `limit`, or fails; the message is the
    /// engine's own.
    pub(super) fn ask(&self, args: &[&str], limit: Duration) -> Result<String, CliError> {
        let command = || shell_words::join([&[self.program.as_str()], args].concat());
        let start = |source| CliError::Start { program: self.program.clone(), source };
        let mut child = self
            .command(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let Some(status) = wait(&mut child, limit).map_err(start)? else {
            return Err(CliError::Slow { command: command(), limit });
        };
        let text = |t: std::thread::JoinHandle<Vec<u8>>| {
            String::from_utf8_lossy(&t.join().unwrap_or_default()).trim_end().to_owned()
        };
        let (stdout, stderr) = (text(stdout), text(stderr));
        if status.success() {
            return Ok(stdout);
        }
        let message = match stderr.trim() {
            "" => status.to_string(),
            said => said.to_owned(),
        };
        Err(CliError::Failed { command: command(), message, stdout })
    }

    /// Asks about several things, of which some may be gone by now: the answer is about the
    /// others.
    ///
    /// # Errors
    /// As of [`Cli::ask`].
    pub(super) fn ask_about(&self, args: &[&str], limit: Duration) -> Result<String, CliError> {
        for _ in 1..TRIES {
            match self.ask(args, limit) {
                Err(e) if is_passing(&e.to_string()) => std::thread::sleep(PASSING),
                Err(CliError::Failed { stdout, message, .. }) if is_missing(&message) => {
                    return Ok(stdout);
                }
                answer => return answer,
            }
        }
        self.ask(args, limit)
    }
}

/// Whether the engine stumbled over an image that somebody else was just making or removing:
/// Podman has no daemon that would put that in order.
pub(super) fn is_passing(message: &str) -> bool {
    ["locating item named", "layer not known"].iter().any(|words| message.contains(words))
}

fn is_missing(message: &str) -> bool {
    // Not any "no such": a daemon's socket may be no such file.
    let message = message.to_lowercase();
    ["no such container", "no such image", "no such object", "not known"]
        .iter()
        .any(|words| message.contains(words))
}

impl CliError {
    /// Whether the engine says that the thing asked about is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, CliError::Failed { message, .. } if is_missing(message))
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What could be read is better than nothing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Waits for `child`; kills it and returns `None` when it takes longer than `limit`.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    let mut pauses = PAUSES_MS.iter().copied();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(pauses.next().unwrap_or(20)));
    }
}
