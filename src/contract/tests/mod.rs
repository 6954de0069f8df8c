//! What the contract promises, part by part.

mod conclude;
mod error_scan;
mod line;
mod mask;
mod recorded;
mod results;
mod scan;

use super::{ErrorScan, LogFindings, LogScanner};

/// Scans a whole log with the default patterns.
fn scan(log: impl AsRef<[u8]>) -> LogFindings {
    scan_with(&ErrorScan::default(), log)
}

fn scan_with(errors: &ErrorScan, log: impl AsRef<[u8]>) -> LogFindings {
    let mut scanner = LogScanner::new(errors);
    scanner.feed(log.as_ref());
    scanner.finish()
}
