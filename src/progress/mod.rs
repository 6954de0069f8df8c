//! How a long command gets on, told to people on standard error.
//!
//! [`Progress`] is what a command has one of. What runs is an [`Activity`]; a [`Whole`] is all
//! that is to run. On a terminal both are shown below everything else that is said and drawn anew
//! as time passes; elsewhere a line says what begins, what ended, and now and then what goes on.
//!
//! * `board`: what runs now, and the thread that tells.
//! * `paint`: its text. `clock`: times in words.
//! * `last_line`: the last line that a script printed.
//! * `screen`: how others write to standard error meanwhile.

mod board;
mod clock;
mod last_line;
mod paint;
mod screen;
#[cfg(test)]
mod tests;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use board::{Board, hold};
pub use clock::seconds;
use last_line::LastLine;
pub use screen::{Aside, aside, leave};

/// How long something is likely to take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Expected {
    /// Seconds.
    pub seconds: f64,
    /// Whether they are a guess, because this very thing never ran.
    pub guessed: bool,
}

/// Tells people how a command gets on; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<Arc<Board>>);

impl Progress {
    /// Tells nothing.
    pub fn silent() -> Progress {
        Progress(None)
    }

    /// Tells in lines.
    pub fn lines() -> Progress {
        Progress(Some(Board::new(None)))
    }

    /// Shows what runs at the end of the terminal that is standard error; in lines where there
    /// is none that can move its cursor, and where a CI system keeps what is said.
    pub fn on_terminal(colour: bool) -> Progress {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let moves = set("TERM").is_some_and(|term| term != "dumb") && set("CI").is_none();
        match moves && std::io::stderr().is_terminal() {
            true => Progress(Some(Board::new(Some(screen::open(colour))))),
            false => Progress::lines(),
        }
    }

    /// Whether nothing is told.
    pub fn is_silent(&self) -> bool {
        self.0.is_none()
    }

    /// Counts what ends from now on, out of `count` things.
    pub fn whole(&self, count: usize) -> Whole {
        if let Some(board) = &self.0 {
            board.begin(count);
        }
        Whole(self.0.clone())
    }

    /// Something of this name is about to run. Nothing of it is shown before its first step.
    pub fn activity(&self, name: &str, expected: Option<Expected>) -> Activity {
        let Some(board) = &self.0 else { return Activity::silent() };
        let printed = Arc::<Mutex<LastLine>>::default();
        let id = board.add(name, expected, Arc::clone(&printed));
        let ended = AtomicBool::new(false);
        let inner = Inner { board: Arc::clone(board), id, printed, ended };
        Activity { inner: Some(Arc::new(inner)), steps: true }
    }

    /// Nothing runs, because `who` waits for something that others have.
    pub fn waits(&self, who: &str, what: &str) {
        if let Some(board) = &self.0 {
            board.waits(Some(format!("{who} waits for {what}")));
        }
    }

    /// It has what it waited for.
    pub fn waits_no_more(&self) {
        if let Some(board) = &self.0 {
            board.waits(None);
        }
    }

    /// A line that stays.
    pub fn say(&self, line: &str) {
        if let Some(board) = &self.0 {
            board.say(line);
        }
    }
}

/// All that is to run, until it is dropped: then nothing of it is shown any more.
#[derive(Debug)]
#[must_use]
pub struct Whole(Option<Arc<Board>>);

impl Whole {
    /// All of it takes so many seconds, one after the other, and `share` of them, since some run
    /// at the same time.
    pub fn takes(&self, seconds: f64, share: f64) {
        if let Some(board) = &self.0 {
            board.expect(seconds, share);
        }
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some(board) = &self.0 {
            board.end();
        }
    }
}

/// Something that runs; all clones are one. It counts as ended when the last one is dropped.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    inner: Option<Arc<Inner>>,
    /// Whether this clone tells steps.
    steps: bool,
}

#[derive(Debug)]
struct Inner {
    board: Arc<Board>,
    id: u64,
    printed: Arc<Mutex<LastLine>>,
    ended: AtomicBool,
}

impl Activity {
    /// One of which nothing is told.
    pub fn silent() -> Activity {
        Activity::default()
    }

    /// A clone that passes on output alone: somebody else tells the steps.
    #[must_use]
    pub fn output_only(&self) -> Activity {
        Activity { steps: false, ..self.clone() }
    }

    /// A step begins, which is worth a line.
    pub fn step(&self, text: &str) {
        self.begin(text, true);
    }

    /// Something begins that is over in a moment, as a rule: worth no line of its own.
    pub fn prelude(&self, text: &str) {
        self.begin(text, false);
    }

    fn begin(&self, text: &str, line: bool) {
        if let Some(inner) = self.inner.as_ref().filter(|_| self.steps) {
            hold(&inner.printed).clear();
            inner.board.step(inner.id, text, line, Instant::now());
        }
    }

    /// Its end is no end of one of those that the whole counts.
    pub fn uncounted(&self) {
        if let Some(inner) = &self.inner {
            inner.board.discount(inner.id);
        }
    }

    /// Nothing happens until the next step; the clock begins anew with it, and what is expected
    /// is this.
    pub fn rest(&self, expected: Option<Expected>) {
        if let Some(inner) = &self.inner {
            inner.board.rest(inner.id, expected);
        }
    }

    /// The script printed this, without secrets.
    pub fn printed(&self, chunk: &[u8]) {
        if let Some(inner) = &self.inner {
            hold(&inner.printed).feed(chunk);
        }
    }

    /// It ended, like this. Nothing is said of what had no step and did not fail.
    pub fn end(&self, how: &str, failed: bool) {
        if let Some(inner) = &self.inner {
            inner.end(Some((how, failed)));
        }
    }
}

impl Inner {
    fn end(&self, how: Option<(&str, bool)>) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.board.remove(self.id, how, Instant::now());
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end(None);
    }
}
