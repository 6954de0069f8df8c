//! Standard error while something is drawn at its end. There is one for the whole process.

use std::io::Write;
use std::sync::OnceLock;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

static SHOWN: OnceLock<ProgressBar> = OnceLock::new();

/// The end of the terminal, where what runs is shown.
#[derive(Debug)]
pub(super) struct Screen {
    bar: ProgressBar,
    pub(super) colour: bool,
}

/// Takes the end of the terminal; nothing is there yet.
pub(super) fn open(colour: bool) -> Screen {
    let bar = SHOWN.get_or_init(|| {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(ProgressStyle::with_template("{msg}").expect("a constant template"));
        bar.finish_and_clear();
        bar
    });
    Screen { bar: bar.clone(), colour }
}

impl Screen {
    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        let (rows, columns) = Term::stderr().size();
        (columns.into(), rows.into())
    }

    /// Shows this text, whose lines are no wider than the terminal.
    pub(super) fn draw(&self, text: String) {
        if self.bar.is_finished() {
            self.bar.reset();
        }
        self.bar.set_message(text);
    }

    /// Shows nothing.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Does what writes to standard error, with nothing drawn there meanwhile.
pub fn aside<T>(write: impl FnOnce() -> T) -> T {
    match SHOWN.get() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Leaves the terminal as it was found, for who ends this process on the spot.
pub fn leave() {
    if let Some(bar) = SHOWN.get() {
        bar.finish_and_clear();
    }
}

/// Standard error for the log, above what is drawn at its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aside;

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        aside(|| std::io::stderr().write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
