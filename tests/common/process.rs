//! Starting `mad`, and what came of it.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::Fixture;

/// Only a hang takes this long, on the slowest machine.
const WATCHDOG: Duration = Duration::from_secs(240);

/// A start of `mad` in preparation.
pub struct Mad {
    command: Command,
    capture: PathBuf,
}

impl Mad {
    pub(super) fn new(dir: &Path, args: &[&str]) -> Mad {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mad"));
        command.args(args).current_dir(dir);
        Mad::from_command(dir, command)
    }

    fn from_command(dir: &Path, mut command: Command) -> Mad {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Nothing of the outer test runner, of CI or of the developer gets in.
        command
            .env_clear()
            .envs(["PATH", "HOME", "USER"].iter().filter_map(|v| Some((v, std::env::var_os(v)?))))
            .env("DIR", dir)
            .env("MAD_ROOT", dir.join("catalog"))
            .env("MAD_RUN_DIR", dir.join("mad"))
            .env("MAD_LEASE_DIR", dir.join("leases"))
            .env("MAD_KILL_GRACE", "0.3")
            // As on a machine without a container engine, whatever this one has.
            .env("MAD_CONTAINER_ENGINE", "docker")
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .env("MAD_ACCEPTED_BY", "tester")
            // One run is enough, but for tests of how many it takes.
            .env("MAD_AGREE", "1");
        Mad { command, capture: dir.join(format!("capture-{number}")) }
    }

    /// The same through a shell, whose `"$@"` is the program with its arguments.
    #[must_use]
    pub fn through_shell(self, script: &str) -> Mad {
        let dir = self.command.get_current_dir().expect("a directory").to_owned();
        let mut shell = Command::new("bash");
        shell.args(["-c", script, "bash"]).current_dir(&dir);
        shell.arg(self.command.get_program()).args(self.command.get_args());
        Mad::from_command(&dir, shell)
    }

    /// The program and its arguments.
    pub(super) fn words(&self) -> Vec<String> {
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        words.map(|word| word.to_str().expect("text").to_owned()).collect()
    }

    /// Another program with the same environment, which starts it by its own means.
    #[must_use]
    pub(super) fn through_program(mut self, words: &[&str]) -> Mad {
        let mut program = Command::new(words[0]);
        program.args(&words[1..]).env_clear();
        program.current_dir(self.command.get_current_dir().expect("a directory"));
        for (name, value) in self.command.get_envs() {
            program.env(name, value.expect("a variable that is set"));
        }
        self.command = program;
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Mad {
        self.command.env(name, value);
        self
    }

    #[must_use]
    pub fn env_remove(mut self, name: &str) -> Mad {
        self.command.env_remove(name);
        self
    }

    /// As nextest starts a case; the attempt counts from 1.
    #[must_use]
    pub fn under_nextest(self, attempt: u32) -> Mad {
        self.env("NEXTEST", "1")
            .env("NEXTEST_RUN_ID", "11111111-2222-3333-4444-555555555555")
            .env("NEXTEST_ATTEMPT", attempt.to_string())
    }

    /// Runs it to its end.
    pub fn run(self) -> Ran {
        self.start().wait()
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        let file = |kind: &str| {
            let path = self.capture.with_extension(kind);
            (File::create(&path).expect("a capture file"), path)
        };
        let ((stdout, stdout_path), (stderr, stderr_path)) = (file("out"), file("err"));
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .process_group(0)
            .spawn()
            .expect("mad starts");
        Running { child, stdout_path, stderr_path }
    }
}

/// `mad` at work.
pub struct Running {
    child: Child,
    stdout_path: PathBuf,
    stderr_path: PathBuf,
}

impl Running {
    /// Sends a signal by its name, to `mad` alone.
    pub fn signal(&self, name: &str) {
        send(name, &self.child.id().to_string());
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr_path).expect("captured output")).into()
    }

    /// What it has printed so far.
    pub fn printed(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout_path).expect("captured output")).into()
    }

    /// Waits for its end; a hang fails the test.
    pub fn wait(mut self) -> Ran {
        let deadline = Instant::now() + WATCHDOG;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a status") {
                break status;
            }
            if Instant::now() > deadline {
                panic!("mad hangs\n{}", self.captured(0).said());
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        self.captured(status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)))
    }

    fn captured(&self, status: i32) -> Ran {
        let text = |path| {
            let text = String::from_utf8_lossy(&fs::read(path).expect("captured output")).into();
            let _ = fs::remove_file(path);
            text
        };
        Ran { status, stdout: text(&self.stdout_path), stderr: text(&self.stderr_path) }
    }
}

/// A test that fails leaves nothing running.
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came of a start of `mad`.
#[derive(Debug)]
pub struct Ran {
    /// The exit status; the negative number of a signal.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Fails the test unless the exit status is `expected`.
    #[track_caller]
    pub fn exits(self, expected: i32) -> Ran {
        assert_eq!(self.status, expected, "{}", self.said());
        self
    }

    /// Fails the test unless the output holds all of `texts`.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Ran {
        for text in texts {
            assert!(self.said().contains(text), "{text:?} is missing in:\n{}", self.said());
        }
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}:\n{}", self.said()))
    }

    /// Everything it printed.
    pub fn said(&self) -> String {
        format!(
            "exit status {}\n--- stdout\n{}--- stderr\n{}",
            self.status, self.stdout, self.stderr
        )
    }
}

/// Whether a process has `marker` in its command line.
pub fn alive(marker: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    processes.into_iter().any(|p| {
        let line = fs::read(p.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(marker)
    })
}

/// Waits until `condition` holds; fails the test if it never does.
#[track_caller]
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + WATCHDOG;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Process id of the supervisor of the one script that runs.
pub fn supervisor(fixture: &Fixture) -> String {
    let note = || fs::read_dir(fixture.path("mad/running")).ok()?.flatten().next();
    eventually("the script is noted down", || note().is_some());
    let name = note().expect("a note").file_name();
    name.to_str().expect("a name").trim_end_matches(".json").to_owned()
}

/// Sends a signal to a process by their names.
pub fn send(signal: &str, pid: &str) {
    let sent = Command::new("kill").args(["-s", signal, pid]).status();
    assert!(sent.expect("kill").success());
}
