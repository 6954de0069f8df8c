//! The log as a whole: line numbers, order, bounds, chunks.

use proptest::prelude::*;

use super::{scan, scan_with};
use crate::contract::{ErrorScan, LogFindings, LogScanner};

const WINDOW: usize = 64 << 10;

fn scan_in_chunks(log: &[u8], sizes: &[usize]) -> LogFindings {
    let mut scanner = LogScanner::new(&ErrorScan::default());
    let mut rest = log;
    let mut sizes = sizes.iter().cycle();
    while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
        let (chunk, after) = rest.split_at((*size).min(rest.len()));
        scanner.feed(chunk);
        rest = after;
    }
    scanner.finish()
}

#[test]
fn numbers_lines_as_sed_does() {
    let found = scan("a\r\nb\rc\rperformance: 1 x\r\nRuntimeError: no\n\n  \n");
    assert_eq!(found.performance.unwrap().line.number, 2);
    assert_eq!(found.errors[0].line.number, 3);
    assert_eq!(found.lines, 5);
    let last = found.last_line.unwrap();
    assert_eq!((last.number, last.text.as_str()), (3, "RuntimeError: no"));
}

#[test]
fn counts_an_unfinished_line() {
    for (log, lines) in [("", 0), ("a", 1), ("a\n", 1), ("a\nb", 2), ("\n\n", 2)] {
        let found = scan(log);
        assert_eq!((found.lines, found.bytes), (lines, log.len() as u64), "{log:?}");
    }
}

#[test]
fn names_the_first_line_that_disagrees() {
    let found = scan("performance: 1 x\nperformance: 1.0 x\nperformance: 1 y\nperformance: 2 x\n");
    assert_eq!(found.performance.unwrap().line.number, 1);
    let other = found.conflicting.unwrap();
    assert_eq!((other.line.number, other.metric.as_str()), (3, "y"));

    assert_eq!(scan("performance: nan x\nperformance: nan x").conflicting, None);
    let one_line = scan("performance: 1 x, performance: 2 x");
    assert_eq!(one_line.conflicting.unwrap().value, 2.0);
}

#[test]
fn prefers_an_attempt_to_prose_as_near_miss() {
    let found = scan("performance: see below\nperformance: 1,2 x\nperformance:3 x\n");
    assert_eq!(found.rejected.unwrap().line.number, 2);
}

#[test]
fn keeps_twenty_errors_and_counts_all() {
    let found = scan("RuntimeError: a ValueError: b\n".repeat(50));
    assert_eq!((found.errors.len(), found.error_count), (20, 50));
    assert_eq!(found.errors[19].line.number, 20);
}

#[test]
fn a_pattern_that_contains_the_mark_hides_no_number() {
    let errors = ErrorScan {
        patterns: vec!["performance: 1".to_owned(), "e".to_owned()],
        ..ErrorScan::default()
    };
    let found = scan_with(&errors, "performance: 1 x\nperformance: 2 x\n");
    assert_eq!(found.performance.unwrap().value, 1.0);
    assert_eq!(found.conflicting.unwrap().value, 2.0);
    assert_eq!(found.error_count, 2);
}

#[test]
fn looks_into_a_line_of_any_length() {
    let filler = " lorem ipsum".repeat(40_000);
    let log = format!(
        "{filler} performance: 12 tok/s {filler} RuntimeError: x {filler} RuntimeError: y\n\
         performance: 13 x\n"
    );
    for sizes in [&[log.len()][..], &[1 << 16], &[4096, 70_000, 1], &[333]] {
        let found = scan_in_chunks(log.as_bytes(), sizes);
        let first = found.performance.unwrap();
        assert_eq!((first.value, first.metric.as_str(), first.line.number), (12.0, "tok/s", 1));
        assert!(first.line.text.contains("performance: 12 tok/s"));
        assert_eq!(found.conflicting.unwrap().line.number, 2);
        assert_eq!((found.error_count, found.errors[0].line.number), (1, 1));
        assert_eq!((found.rejected, found.lines), (None, 2));
    }
}

#[test]
fn finds_a_number_wherever_windows_meet() {
    let number = "performance: 123456789 tokens_per_second";
    for around in [WINDOW / 2, WINDOW / 4 * 3, WINDOW, WINDOW / 2 * 3] {
        for start in around - 50..around + 10 {
            let mut line = vec![b' '; start];
            line.extend_from_slice(number.as_bytes());
            line.resize(3 * WINDOW, b' ');
            let found = scan(&line);
            let reading = found.performance.unwrap();
            assert_eq!(reading.text, "123456789");
            assert_eq!(reading.metric, "tokens_per_second");
            assert_eq!((found.conflicting, found.rejected), (None, None));
        }
    }
}

#[test]
fn memory_is_bounded_without_line_ends() {
    let mut scanner = LogScanner::new(&ErrorScan::default());
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        scanner.feed(&chunk);
        assert!(scanner.carried() <= 1 << 19);
    }
    let found = scanner.finish();
    assert_eq!((found.lines, found.bytes), (1, 64 << 20));
}

/// Pieces of a log, among them everything that is looked for and all line ends.
fn log() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"performance: 12 tok/s".to_vec()),
        Just(b"performance: 13".to_vec()),
        Just(b"performance: nan x ".to_vec()),
        Just(b"Performance: 3 x".to_vec()),
        Just(b"performance:4 x ".to_vec()),
        Just(b"\x1b[31m".to_vec()),
        Just(b"RuntimeError: x".to_vec()),
        Just(b"FutureWarning".to_vec()),
        Just(b"grep -q ".to_vec()),
        Just(b"train_samples_per_second = 3 ".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
        "[ -~]{0,40}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// To compare findings of which a value may be NaN.
fn shown(findings: &LogFindings) -> String {
    format!("{findings:#?}")
}

proptest! {
    #[test]
    fn chunks_do_not_matter(log in log(), sizes in prop::collection::vec(1usize..60, 1..8)) {
        prop_assert_eq!(shown(&scan_in_chunks(&log, &sizes)), shown(&scan(&log)));
    }

}

proptest! {
    // Each case is a long log.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn chunks_do_not_matter_for_long_lines(
        log in log(),
        filler in 0usize..200_000,
        sizes in prop::collection::vec(1usize..150_000, 1..4),
    ) {
        let mut long = vec![b'.'; filler];
        long.extend_from_slice(&log);
        long.resize(long.len() + filler / 2, b' ');
        long.extend_from_slice(&log);
        prop_assert_eq!(shown(&scan_in_chunks(&long, &sizes)), shown(&scan(&long)));
    }
}
