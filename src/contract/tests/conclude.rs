//! What evidence amounts to, in the words that people read.

use std::path::PathBuf;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{scan, scan_with};
use crate::contract::{
    CsvError, ErrorScan, Evidence, Exit, LogFindings, Results, Sample, conclude,
};

const OK: Exit = Exit::Code(0);

/// The conclusion as text: numbers or failure, then the warnings.
fn told(exit: Exit, log: &LogFindings, results: Option<Result<Results, CsvError>>) -> String {
    told_of(Evidence { exit, log, results, recorded: None, scheduler: None })
}

/// The conclusion from `evidence` as text.
pub(super) fn told_of(evidence: Evidence<'_>) -> String {
    let conclusion = conclude(evidence);
    let mut text = match conclusion.outcome {
        Ok(samples) => samples
            .iter()
            .map(|sample| format!("{} {}", sample.text, sample.key()))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(failure) => format!("{:?}: {}", failure.kind, failure.message),
    };
    for warning in conclusion.warnings {
        text.push_str(&format!("\nwarning: {warning}"));
    }
    text
}

fn of_log(exit: Exit, log: &str) -> String {
    told(exit, &scan(log), None)
}

fn csv() -> Results {
    let sample = Sample { row: Some("fp16".to_owned()), ..Sample::from_log("tok/s", 12.5, "12.5") };
    Results { samples: vec![sample], warnings: vec!["something odd".to_owned()] }
}

fn path() -> PathBuf {
    PathBuf::from("perf.csv")
}

#[test]
fn a_number_is_a_number() {
    assert_eq!(of_log(OK, "performance: 12.5 tok/s\n"), "12.5 tok/s");
    assert_eq!(of_log(OK, "performance: 0 x\n"), "0 x");
    assert_eq!(of_log(OK, "performance: see below\nperformance: 1 x\n"), "1 x");
    assert_eq!(of_log(OK, "train_samples_per_second = 3\n"), "3 samples_per_second");
    assert_eq!(of_log(OK, "train_samples_per_second = 3\nperformance: 2 x\n"), "2 x");
}

