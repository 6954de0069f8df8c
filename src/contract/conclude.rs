//! From evidence to numbers, or to the reason why there are none.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error_scan::TRACEBACK;
use super::recorded::{self, Recorded};
use super::results::{CsvError, Results};
use super::sample::Sample;
use super::scan::{ErrorHit, LogFindings, LogLine, PerformanceLine};

/// How the process ended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself, with this status.
    Code(i32),
    /// Killed by this signal, though not by us.
    Signal(i32),
    /// We ended it when its time was up.
    TimedOut {
        /// The time it had, in seconds.
        after_s: f64,
    },
    /// We ended it because the Run was cancelled.
    Cancelled,
    /// Its container was ended by the kernel for want of memory.
    OutOfMemory,
    /// The container engine did not start it.
    NotStarted,
    /// The container engine cannot say how it ended.
    Lost,
    /// The scheduler of a cluster ended it, or never started it.
    Scheduler,
}

/// All that is known after an Execution.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// How the process ended.
    pub exit: Exit,
    /// What it printed.
    pub log: &'a LogFindings,
    /// The CSV, if the entry has `multiple_results`.
    pub results: Option<Result<Results, CsvError>>,
    /// What madengine recorded, if it ran the script.
    pub recorded: Option<&'a Recorded>,
    /// What the scheduler of a cluster says about its end.
    pub scheduler: Option<&'a str>,
}

/// What an Execution amounts to.
#[derive(Clone, Debug, PartialEq)]
pub struct Conclusion {
    /// Its numbers, at least one; or why it has none that count.
    pub outcome: Result<Vec<Sample>, Failure>,
    /// What somebody should look at all the same.
    pub warnings: Vec<String>,
}

/// Why an Execution failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// What happened, where, and what to do about it; one paragraph or a short list.
    pub message: String,
}

/// The sorts of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The script ended with a status other than 0.
    ExitStatus,
    /// The script was killed by a signal.
    Signal,
    /// The script did not end in time.
    Timeout,
    /// The Run was cancelled.
    Cancelled,
    /// The container had too little memory.
    OutOfMemory,
    /// The container engine failed.
    Engine,
    /// The scheduler of a cluster ended it, or never started it.
    Scheduler,
    /// The script ended well but reported no number.
    NoNumber,
    /// What it reported is not a number, or not in the agreed form.
    BadNumber,
    /// The log has a line with one of the user's error patterns.
    ErrorPattern,
}

/// Weighs the evidence.
///
/// Numbers count only if the script ended with status 0. The CSV comes before the log's
/// `performance:` line, that before HuggingFace's number. Lines that look like errors
/// explain a failure; they make one only where the user chose the patterns. Of a script
/// that madengine ran, what it recorded counts instead of the log.
pub fn conclude(evidence: Evidence<'_>) -> Conclusion {
    let mut warnings = Vec::new();
    if let (Some(recorded), Exit::Code(_)) = (evidence.recorded, evidence.exit) {
        let outcome = recorded::numbers(recorded, evidence, &mut warnings);
        return Conclusion { outcome, warnings };
    }
    let Evidence { exit, log, results, scheduler, .. } = evidence;
    let outcome = ended_well(exit, log, scheduler)
        .and_then(|()| numbers(log, results, &mut warnings))
        .and_then(|samples| no_errors(log, &mut warnings).map(|()| samples));
    Conclusion { outcome, warnings }
}

/// Weighs the evidence of an Execution that left the model out: there is nothing to
/// measure, but what did run must have ended well.
pub fn conclude_skipped(evidence: Evidence<'_>) -> Conclusion {
    let outcome = ended_well(evidence.exit, evidence.log, evidence.scheduler).map(|()| Vec::new());
    Conclusion { outcome, warnings: Vec::new() }
}

pub(super) fn fail<T>(kind: FailureKind, message: String) -> Result<T, Failure> {
    Err(Failure { kind, message })
}

fn ended_well(exit: Exit, log: &LogFindings, scheduler: Option<&str>) -> Result<(), Failure> {
    let (kind, what) = match exit {
        Exit::Code(0) => return Ok(()),
        Exit::Code(code) => {
            (FailureKind::ExitStatus, format!("exit status {code}{}", status_hint(code)))
        }
        Exit::Signal(signal) => (FailureKind::Signal, format!("killed by {}", signal_name(signal))),
        Exit::TimedOut { after_s } => {
            (FailureKind::Timeout, format!("not finished after {after_s} s (see --timeout)"))
        }
        Exit::Cancelled => return fail(FailureKind::Cancelled, "cancelled".to_owned()),
        Exit::OutOfMemory => (
            FailureKind::OutOfMemory,
            "out of memory: the kernel ended a process in the container (see --memory in \
             additional_docker_run_options)"
                .to_owned(),
        ),
        Exit::NotStarted => {
            (FailureKind::Engine, "the container engine did not start the container".to_owned())
        }
        Exit::Lost => (FailureKind::Engine, "the container engine lost the container".to_owned()),
        Exit::Scheduler => {
            let said = scheduler.unwrap_or("the scheduler does not say how it ended");
            (FailureKind::Scheduler, said.to_owned())
        }
    };
    fail(kind, format!("{what}; {}", Cause(log)))
}

