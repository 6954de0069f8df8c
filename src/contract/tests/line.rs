//! The forms of a number in the log.

use proptest::prelude::*;

use super::scan;
use crate::contract::line::{clean, excerpt, huggingface, readings, wrong_case};
use crate::contract::{LogFindings, Rejection};

/// `value metric`, or why there is none.
fn outcome(log: &str) -> String {
    match scan(log) {
        LogFindings { performance: Some(found), .. } if found.value.is_finite() => {
            format!("{} {}", found.text, found.metric)
        }
        LogFindings { performance: Some(found), .. } => format!("not finite: {}", found.text),
        LogFindings { rejected: Some(rejected), .. } => format!("rejected: {}", rejected.why),
        _ => "nothing".to_owned(),
    }
}

#[test]
fn accepts_the_forms_that_madengine_accepts() {
    let table = [
        ("performance: 14164 samples_per_second", "14164 samples_per_second"),
        ("performance: 14164, samples_per_second", "14164 samples_per_second"),
        ("performance: 123/s metric", "123 metric"),
        ("performance: 123/s, metric", "123 metric"),
        ("performance: 123,/s metric", "123 metric"),
        ("performance: 123, /s metric", "123 metric"),
        ("performance: 123 /s metric", "123 metric"),
        ("performance: 123 /s", "123 /s"),
        ("performance: 12 tok/s", "12 tok/s"),
        ("performance: 123   m,extra", "123 m"),
        ("performance:\t12\tm", "12 m"),
        ("performance: 1.5e+3 x", "1.5e+3 x"),
        ("performance: .5 x", ".5 x"),
        ("performance: 5. x", "5. x"),
        ("performance: -3 loss", "-3 loss"),
        ("performance: +5 x", "+5 x"),
        ("performance: 0 x", "0 x"),
        ("my_performance: 4 x", "4 x"),
        ("Eager mode performance: 12.5 ms", "12.5 ms"),
        ("performance: performance: 3 x", "3 x"),
        ("performance: 1 / s m", "1 /"),
        ("performance: 3 x\"", "3 x\""),
        ("performance: 1 a\nperformance: 2 b", "1 a"),
        ("performance: abc\nperformance: 2 b", "2 b"),
        ("performance: 12.5 µs/Token\r\n", "12.5 µs/Token"),
    ];
    for (log, expected) in table {
        assert_eq!(outcome(log), expected, "{log:?}");
    }
}

#[test]
fn refuses_what_madengine_refuses() {
    let not_plain = |word: &str| format!("rejected: \"{word}\" is not a plain number");
    let table = [
        ("performance:123 m", "rejected: no space follows \"performance:\"".into()),
        ("performance: 123", "rejected: no metric follows the value on that line".into()),
        ("performance: 12/s", "rejected: no metric follows the value on that line".into()),
        ("performance: 12,", "rejected: no metric follows the value on that line".into()),
        ("performance: 1,234 tok/s", not_plain("1,234")),
        ("performance: 12abc x", not_plain("12abc")),
        ("performance: 12tok/s", not_plain("12tok/s")),
        ("performance: 0x1F m", not_plain("0x1F")),
        ("performance: 1_000 x", not_plain("1_000")),
        ("performance: $1 x", not_plain("$1")),
        ("performance: nano x", not_plain("nano")),
        ("performance: abc", not_plain("abc")),
        ("performance:abc", not_plain("abc")),
        ("performance: 1e x", not_plain("1e")),
        ("performance: . x", not_plain(".")),
        ("PERFORMANCE: 4 x", "rejected: \"PERFORMANCE:\" has to be \"performance:\"".into()),
        ("Performance: 4 x", "rejected: \"Performance:\" has to be \"performance:\"".into()),
        ("Performance: see the docs", "nothing".into()),
        ("performance is good", "nothing".into()),
    ];
    for (log, expected) in table {
        assert_eq!(outcome(log), expected, "{log:?}");
    }
}