#[test]
fn oddities_are_told() {
    assert_snapshot!(of_log(OK, "a\nperformance: 1 x\nb\nperformance: 2 x\n"), @r#"
1 x
warning: the log reports more than one number (line 2: 1 x; line 4: 2 x); the first one counts
"#);
    assert_snapshot!(of_log(OK, "performance: 1,234 x\nperformance: 2 x\n"), @r#"
2 x
warning: line 1 of the log reports a number in a form that does not count: "performance: 1,234 x" ("1,234" is not a plain number)
"#);
    assert_snapshot!(of_log(OK, "3 passed, 0 FAILED\nperformance: 2 x\n"), @r#"
2 x
warning: line 1 of the log matches the error pattern "FAILED": "3 passed, 0 FAILED"; the run counts, since it ended with status 0 and a number
"#);
    assert_snapshot!(
        of_log(OK, "ValueError: retried\nperformance: 2 x\nFAILED: 0\nFAILED: 0\n"),
        @r#"
2 x
warning: line 1 of the log matches the error pattern "ValueError:": "ValueError: retried" (and 2 more lines look like errors); the run counts, since it ended with status 0 and a number
"#
    );
}

#[test]
fn an_end_that_is_not_well_is_explained() {
    let oom = "start\nTraceback (most recent call last):\n  File \"x\"\n\
               torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB\n";
    assert_snapshot!(of_log(Exit::Code(1), oom), @r#"ExitStatus: exit status 1; line 4 of the log says "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB" (and 1 more line looks like an error)"#);
    assert_snapshot!(of_log(Exit::Code(1), ""), @r#"ExitStatus: exit status 1; the log is empty"#);
    assert_snapshot!(of_log(Exit::Code(127), "run.sh: line 3: vllm: command not found\n"), @r#"ExitStatus: exit status 127 (a command was not found); the log ends at line 1 with "run.sh: line 3: vllm: command not found""#);
    assert_snapshot!(of_log(Exit::Code(137), "loading\n"), @r#"ExitStatus: exit status 137 (a command was killed by signal 9, SIGKILL, which is also how the kernel ends what uses too much memory); the log ends at line 1 with "loading""#);
    assert_snapshot!(of_log(Exit::Signal(11), "loading\n"), @r#"Signal: killed by signal 11, SIGSEGV; the log ends at line 1 with "loading""#);
    assert_snapshot!(of_log(Exit::Signal(42), "loading\n"), @r#"Signal: killed by signal 42; the log ends at line 1 with "loading""#);
    assert_snapshot!(of_log(Exit::TimedOut { after_s: 7200.0 }, "step 1\rstep 2\n\n"), @r#"Timeout: not finished after 7200 s (see --timeout); the log ends at line 1 with "step 2""#);
    assert_snapshot!(of_log(Exit::Cancelled, "step 1\n"), @r#"Cancelled: cancelled"#);
    // A number does not save a script that failed, nor one that was ended.
    assert_snapshot!(of_log(Exit::Code(2), "performance: 2 x\n"), @r#"ExitStatus: exit status 2; the log ends at line 1 with "performance: 2 x""#);
}

#[test]
fn a_missing_number_is_explained() {
    assert_snapshot!(of_log(OK, ""), @r#"NoNumber: the script ended with status 0 but printed no "performance: <value> <metric>" line; the log is empty"#);
    assert_snapshot!(of_log(OK, "throughput 12\n"), @r#"NoNumber: the script ended with status 0 but printed no "performance: <value> <metric>" line; the log ends at line 1 with "throughput 12""#);
    assert_snapshot!(of_log(OK, "performance:12 x\nbye\n"), @r#"NoNumber: the script ended with status 0 but printed no "performance: <value> <metric>" line; line 1 of the log comes close: "performance:12 x" (no space follows "performance:")"#);
    assert_snapshot!(of_log(OK, "PERFORMANCE: 4 x\n"), @r#"NoNumber: the script ended with status 0 but printed no "performance: <value> <metric>" line; line 1 of the log comes close: "PERFORMANCE: 4 x" ("PERFORMANCE:" has to be "performance:")"#);
    assert_snapshot!(of_log(OK, "ImportError: no flash_attn\nbye\n"), @r#"NoNumber: the script ended with status 0 but printed no "performance: <value> <metric>" line; line 1 of the log says "ImportError: no flash_attn""#);
}

#[test]
fn a_number_that_is_none_is_quoted() {
    assert_snapshot!(of_log(OK, "a\nloss performance: nan tok/s\nperformance: 1 x\n"), @r#"BadNumber: line 2 of the log reports nan tok/s, which is not a finite number: "loss performance: nan tok/s""#);
    assert_snapshot!(of_log(OK, "performance: 1e400 x\n"), @r#"BadNumber: line 1 of the log reports 1e400 x, which is not a finite number: "performance: 1e400 x""#);
    // Later, it is a number that disagrees.
    assert_snapshot!(of_log(OK, "performance: 1 x\nperformance: nan x\n"), @r#"
1 x
warning: the log reports more than one number (line 1: 1 x; line 2: nan x); the first one counts
"#);
}

#[test]
fn the_users_own_patterns_fail_a_run() {
    let errors = ErrorScan {
        patterns: vec!["loss diverged".to_owned()],
        explicit: true,
        ..ErrorScan::default()
    };
    let log = scan_with(&errors, "performance: 2 x\nloss diverged at 7\n");
    assert_snapshot!(told(OK, &log, None), @r#"ErrorPattern: line 2 of the log matches the error pattern "loss diverged": "loss diverged at 7"; a line that is harmless belongs in log_error_benign_patterns"#);
    assert_snapshot!(told(OK, &log, Some(Ok(csv()))), @r#"
ErrorPattern: line 2 of the log matches the error pattern "loss diverged": "loss diverged at 7"; a line that is harmless belongs in log_error_benign_patterns
warning: something odd
"#);
    let log = scan_with(&errors, "performance: 2 x\nFAILED\n");
    assert_eq!(told(OK, &log, None), "2 x");
}

#[test]
fn the_csv_comes_before_the_log() {
    let log = scan("performance: 2 x\nperformance: nan x\n");
    assert_snapshot!(told(OK, &log, Some(Ok(csv()))), @r#"
12.5 fp16/tok/s
warning: something odd
"#);
    let missing = CsvError::Missing { path: path() };
    assert_snapshot!(told(OK, &log, Some(Err(missing))), @r#"NoNumber: the script wrote no perf.csv; the entry's multiple_results has it read the numbers from there (line 1 of the log has a performance line, which counts only without multiple_results); the log ends at line 2 with "performance: nan x""#);
    let stale = CsvError::Stale { path: path() };
    assert_snapshot!(told(OK, &scan("bye\n"), Some(Err(stale))), @r#"NoNumber: perf.csv is left over from an earlier run; the script did not write it; the entry's multiple_results has it read the numbers from there; the log ends at line 1 with "bye""#);
    let header = CsvError::Header { path: path(), problem: "it has no header line".to_owned() };
    assert_snapshot!(told(OK, &log, Some(Err(header))), @r#"BadNumber: perf.csv: it has no header line"#);
    let missing = CsvError::Missing { path: path() };
    assert_snapshot!(told(Exit::Code(1), &scan("bye\n"), Some(Err(missing))), @r#"ExitStatus: exit status 1; the log ends at line 1 with "bye""#);
}

proptest! {
    #[test]
    fn there_are_numbers_or_a_reason(
        log in "((performance:|nan|inf|1e400|-?[0-9]{1,3}|tok/s|FAILED)[ \n]){0,12}",
        code in 0..3i32,
    ) {
        let log = scan(log);
        let evidence = Evidence { exit: Exit::Code(code), log: &log, results: None, recorded: None, scheduler: None };
        match conclude(evidence).outcome {
            Ok(samples) => {
                prop_assert_eq!((code, samples.len()), (0, 1));
                prop_assert!(samples[0].value.is_finite());
            }
            Err(failure) => prop_assert!(!failure.message.is_empty()),
        }
    }
}
