//! Catalogs that are Python programs, `scripts/<dir>/get_models_json.py`.
//!
//! They import `CustomModel` from `madengine.utils.discover_models` and define
//! `list_models()`. madengine imports them into itself; here each runs in a `python3` of
//! its own, in which `program.py` provides that module. What it may do is limited in time
//! and in what it says, not in what it does: it is a program like the scripts.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::load::{dir_of, full_name};
use super::{CONFIG_FILE, CatalogConfig, PYTHON_VARIABLE};
use crate::contract::{Masker, secrets};
use crate::credentials::Credentials;
use crate::diagnostic::{Diagnostic, Place};

/// What makes a program a list of entries.
const SHIM: &str = include_str!("program.py");
/// More than that is no list of entries.
const MAX_DOCUMENT_BYTES: usize = 32 << 20;
/// So much of what a program prints is passed on, the end of it.
const MAX_PRINTED_BYTES: usize = 64 << 10;

/// What came of one program.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Line that made the entry, and the entry as JSON in one line.
    pub(super) entries: Vec<(usize, String)>,
    pub(super) problems: Vec<Diagnostic>,
}

impl From<Diagnostic> for Answer {
    fn from(problem: Diagnostic) -> Self {
        Answer { entries: Vec::new(), problems: vec![problem] }
    }
}

/// Runs the program `file`, a path relative to `root`.
pub(super) fn run(root: &Path, config: &CatalogConfig, file: &Path) -> Answer {
    if !config.python {
        let help = format!(
            "write its entries to a models.json, or set `python = true` in `[catalog]` and \
             {PYTHON_VARIABLE} to nothing"
        );
        let why = format!("{CONFIG_FILE} or {PYTHON_VARIABLE} does not let it run");
        return not_run(file, &why).help(help).into();
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(answer(root, file, config.python_timeout)),
        Err(e) => failed(file, &Failure::Io(e)).into(),
    }
}

fn not_run(file: &Path, why: &str) -> Diagnostic {
    let message =
        format!("this catalog is a Python program, and its entries are not listed: {why}");
    Diagnostic::warning("MAD004", Place::file(file), message)
}

fn failed(file: &Path, failure: &Failure) -> Diagnostic {
    let diagnostic = Diagnostic::error("MAD006", Place::file(file), failure.to_string());
    match failure {
        Failure::TimedOut(_) => diagnostic.help(format!(
            "let it do less, or raise `python_timeout` in the table `[catalog]` of {CONFIG_FILE}"
        )),
        _ => diagnostic,
    }
}

/// Why there is no document.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("python3 does not start: {0}")]
    NotStarted(io::Error),
    #[error("the program, or something that it started, did not end within {0} s")]
    TimedOut(f64),
    #[error("the entries of the program take more than {} MiB", MAX_DOCUMENT_BYTES >> 20)]
    TooMuch,
    #[error("python3 ended before the entries were listed ({how}){}", quoted(.last_line))]
    Died { how: ExitStatus, last_line: String },
    #[error("cannot watch the program: {0}")]
    Io(#[from] io::Error),
}

fn quoted(line: &str) -> String {
    if line.is_empty() { String::new() } else { format!(": {line}") }
}

/// What `program.py` prints.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    entries: Vec<Listed<'a>>,
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
struct Listed<'a> {
    line: usize,
    #[serde(borrow)]
    entry: &'a RawValue,
}

#[derive(Deserialize)]
struct Problem {
    kind: Kind,
    message: String,
    line: usize,
    column: usize,
    entry: Option<String>,
    trace: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Syntax,
    Exception,
    Contract,
    Identity,
    Value,
}

impl Kind {
    fn rule(self) -> &'static str {
        match self {
            Kind::Syntax | Kind::Exception | Kind::Contract => "MAD006",
            Kind::Identity => "MAD008",
            Kind::Value => "MAD003",
        }
    }

    fn help(self) -> Option<&'static str> {
        match self {
            Kind::Syntax | Kind::Value => None,
            Kind::Exception => Some("`mad discover -v` shows the whole traceback"),
            Kind::Contract => Some(
                "define `list_models()`; it returns a list of \
                 `madengine.utils.discover_models.CustomModel`",
            ),
            Kind::Identity => {
                Some("set it where the entry is made: it has selected the entry by then")
            }
        }
    }
}