/// What shells mean by some statuses.
fn status_hint(code: i32) -> String {
    match code {
        126 => " (a command could not be executed)".to_owned(),
        127 => " (a command was not found)".to_owned(),
        129..=159 => format!(" (a command was killed by {})", signal_name(code - 128)),
        _ => String::new(),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL, which is also how the kernel ends what uses too much memory",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return format!("signal {signal}"),
    };
    format!("signal {signal}, {name}")
}

fn numbers(
    log: &LogFindings,
    results: Option<Result<Results, CsvError>>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Sample>, Failure> {
    match results {
        Some(Ok(results)) => {
            warnings.extend(results.warnings);
            Ok(results.samples)
        }
        Some(Err(error)) => no_csv(error, log),
        None => from_log(log, warnings).map(|sample| vec![sample]),
    }
}

fn no_csv<T>(error: CsvError, log: &LogFindings) -> Result<T, Failure> {
    let kind = match error {
        CsvError::Missing { .. } | CsvError::Stale { .. } | CsvError::NoRows { .. } => {
            FailureKind::NoNumber
        }
        _ => FailureKind::BadNumber,
    };
    let mut message = error.to_string();
    if kind == FailureKind::NoNumber {
        message.push_str("; the entry's multiple_results has it read the numbers from there");
        if let Some(found) = &log.performance {
            message.push_str(&format!(
                " (line {} of the log has a performance line, which counts only without \
                 multiple_results)",
                found.line.number
            ));
        }
        message.push_str(&format!("; {}", Cause(log)));
    }
    fail(kind, message)
}

pub(super) fn from_log(log: &LogFindings, warnings: &mut Vec<String>) -> Result<Sample, Failure> {
    let Some(found) = log.performance.as_ref().or(log.huggingface.as_ref()) else {
        return fail(FailureKind::NoNumber, no_line(log));
    };
    if !found.value.is_finite() {
        let message = format!(
            "line {} of the log reports {} {}, which is not a finite number: \"{}\"",
            found.line.number, found.text, found.metric, found.line.text
        );
        return fail(FailureKind::BadNumber, message);
    }
    if let Some(other) = &log.conflicting {
        let say = |p: &PerformanceLine| format!("line {}: {} {}", p.line.number, p.text, p.metric);
        warnings.push(format!(
            "the log reports more than one number ({}; {}); the first one counts",
            say(found),
            say(other)
        ));
    }
    if let Some(rejected) = log.rejected.as_ref().filter(|r| r.why.is_attempt()) {
        warnings.push(format!(
            "line {} of the log reports a number in a form that does not count: \"{}\" ({})",
            rejected.line.number, rejected.line.text, rejected.why
        ));
    }
    Ok(Sample::from_log(&found.metric, found.value, &found.text))
}

fn no_line(log: &LogFindings) -> String {
    let mut message =
        "the script ended with status 0 but printed no \"performance: <value> <metric>\" line"
            .to_owned();
    if let Some(near) = &log.rejected {
        message.push_str(&format!(
            "; line {} of the log comes close: \"{}\" ({})",
            near.line.number, near.line.text, near.why
        ));
    }
    if log.rejected.is_none() || !log.errors.is_empty() {
        message.push_str(&format!("; {}", Cause(log)));
    }
    message
}

/// With everything else in order: lines that look like errors.
fn no_errors(log: &LogFindings, warnings: &mut Vec<String>) -> Result<(), Failure> {
    let Some(hit) = telling(log) else {
        return Ok(());
    };
    let found = format!(
        "line {} of the log matches the error pattern \"{}\": \"{}\"{}",
        hit.line.number,
        hit.pattern,
        hit.line.text,
        Others(log)
    );
    if log.errors_fail {
        let message =
            format!("{found}; a line that is harmless belongs in log_error_benign_patterns");
        return fail(FailureKind::ErrorPattern, message);
    }
    warnings.push(format!("{found}; the run counts, since it ended with status 0 and a number"));
    Ok(())
}

/// The error line that says most: the first, unless it only announces a traceback.
pub(super) fn telling(log: &LogFindings) -> Option<&ErrorHit> {
    let says_more = log.errors.iter().find(|hit| hit.pattern != TRACEBACK);
    says_more.or(log.errors.first())
}

/// How many lines look like errors, beyond the quoted one.
struct Others<'a>(&'a LogFindings);

impl fmt::Display for Others<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.error_count.saturating_sub(1) {
            0 => Ok(()),
            1 => write!(f, " (and 1 more line looks like an error)"),
            more => write!(f, " (and {more} more lines look like errors)"),
        }
    }
}

/// What the log has to say about a failure.
pub(super) struct Cause<'a>(pub(super) &'a LogFindings);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let log = self.0;
        if let Some(ErrorHit { line, .. }) = telling(log) {
            let (number, text) = (line.number, &line.text);
            return write!(f, "line {number} of the log says \"{text}\"{}", Others(log));
        }
        match &log.last_line {
            Some(LogLine { number, text }) => {
                write!(f, "the log ends at line {number} with \"{text}\"")
            }
            None => write!(f, "the log is empty"),
        }
    }
}
