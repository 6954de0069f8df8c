//! Which log lines look like errors.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;
use serde_json::{Map, Value};

use super::line::regex;

const SCAN: &str = "log_error_pattern_scan";
const PATTERNS: &str = "log_error_patterns";
const BENIGN: &str = "log_error_benign_patterns";

const DEFAULT_PATTERNS: [&str; 13] = [
    "OutOfMemoryError",
    "HIP out of memory",
    "CUDA out of memory",
    "RuntimeError:",
    "AssertionError:",
    "ValueError:",
    "SystemExit",
    "failed (exitcode:",
    TRACEBACK,
    "FAILED",
    "Exception:",
    "ImportError:",
    "ModuleNotFoundError:",
];

/// The head of a Python traceback: an error, but not yet what the error is.
pub(super) const TRACEBACK: &str = "Traceback (most recent call last)";

/// A line with one of these is noise of the profilers and metric exporters.
const DEFAULT_BENIGN: [&str; 8] = [
    "Failed to establish connection to the metrics exporter agent",
    "RpcError: Running out of retries to initialize the metrics agent",
    "Metrics will not be exported",
    "FutureWarning",
    "Opened result file:",
    "SQLite3 generation ::",
    "rocpd_op:",
    "rpd_tracer:",
];

/// rocprofv3's own log lines.
static BENIGN_FORMS: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^E[0-9]{8}.*(?:generateRocpd|tool)\.cpp|^W[0-9]{8}.*(?:simple_timer|generateRocpd)\.cpp|\[rocprofv3\]",
    )
});

/// What a scanner's echo of a pattern starts with: the pattern after it is not an error.
const ECHOES: [&str; 2] = ["grep -q", "Found error pattern"];

/// The error patterns of one entry. All of them are literal and case-sensitive.
///
/// A hit explains a failure; on its own it fails a run only where somebody wrote the
/// patterns down ([`ErrorScan::explicit`]). The default patterns are too broad for that:
/// `0 FAILED` and `ValueError: retried` are lines of good runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorScan {
    /// Whether the log is searched for errors at all.
    pub enabled: bool,
    /// What an error looks like.
    pub patterns: Vec<String>,
    /// Whether the patterns are the user's own, so that a hit fails the run.
    pub explicit: bool,
    /// Lines with one of these are no errors, in addition to the built-in ones.
    pub benign: Vec<String>,
}

impl Default for ErrorScan {
    fn default() -> Self {
        Self {
            enabled: true,
            patterns: DEFAULT_PATTERNS.map(str::to_owned).to_vec(),
            explicit: false,
            benign: Vec::new(),
        }
    }
}

impl ErrorScan {
    /// Reads the three `log_error_*` keys of an entry and of the additional context.
    ///
    /// The context wins for the switch and the patterns; benign lists add up. A value of
    /// the wrong type leaves the default in place and is named in the warnings; `null` is
    /// the same as no value.
    pub fn resolve(
        entry: &Map<String, Value>,
        context: &Map<String, Value>,
    ) -> (Self, Vec<String>) {
        let set = |source: &'static str, map, key| set_value(map, key).map(|v| (source, v));
        let first = |key| {
            set("the additional context", context, key).or_else(|| set("the entry", entry, key))
        };
        let mut scan = Self::default();
        let mut warnings = Vec::new();

        if let Some((source, value)) = first(SCAN) {
            match switch(value) {
                Some(enabled) => scan.enabled = enabled,
                None => warnings.push(format!(
                    "{SCAN} of {source} is {value}, which is neither on nor off; the log is scanned"
                )),
            }
        }
        if let Some((source, value)) = first(PATTERNS) {
            match literals(value).filter(|patterns| !patterns.is_empty()) {
                Some(patterns) => (scan.patterns, scan.explicit) = (patterns, true),
                None => warnings.push(format!(
                    "{PATTERNS} of {source} is not a list of one or more non-empty strings; \
                     the default patterns are used"
                )),
            }
        }
        for (source, map) in [("the entry", entry), ("the additional context", context)] {
            let Some(value) = set_value(map, BENIGN) else {
                continue;
            };
            match literals(value) {
                Some(benign) => scan.benign.extend(benign),
                None => warnings.push(format!(
                    "{BENIGN} of {source} is not a list of non-empty strings; it is ignored"
                )),
            }
        }
        (scan, warnings)
    }
}

fn set_value<'a>(map: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    map.get(key).filter(|value| !value.is_null())
}

/// madengine's idea of a boolean.
fn switch(value: &Value) -> Option<bool> {
    let word = match value {
        Value::Bool(on) => return Some(*on),
        Value::Number(number) => return number.as_f64().map(|number| number != 0.0),
        Value::String(word) => word.trim().to_ascii_lowercase(),
        _ => return None,
    };
    match word.as_str() {
        "" | "0" | "false" | "no" | "off" => Some(false),
        "1" | "true" | "yes" | "on" => Some(true),
        _ => None,
    }
}

/// An empty string is in every line, so that it is as wrong as a number.
fn literals(value: &Value) -> Option<Vec<String>> {
    value
        .as_array()?
        .iter()
        .map(|item| item.as_str().filter(|text| !text.is_empty()))
        .map(|text| text.map(str::to_owned))
        .collect()
}

/// An [`ErrorScan`] made ready to look at lines.
pub(super) struct ErrorMatcher {
    patterns: Vec<String>,
    errors: AhoCorasick,
    benign: AhoCorasick,
}

impl ErrorMatcher {
    pub(super) fn new(scan: &ErrorScan) -> Self {
        let patterns = if scan.enabled { scan.patterns.clone() } else { Vec::new() };
        let benign = scan.benign.iter().map(String::as_str);
        Self {
            errors: literal_search(&patterns),
            benign: literal_search(DEFAULT_BENIGN.into_iter().chain(benign)),
            patterns,
        }
    }

    /// The literals without one of which no line is an error.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &str> {
        self.patterns.iter().map(String::as_str)
    }

    /// The pattern that makes an error of this line, and where it is.
    pub(super) fn find(&self, line: &str) -> Option<(&str, usize)> {
        let hit = self.errors.find(line)?;
        // An echo before the first pattern is one before all others.
        let echoed = ECHOES.iter().any(|echo| line[..hit.start()].contains(echo));
        let error = !echoed && !self.benign.is_match(line) && !BENIGN_FORMS.is_match(line);
        error.then(|| (self.patterns[hit.pattern()].as_str(), hit.start()))
    }
}

/// A search for all of these at once; the earliest in the line wins, then in the list.
pub(super) fn literal_search<S: AsRef<[u8]>>(literals: impl IntoIterator<Item = S>) -> AhoCorasick {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(literals)
        .expect("a list of literals fits into memory")
}
