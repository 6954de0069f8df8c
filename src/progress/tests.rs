use std::time::{Duration, Instant};

use console::measure_text_width;

use super::board::Silence;
use super::clock::{clock, seconds};
use super::last_line::LastLine;
use super::paint::{Count, Shown, begun, ended, goes_on, screen};

fn shown<'a>(name: &'a str, step: &'a str, printed: &str) -> Shown<'a> {
    let printed = printed.to_owned();
    Shown { name, step, elapsed_s: 12.0, expected_s: Some(80.0), printed }
}

fn count(left_s: Option<f64>) -> Count {
    Count { done: 3, total: 8, elapsed_s: 3700.0, left_s }
}

#[test]
fn times_in_words_and_as_a_clock() {
    let words = |s| (seconds(s), clock(s));
    let expected = [
        (0.04, "0.0 s", "0:00"),
        (9.94, "9.9 s", "0:09"),
        (59.6, "1 min 00 s", "0:59"),
        (3599.7, "1 h 00 min", "59:59"),
        (12_060.0, "3 h 21 min", "3:21:00"),
    ];
    for (s, word, short) in expected {
        assert_eq!(words(s), (word.to_owned(), short.to_owned()));
    }
}

#[test]
fn lines_that_stay() {
    let mut long = shown("m", "execution 1 of 3", "Epoch 3/10");
    let lines = [
        begun(&long, true),
        begun(&long, false),
        goes_on(&long),
        ended("m", "passed", 12.0, Some(&count(Some(61.0)))),
        ended("m", "passed", 12.0, Some(&count(Some(59.0)))),
        ended("m", "failed", 12.0, None),
    ];
    long.expected_s = Some(59.0);
    assert_eq!(begun(&long, true), "m: execution 1 of 3", "short ones need no forecast");
    insta::assert_snapshot!(lines.join("\n"), @r"
    m: execution 1 of 3, about 1 min 20 s expected
    m: execution 1 of 3
    m: execution 1 of 3, 12 s of about 1 min 20 s | Epoch 3/10
    m: passed after 12 s (3 of 8 done, about 1 min 01 s left)
    m: passed after 12 s (3 of 8 done)
    m: failed after 12 s
    ");
}

#[test]
fn a_terminal_is_never_too_narrow_or_too_low() {
    let names: Vec<String> = (0..9).map(|n| format!("pyt_日本語_{n}")).collect();
    let printed = "ロス 0.25 ".repeat(30);
    let running: Vec<Shown<'_>> =
        names.iter().map(|name| shown(name, "execution 2 of 3", &printed)).collect();
    insta::assert_snapshot!(screen(&running, None, &count(Some(90.0)), (40, 8), false), @r"
    0:12/1:20  pyt_日本語_0: execution 2 of…
    0:12/1:20  pyt_日本語_1: execution 2 of…
    0:12/1:20  pyt_日本語_2: execution 2 of…
               and 6 more
      1:01:40  3 of 8 done, about 1:30 left
    ");
    for columns in 0..120 {
        for rows in 0..30 {
            for colour in [false, true] {
                let text = screen(&running, None, &count(None), (columns, rows), colour);
                assert!(text.lines().count() <= (rows / 2).max(1) + 1, "{rows} rows: {text}");
                for line in text.lines() {
                    assert!(measure_text_width(line) <= columns.max(1), "{columns}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn colour_only_when_asked() {
    let running = [shown("m", "s", "x")];
    assert!(!screen(&running, None, &count(None), (80, 24), false).contains('\x1b'));
    assert!(screen(&running, None, &count(None), (80, 24), true).contains('\x1b'));
}

#[test]
fn the_last_line_however_it_arrives() {
    let last = |chunks: &[&str]| {
        let mut line = LastLine::default();
        chunks.iter().for_each(|chunk| line.feed(chunk.as_bytes()));
        line.text()
    };
    assert_eq!(last(&["one\ntwo\n"]), "two");
    assert_eq!(last(&["one\ntw", "o\n", "\n"]), "two");
    assert_eq!(last(&["one\n", "two"]), "two");
    assert_eq!(last(&["one", "\n", "two\n\n"]), "two");
    assert_eq!(last(&[" 10%\r 20%\r"]), "20%");
    assert_eq!(last(&["\x1b[31mred\x1b[0m\tand\x07 bell\n"]), "red and  bell");
    assert_eq!(last(&[&"x".repeat(5000)]).len(), 1024);
    assert_eq!(last(&[""]), "");
}

#[test]
fn silence_is_broken_ever_more_seldom() {
    let start = Instant::now();
    let mut silence = Silence::new(start);
    let told = (0..1500).filter(|s| silence.is_over(start + Duration::from_secs(*s)));
    assert_eq!(told.collect::<Vec<_>>(), [60, 180, 420, 720, 1020, 1320]);
}
