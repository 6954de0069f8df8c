//! The log, scanned while it streams.
//!
//! One pass over each piece looks for all literals at once; only a line with a hit is
//! looked at. Lines end at `\n` or `\r` (a progress bar redraws with the latter), but
//! only `\n` counts in line numbers, so that they agree with `sed -n`, `less -N` and
//! `grep -n`.
//!
//! Memory is bounded: a line longer than [`WINDOW`] is looked at in overlapping windows
//! instead of as a whole. Windows are laid out from the line's start, so that what is
//! found does not depend on how the log was cut into chunks.

use aho_corasick::{AhoCorasick, Input};
use memchr::{memchr_iter, memchr2, memrchr2};

use super::error_scan::{ErrorMatcher, ErrorScan, literal_search};
use super::line::{self, Reading, Rejection};

/// Longest line that is looked at as a whole.
const WINDOW: usize = 64 << 10;
/// Distance between the windows of a longer line.
const STEP: usize = WINDOW / 2;
/// An announcement this near to the end of a window is left to the next one, which sees
/// more of what follows it.
const TAIL: usize = WINDOW / 4;
/// Chunks are worked on in pieces of this size, which stay in the cache between the
/// search and the count of lines.
const PIECE: usize = 128 << 10;
/// How many error lines are kept.
const ERRORS_MAX: usize = 20;
/// How much of the last line is kept, in bytes.
const LAST_LINE_MAX: usize = 1 << 10;

/// `performance` without its colon, so that a colour code may stand between the two, and
/// without its first letter, which serves `Performance` as well.
const MARKS: [&str; 3] = ["erformance", "PERFORMANCE", line::HUGGINGFACE_MARK];

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Counted from 1.
    pub number: u64,
    /// An excerpt fit to be quoted: bounded, without colours and control characters.
    pub text: String,
}

/// A line with a number in it.
#[derive(Clone, Debug, PartialEq)]
pub struct PerformanceLine {
    /// Not finite if the script printed `nan`, `inf` or something like `1e400`.
    pub value: f64,
    /// The value as written.
    pub text: String,
    /// The unit word.
    pub metric: String,
    /// Where it was found.
    pub line: LogLine,
}

/// A line that announces a number but gives none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedLine {
    /// Where it was found.
    pub line: LogLine,
    /// What is wrong with it.
    pub why: Rejection,
}

/// A line that looks like an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorHit {
    /// The first pattern in the line.
    pub pattern: String,
    /// Where it was found.
    pub line: LogLine,
}

/// What a log says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogFindings {
    /// The first `performance:` line.
    pub performance: Option<PerformanceLine>,
    /// The first later one that says something else.
    pub conflicting: Option<PerformanceLine>,
    /// The first line that announces a number but gives none; one that meant to is
    /// preferred to prose.
    pub rejected: Option<RejectedLine>,
    /// The first number of HuggingFace's trainer.
    pub huggingface: Option<PerformanceLine>,
    /// The first lines that look like errors, 20 at most.
    pub errors: Vec<ErrorHit>,
    /// How many lines look like errors.
    pub error_count: u64,
    /// Whether such a line fails the run: the patterns are the user's own.
    pub errors_fail: bool,
    /// The last line that is not blank.
    pub last_line: Option<LogLine>,
    /// How many lines the log has.
    pub lines: u64,
    /// How many bytes the log has.
    pub bytes: u64,
}

/// Finds what a log says, chunk by chunk.
pub struct LogScanner {
    literals: AhoCorasick,
    errors: ErrorMatcher,
    /// The line not yet ended, from the start of a window on.
    carry: Vec<u8>,
    /// How many `\n` precede the carry.
    newlines: u64,
    /// Whether an error was found in an earlier window of the line not yet ended.
    line_has_error: bool,
    last_line: Option<(u64, Vec<u8>)>,
    last_byte: Option<u8>,
    findings: LogFindings,
}

impl LogScanner {
    /// A scanner that has seen nothing yet.
    pub fn new(scan: &ErrorScan) -> Self {
        let errors = ErrorMatcher::new(scan);
        let literals = literal_search(MARKS.into_iter().chain(errors.patterns()));
        Self {
            literals,
            errors,
            carry: Vec::new(),
            newlines: 0,
            line_has_error: false,
            last_line: None,
            last_byte: None,
            findings: LogFindings { errors_fail: scan.explicit, ..LogFindings::default() },
        }
    }