#[test]
fn differs_from_madengine_on_purpose() {
    let table = [
        // A number must not take a word of an unrelated line for its metric …
        ("performance: 123\nnext_line_word", "rejected: no metric follows the value on that line"),
        // … nor an announcement the number of one.
        ("performance:\n 12\n m", "rejected: nothing follows \"performance:\" on that line"),
        // A progress bar redraws its line after `\r`.
        ("performance: 12\rstep 13", "rejected: no metric follows the value on that line"),
        (" 99%|###|\rperformance: 12 x\r100%", "12 x"),
        // A value that is no number is refused by name, also before a good one: it is the
        // first match, and it says that something went wrong.
        ("performance: nan x", "not finite: nan"),
        ("performance: NaN x", "not finite: NaN"),
        ("performance: -inf x", "not finite: -inf"),
        ("performance: Infinity x", "not finite: Infinity"),
        ("performance: nan x\nperformance: 2 x", "not finite: nan"),
        // madengine stores the text; as a number it is infinite.
        ("performance: 1e400 x", "not finite: 1e400"),
        // Colours are for the terminal.
        ("performance: \x1b[1;32m12.5\x1b[0m tok/s\x1b[0m", "12.5 tok/s"),
        ("\x1b[1mperformance\x1b[0m: 12.5 tok/s", "12.5 tok/s"),
        ("performance:\t\x1b[1m12\x1b[0m\tx", "12 x"),
        ("\x1b]0;title\x07performance: 12 x", "12 x"),
    ];
    for (log, expected) in table {
        assert_eq!(outcome(log), expected, "{log:?}");
    }
}

#[test]
fn drops_bytes_that_are_no_text() {
    let found = scan(b"\xff\xfeperformance: 1\xff2 to\xffk/s\n").performance.unwrap();
    assert_eq!((found.text.as_str(), found.metric.as_str()), ("12", "tok/s"));
}

#[test]
fn reads_the_number_of_huggingface() {
    let table = [
        ("{'train_samples_per_second': 4.231, 'x': 1}", Some(4.231)),
        ("  train_samples_per_second   =     12.5", Some(12.5)),
        ("train_samples_per_second=1e3", Some(1000.0)),
        ("\"train_samples_per_second\": \"7\"", Some(7.0)),
        ("train_samples_per_second: -4", None),
        ("train_samples_per_second: nan", None),
        ("train_samples: 4", None),
        // Both are text that madengine takes for a value.
        ("train_samples_per_second: 4.23-", None),
        ("train_samples_per_second: 1e-", None),
        ("train_samples_per_second: 1e-, train_samples_per_second: 2", Some(2.0)),
    ];
    for (log, expected) in table {
        let found = scan(log).huggingface;
        assert_eq!(found.as_ref().map(|f| f.value), expected, "{log:?}");
        assert!(found.is_none_or(|f| f.metric == "samples_per_second"));
    }
    let rejected = scan("train_samples_per_second: 4.23-").rejected.unwrap();
    assert_eq!(rejected.why, Rejection::NotANumber("4.23-".to_owned()));
}

#[test]
fn excerpts_are_short_and_show_the_place() {
    let long = format!("{} performance: 1 x {}", "é".repeat(500), "b".repeat(500));
    let at = long.find("performance").unwrap();
    let quote = excerpt(&long, at);
    assert!(quote.contains("performance: 1 x"), "{quote}");
    assert!(quote.starts_with('…') && quote.ends_with('…'), "{quote}");
    assert!(quote.len() < 260);
    assert_eq!(excerpt("  a\tb\x07 ", 0), "a b");
}

proptest! {
    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..400) {
        let text = clean(&bytes);
        let _ = (excerpt(&text, at), wrong_case(&text));
        let _ = (readings(&text).count(), huggingface(&text).count());
    }

    #[test]
    fn nothing_near_the_grammar_panics(tail in "[ \\t0-9.,/+eEnaif\u{e9}\\x1b\\[m-]{0,24}") {
        let log = format!("x performance:{tail}");
        if let Some(found) = scan(&log).performance {
            prop_assert!(!found.metric.is_empty());
            prop_assert_eq!(found.value.is_finite(), !found.text.contains(['n', 'i']));
        }
    }

    #[test]
    fn every_number_is_read_back(value in -1e12f64..1e12, metric in "[a-zA-Z_/%]{1,12}") {
        let found = scan(format!("performance: {value} {metric}")).performance.unwrap();
        prop_assert_eq!(found.value, value);
        prop_assert_eq!(found.metric, metric);
    }
}
