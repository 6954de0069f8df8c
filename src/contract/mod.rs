//! The output contract: what a script's log and CSV say, as [`Sample`]s.
//!
//! A script reports its number in one of three ways, in this order of precedence:
//!
//! 1. the CSV that its entry names as `multiple_results` ([`read_results_csv`]);
//! 2. a line `performance: <value> <metric>` in its output;
//! 3. the `train_samples_per_second` that HuggingFace's trainer prints.
//!
//! [`LogScanner`] reads the output while it streams, behind a [`Masker`] that takes the
//! secrets out; [`conclude`] weighs what was found against how the process ended. An
//! Execution has numbers or a reason why not, never neither. [`Recorded`] is what another
//! program made of a script's output, where that one ran it.

mod conclude;
mod error_scan;
mod line;
mod mask;
mod nodes;
mod recorded;
mod results;
mod sample;
mod scan;
#[cfg(test)]
mod tests;

pub use conclude::{Conclusion, Evidence, Exit, Failure, FailureKind, conclude, conclude_skipped};
pub use error_scan::ErrorScan;
pub use line::Rejection;
pub(crate) use line::clean;
pub use mask::{Masker, is_secret, secrets};
pub use nodes::{Rule, aggregate};
pub use recorded::{OUT_OF_TIME, Recorded, RecordedRow, read_recorded};
pub use results::{CsvError, Results, RowProblem, read_results_csv};
pub use sample::Sample;
pub use scan::{ErrorHit, LogFindings, LogLine, LogScanner, PerformanceLine, RejectedLine};
