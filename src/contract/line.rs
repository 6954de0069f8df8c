//! The grammar of one log line.
//!
//! The forms are madengine's; what differs is on purpose: a match never runs into the
//! next line, colour codes are not part of a number, and `nan` and `inf` are read (to be
//! refused by name) rather than passed over.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use memchr::memmem;
use regex::Regex;

/// What announces a number.
pub(super) const MARK: &str = "performance:";
/// What HuggingFace's trainer prints before its number.
pub(super) const HUGGINGFACE_MARK: &str = "train_samples_per_second";
/// The metric of a HuggingFace number.
pub(super) const HUGGINGFACE_METRIC: &str = "samples_per_second";

/// Longest excerpt of a line that is kept or quoted, in bytes.
const QUOTE_MAX: usize = 240;
/// How much of an excerpt precedes what it is about.
const QUOTE_LEAD: usize = 60;

static GRAMMAR: LazyLock<Regex> = LazyLock::new(|| {
    let number = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?";
    let value = format!(r"[+-]?(?:{number}|(?i:nan|infinity|inf))");
    let unit = r",?\s*/[A-Za-z]+\s*,?|,";
    regex(&format!(r"^{MARK}\s+({value})(?:{unit})?\s+([^\s,]+)"))
});

static HUGGINGFACE: LazyLock<Regex> =
    LazyLock::new(|| regex(&format!(r#"{HUGGINGFACE_MARK}['"\s:=]+([0-9][0-9.eE+-]*)"#)));

static WRONG_CASE: LazyLock<Regex> = LazyLock::new(|| regex(&format!("(?i){MARK}")));

/// CSI and OSC sequences, then any other escape.
static ANSI: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])")
});

/// Compiles one of the constant expressions of this module's siblings.
pub(super) fn regex(expression: &str) -> Regex {
    Regex::new(expression).expect("a constant expression is well-formed")
}

/// A number and its unit word, as found in a line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reading {
    /// Not finite when the script printed `nan`, `inf` or something like `1e400`.
    pub(super) value: f64,
    pub(super) text: String,
    pub(super) metric: String,
}

/// Why a line that announces a number gives none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// `performance:12 x`
    NoSpace,
    /// `performance:` and nothing after it.
    NoValue,
    /// `performance: 12`
    NoMetric,
    /// `performance: 1,234 x`; holds the word in the number's place.
    NotANumber(String),
    /// `Performance: 12 x`; holds the word as written.
    WrongCase(String),
}

impl Rejection {
    /// Whether the line meant to report a number, rather than being prose for people that
    /// happens to contain the word.
    pub(super) fn is_attempt(&self) -> bool {
        match self {
            Self::NoSpace | Self::NoMetric => true,
            Self::NoValue | Self::WrongCase(_) => false,
            Self::NotANumber(word) => word
                .trim_start_matches(['+', '-', '.', '$', '~'])
                .starts_with(|first: char| first.is_ascii_digit()),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => write!(f, "no space follows \"{MARK}\""),
            Self::NoValue => write!(f, "nothing follows \"{MARK}\" on that line"),
            Self::NoMetric => write!(f, "no metric follows the value on that line"),
            Self::NotANumber(word) => {
                write!(f, "\"{}\" is not a plain number", excerpt(word, 0))
            }
            Self::WrongCase(word) => write!(f, "\"{word}\" has to be \"{MARK}\""),
        }
    }
}

/// The text of a line: bytes that are not UTF-8 dropped, escape sequences stripped.
pub(crate) fn clean(line: &[u8]) -> Cow<'_, str> {
    let text = match str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => line.utf8_chunks().map(|chunk| chunk.valid()).collect(),
    };
    if !text.contains('\x1b') {
        return text;
    }
    Cow::Owned(ANSI.replace_all(&text, "").into_owned())
}

/// Each place of a line that announces a number, and what stands there.
pub(super) fn readings(
    text: &str,
) -> impl Iterator<Item = (usize, Result<Reading, Rejection>)> + '_ {
    memmem::find_iter(text.as_bytes(), MARK).map(|at| (at, read(&text[at..])))
}

/// `text` starts with [`MARK`].
fn read(text: &str) -> Result<Reading, Rejection> {
    let Some(found) = GRAMMAR.captures(text) else {
        return Err(why(&text[MARK.len()..]));
    };
    let value = &found[1];
    Ok(Reading {
        // The grammar is a subset of what parses.
        value: value.parse().unwrap_or(f64::NAN),
        text: value.to_owned(),
        metric: found[2].to_owned(),
    })
}

/// `rest` is what follows a [`MARK`] where the grammar does not match.
fn why(rest: &str) -> Rejection {
    let Some(word) = rest.split_whitespace().next() else {
        return Rejection::NoValue;
    };
    if GRAMMAR.is_match(&format!("{MARK} {rest}")) {
        Rejection::NoSpace
    } else if GRAMMAR.is_match(&format!("{MARK}{rest} x")) {
        Rejection::NoMetric
    } else {
        Rejection::NotANumber(word.to_owned())
    }
}

/// A number that only the case of its announcement spoils.
pub(super) fn wrong_case(text: &str) -> Option<(usize, Rejection)> {
    let mut found = WRONG_CASE.find_iter(text).filter(|found| {
        let corrected = || format!("{MARK}{}", &text[found.end()..]);
        found.as_str() != MARK && GRAMMAR.is_match(&corrected())
    });
    let found = found.next()?;
    Some((found.start(), Rejection::WrongCase(found.as_str().into())))
}

/// The numbers of HuggingFace's trainer in a line. madengine takes any text that starts
/// with a digit; here it has to be a finite number.
pub(super) fn huggingface(
    text: &str,
) -> impl Iterator<Item = (usize, Result<Reading, Rejection>)> + '_ {
    HUGGINGFACE.captures_iter(text).map(|found| {
        let number = found[1].to_owned();
        let reading = match number.parse::<f64>() {
            Ok(value) if value.is_finite() => {
                Ok(Reading { value, text: number, metric: HUGGINGFACE_METRIC.to_owned() })
            }
            _ => Err(Rejection::NotANumber(number)),
        };
        (found.get_match().start(), reading)
    })
}

/// A line fit to be quoted: no control characters, and of a long one the part around
/// byte `at`.
pub(super) fn excerpt(line: &str, at: usize) -> String {
    let (mut start, mut end) = (0, line.len());
    if line.len() > QUOTE_MAX {
        if at + QUOTE_LEAD > QUOTE_MAX {
            start = line.floor_char_boundary(at.saturating_sub(QUOTE_LEAD));
        }
        end = line.floor_char_boundary(start + QUOTE_MAX);
    }
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let part: String = line[start..end].chars().map(plain).collect();
    let (before, after) =
        (if start > 0 { "…" } else { "" }, if end < line.len() { "…" } else { "" });
    format!("{before}{}{after}", part.trim())
}
