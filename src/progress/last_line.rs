//! The last line that a script printed.

use super::paint::plain;
use crate::contract::clean;

/// Bytes of a line that are kept: more than a terminal is wide.
const KEPT: usize = 1024;

/// The last line that holds anything, also while it is not complete.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    line: Vec<u8>,
    /// Whether what comes next goes on with it.
    open: bool,
}

impl LastLine {
    /// Takes what was printed next. Of a long chunk only the end is looked at.
    pub(super) fn feed(&mut self, chunk: &[u8]) {
        let is_end = |b: &u8| matches!(b, b'\n' | b'\r');
        let length = chunk.iter().rposition(|b| !is_end(b)).map_or(0, |at| at + 1);
        let complete = length < chunk.len();
        let text = &chunk[..length];
        if text.is_empty() {
            self.open &= !complete;
            return;
        }
        // A progress bar redraws its line after `\r`.
        let start = memchr::memrchr2(b'\n', b'\r', text).map_or(0, |at| at + 1);
        if start > 0 || !self.open {
            self.line.clear();
        }
        let room = KEPT.saturating_sub(self.line.len());
        self.line.extend(text[start..].iter().take(room));
        self.open = !complete;
    }

    /// Forgets it.
    pub(super) fn clear(&mut self) {
        *self = LastLine::default();
    }

    /// The line for people: nothing in it moves the cursor.
    pub(super) fn text(&self) -> String {
        plain(clean(&self.line).trim())
    }
}