impl Problem {
    fn diagnostic(self, file: &Path, dir: &str, masker: &Masker) -> Diagnostic {
        let Problem { kind, line, column, .. } = self;
        let place = Place { line, column, ..Place::file(file) };
        let message = masker.mask_str(&self.message).into_owned();
        for line in masker.mask_str(&self.trace).lines() {
            tracing::info!("{}: {line}", file.display());
        }
        let mut diagnostic = Diagnostic::error(kind.rule(), place, message);
        diagnostic.model = self.entry.map(|name| full_name(Some(dir), &name));
        diagnostic.help = kind.help().map(str::to_owned);
        diagnostic
    }
}

async fn answer(root: &Path, file: &Path, seconds: f64) -> Answer {
    // Who needs the logins says what is wrong with their file.
    let logins = Credentials::load(root).unwrap_or_default();
    let logins = logins.secrets().map(str::to_owned);
    let masker = Masker::new(secrets(&BTreeMap::new()).into_iter().chain(logins));
    let mut printed = Printed::default();
    let ended = watch(root, file, seconds, &mut printed).await;
    let printed = masker.mask_str(&printed.text()).into_owned();
    // A program that lists less than it could says so in this way only.
    for line in printed.lines() {
        tracing::warn!("{}: {line}", file.display());
    }
    let (status, document) = match ended {
        Ok(ended) => ended,
        Err(Failure::NotStarted(e)) => {
            let why = Failure::NotStarted(e).to_string();
            let help = "install Python 3.7 or later, so that `python3` is in PATH";
            return not_run(file, &why).help(help).into();
        }
        Err(failure) => return failed(file, &failure).into(),
    };
    let Ok(document) = serde_json::from_slice::<Document<'_>>(&document) else {
        let last_line = printed.trim_end().lines().next_back().unwrap_or_default().to_owned();
        return failed(file, &Failure::Died { how: status, last_line }).into();
    };
    let dir = dir_of(file).unwrap_or_default();
    let problems = document.problems.into_iter().map(|p| p.diagnostic(file, dir, &masker));
    let entries = document.entries.into_iter().map(|e| (e.line, e.entry.get().to_owned()));
    Answer { problems: problems.collect(), entries: entries.collect() }
}

/// Runs one program to its end: how it ended, and its document.
async fn watch(
    root: &Path,
    file: &Path,
    seconds: f64,
    printed: &mut Printed,
) -> Result<(ExitStatus, Vec<u8>), Failure> {
    let mut child = Command::new("python3")
        // The catalog is not ours to write compiled files into.
        .args(["-B", "-c", SHIM])
        .arg(file)
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(Failure::NotStarted)?;
    // The program ends when this closes, however we end. `Child::wait` would close it.
    let lifeline = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let work = async {
        let ended = async {
            let status = child.wait().await?;
            end(group);
            Ok(status)
        };
        let (status, document, ()) = tokio::try_join!(ended, whole(stdout), printed.read(stderr))?;
        Ok((status, document))
    };
    let result = if seconds > 0.0 {
        let limit = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let timed_out = |_| Failure::TimedOut(seconds);
        tokio::time::timeout(limit, work).await.map_err(timed_out).and_then(|ended| ended)
    } else {
        work.await
    };
    // Without an id it was waited for, and its group ended.
    if child.id().is_some() {
        end(group);
    }
    drop(lifeline);
    result
}

/// Ends what is left of the program and of what it started.
fn end(group: Option<Pid>) {
    if let Some(group) = group {
        // An error means that nothing is left.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Everything that comes, if it is not too much.
async fn whole(pipe: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() > MAX_DOCUMENT_BYTES { Err(Failure::TooMuch) } else { Ok(bytes) }
}

/// The end of what a program printed.
#[derive(Default)]
struct Printed {
    bytes: Vec<u8>,
    cut: bool,
}

impl Printed {
    async fn read(&mut self, pipe: Option<impl AsyncRead + Unpin>) -> Result<(), Failure> {
        let Some(mut pipe) = pipe else { return Ok(()) };
        let mut chunk = vec![0; 16 << 10];
        loop {
            let n = pipe.read(&mut chunk).await?;
            self.bytes.extend_from_slice(&chunk[..n]);
            if n == 0 {
                return Ok(());
            }
            let excess = self.bytes.len().saturating_sub(MAX_PRINTED_BYTES);
            if excess > 0 {
                self.bytes.drain(..excess);
                self.cut = true;
            }
        }
    }

    fn text(&self) -> String {
        let beginning = if self.cut { "(the beginning is left out)\n…" } else { "" };
        format!("{beginning}{}", String::from_utf8_lossy(&self.bytes))
    }
}