    /// Takes the next part of the log; it may end anywhere.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.findings.bytes += chunk.len() as u64;
        self.last_byte = chunk.last().copied().or(self.last_byte);
        for piece in chunk.chunks(PIECE) {
            self.feed_piece(piece);
        }
    }

    /// The log is over.
    pub fn finish(mut self) -> LogFindings {
        let carry = std::mem::take(&mut self.carry);
        self.lines(&carry);
        let open_line = self.last_byte.is_some_and(|last| last != b'\n');
        self.findings.lines = self.newlines + u64::from(open_line);
        self.findings.last_line = self.last_line.and_then(|(number, line)| {
            let text = line::excerpt(&line::clean(&line), 0);
            (!text.is_empty()).then_some(LogLine { number, text })
        });
        self.findings
    }

    /// How many bytes it holds of what it was fed.
    #[cfg(test)]
    pub(super) fn carried(&self) -> usize {
        self.carry.capacity()
    }

    fn feed_piece(&mut self, mut piece: &[u8]) {
        if !self.carry.is_empty() {
            let end = memchr2(b'\n', b'\r', piece).map_or(piece.len(), |at| at + 1);
            let (rest_of_line, after) = piece.split_at(end);
            self.carry.extend_from_slice(rest_of_line);
            piece = after;
            if ends_line(rest_of_line) {
                let mut carry = std::mem::take(&mut self.carry);
                self.lines(&carry);
                // Keeps the allocation.
                carry.clear();
                self.carry = carry;
                self.line_has_error = false;
            }
        }
        let ended = memrchr2(b'\n', b'\r', piece).map_or(0, |at| at + 1);
        let (lines, open) = piece.split_at(ended);
        self.lines(lines);
        self.carry.extend_from_slice(open);
        self.shorten_carry();
    }

    /// Looks at the leading windows of an over-long line that is still to be continued.
    fn shorten_carry(&mut self) {
        if self.carry.len() <= WINDOW {
            return;
        }
        let mut carry = std::mem::take(&mut self.carry);
        let tail = self.leading_windows(&carry).len();
        carry.drain(..carry.len() - tail);
        self.carry = carry;
    }

    /// Looks at whole lines.
    fn lines(&mut self, lines: &[u8]) {
        let mut counted = 0;
        let mut from = 0;
        while let Some(hit) = self.literals.find(Input::new(lines).range(from..)) {
            let hit = hit.start();
            let start = memrchr2(b'\n', b'\r', &lines[from..hit]).map_or(from, |at| from + at + 1);
            let end = memchr2(b'\n', b'\r', &lines[hit..]).map_or(lines.len(), |at| hit + at);
            self.newlines += newlines(&lines[counted..start]);
            counted = start;
            let last = self.leading_windows(&lines[start..end]);
            self.window(last, true);
            self.line_has_error = false;
            from = (end + 1).min(lines.len());
        }
        self.newlines += newlines(&lines[counted..]);
        self.remember_last(lines);
    }

    /// Looks at all windows of a line but the last, which is returned.
    fn leading_windows<'a>(&mut self, mut line: &'a [u8]) -> &'a [u8] {
        while line.len() > WINDOW {
            self.window(&line[..WINDOW], false);
            line = &line[STEP..];
        }
        line
    }

    fn remember_last(&mut self, lines: &[u8]) {
        let mut end = lines.len();
        while end > 0 {
            let start = memrchr2(b'\n', b'\r', &lines[..end]).map_or(0, |at| at + 1);
            let line = lines[start..end].trim_ascii();
            if !line.is_empty() {
                let number = self.newlines - newlines(&lines[start..]) + 1;
                let kept = &line[..line.len().min(LAST_LINE_MAX)];
                self.last_line = Some((number, kept.to_vec()));
                return;
            }
            end = start.saturating_sub(1);
        }
    }

    /// Looks at a line, or at a part of an over-long one. `last` says that the line ends
    /// with it.
    fn window(&mut self, window: &[u8], last: bool) {
        if !self.literals.is_match(window) {
            return;
        }
        let text = line::clean(window);
        let number = self.newlines + 1;
        let log_line = |at| LogLine { number, text: line::excerpt(&text, at) };
        let settled = if last { text.len() } else { text.len().saturating_sub(TAIL) };
        let findings = &mut self.findings;

        for (at, reading) in line::readings(&text).take_while(|(at, _)| *at < settled) {
            match reading {
                Ok(reading) => findings.performance(reading, || log_line(at)),
                Err(why) => findings.reject(why, || log_line(at)),
            }
        }
        if findings.rejected.is_none()
            && let Some((at, why)) = line::wrong_case(&text).filter(|(at, _)| *at < settled)
        {
            findings.reject(why, || log_line(at));
        }
        if findings.huggingface.is_none() {
            for (at, reading) in line::huggingface(&text).take_while(|(at, _)| *at < settled) {
                match reading {
                    Ok(reading) => {
                        findings.huggingface = Some(reading.found_at(log_line(at)));
                        break;
                    }
                    Err(why) => findings.reject(why, || log_line(at)),
                }
            }
        }
        if !self.line_has_error
            && let Some((pattern, at)) = self.errors.find(&text)
        {
            self.line_has_error = true;
            findings.error_count += 1;
            if findings.errors.len() < ERRORS_MAX {
                findings.errors.push(ErrorHit { pattern: pattern.to_owned(), line: log_line(at) });
            }
        }
    }
}

impl LogFindings {
    fn performance(&mut self, reading: Reading, line: impl FnOnce() -> LogLine) {
        let place = match &self.performance {
            None => &mut self.performance,
            Some(first) if self.conflicting.is_none() && !reading.agrees_with(first) => {
                &mut self.conflicting
            }
            Some(_) => return,
        };
        *place = Some(reading.found_at(line()));
    }

    fn reject(&mut self, why: Rejection, line: impl FnOnce() -> LogLine) {
        let better = self
            .rejected
            .as_ref()
            .is_none_or(|earlier| !earlier.why.is_attempt() && why.is_attempt());
        if better {
            self.rejected = Some(RejectedLine { line: line(), why });
        }
    }
}

impl Reading {
    /// Whether both say the same, however they write it.
    fn agrees_with(&self, other: &PerformanceLine) -> bool {
        self.metric == other.metric
            && (self.value == other.value || self.value.is_nan() && other.value.is_nan())
    }

    fn found_at(self, line: LogLine) -> PerformanceLine {
        PerformanceLine { value: self.value, text: self.text, metric: self.metric, line }
    }
}

fn newlines(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64
}

fn ends_line(bytes: &[u8]) -> bool {
    matches!(bytes.last(), Some(b'\n' | b'\r'))
}
