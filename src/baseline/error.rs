//! What can be wrong with accepted numbers, where, and what to do.

use std::io;
use std::path::PathBuf;

use super::Key;

/// What can be wrong with accepted numbers, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BaselineError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, `lock`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a baseline file, or a damaged one.
    #[error(
        "{}:{line}:{column}: not a baseline: {message}; restore it from version control, or \
         remove it with `mad baseline rm` and accept again",
        path.display()
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in bytes, from 1; 0 where a line is missing.
        column: usize,
        /// What the parser said.
        message: String,
    },
    /// Written by a later version.
    #[error(
        "{}: written by a newer mad-harness: schema {found}, this one reads up to {}; \
         upgrade mad-harness",
        path.display(),
        super::SCHEMA
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema it names.
        found: String,
    },
    /// The numbers are those of another key than asked for, or than the file's place says.
    #[error(
        "{}: holds the numbers of {inside}, but {expected} was expected here; numbers of \
         different models, machines, GPU counts or precisions are never compared: measure \
         as the baseline did, or remove it with `mad baseline rm` and accept anew",
        path.display()
    )]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// What the file says.
        inside: Box<Key>,
        /// What its place, or the caller, says.
        expected: Box<Key>,
    },
    /// The file's place is not the one of the key inside.
    #[error(
        "{}: holds the numbers of {inside}, which belong into {}; move it there",
        path.display(),
        belongs.display()
    )]
    WrongPlace {
        /// The file.
        path: PathBuf,
        /// What the file says.
        inside: Box<Key>,
        /// Where it belongs.
        belongs: PathBuf,
    },
    /// Well-formed, but it cannot be true.
    #[error("{}: {pointer}: {problem}; correct the file or restore it from version control", path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// JSON pointer of the value.
        pointer: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A run to accept has no usable numbers.
    #[error("run {run} cannot be accepted: {pointer}: {problem}; measure again")]
    Unusable {
        /// The run.
        run: String,
        /// Where in the accepted run.
        pointer: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The run is in the file already.
    #[error(
        "run {run} was accepted already at {at} by {by}; {} is unchanged, nothing to do",
        path.display()
    )]
    AlreadyAccepted {
        /// The file.
        path: PathBuf,
        /// The run.
        run: String,
        /// When it was accepted.
        at: String,
        /// By whom.
        by: String,
    },
    /// A first baseline takes more runs, or runs that agree.
    #[error("a first baseline takes {agree} runs that agree: {objection}; {advice}")]
    Unproven {
        /// Runs that it takes.
        agree: usize,
        /// What speaks against it.
        objection: String,
        /// What to do.
        advice: String,
    },
    /// Somebody must say why.
    #[error(
        "{what}; if that is right, accept it with `--why TEXT`, which is kept with the numbers"
    )]
    WhyMissing {
        /// What would be done without a reason.
        what: String,
    },
    /// A metric is not measured in what it was.
    #[error(
        "{}: metric {key} was accepted as `{was}`, this run measured `{now}`; different \
         units are never compared: rename the metric, or remove the baseline with \
         `mad baseline rm` and accept anew",
        path.display()
    )]
    UnitChanged {
        /// The file.
        path: PathBuf,
        /// Metric key.
        key: String,
        /// The accepted word.
        was: String,
        /// The run's word.
        now: String,
    },
}
