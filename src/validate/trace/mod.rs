//! What a script does when it is executed, as far as its text tells: which lines
//! reach the log, which files are named, what cannot be seen from here.
//!
//! The script is followed as a shell would run it, with texts instead of values:
//! both branches of an `if`, loops once per known element, functions when they are
//! called, other scripts when they are started. What is not known becomes a hole in
//! a text; a program that cannot be looked into becomes an opaque text, which
//! matters only if it reaches the log.

mod command;
mod parse;
mod program;
mod py;
mod pytext;
mod redirect;
mod shell;
mod source;
mod tables;
pub(super) mod text;
mod word;

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use brush_parser::ast;

use super::files::{Cache, Files, Unread};
use super::rules::scripts as rules;
use crate::diagnostic::{Diagnostic, Place, Severity};
pub(super) use text::Item;

/// Commands followed for one script; more is a generated or a hostile script.
const MAX_STEPS: usize = 20_000;
/// Functions and scripts that call each other deeper than this are not followed.
const MAX_DEPTH: usize = 48;
/// The walk, and the parsers, recurse.
const STACK_BYTES: usize = 256 << 20;

/// What is known about one script when it is run as an entry's.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// Lines that may be metric lines.
    pub(super) prints: Vec<Item>,
    /// Output that cannot be seen; the text says why.
    pub(super) unknown: Vec<Item>,
    /// CSV files named, with holes.
    pub(super) csv: BTreeSet<String>,
    /// Whether `MAD_OUTPUT_CSV` is used.
    pub(super) output_csv: bool,
    /// Files that do not parse, or cannot be looked into.
    pub(super) problems: Vec<Diagnostic>,
}

impl Evidence {
    /// Whether everything that is executed was understood.
    pub(super) fn is_complete(&self) -> bool {
        self.unknown.is_empty() && self.problems.is_empty()
    }
}

/// Parsed files, shared by all scripts that lead to them.
#[derive(Debug, Default)]
pub(super) struct Programs {
    shell: Cache<PathBuf, Result<Arc<ast::Program>, parse::SyntaxError>>,
    python: Cache<PathBuf, Result<Arc<py::Module>, py::ModuleError>>,
}

/// Follows the script `path` (a file below the root), in a thread with the stack that
/// this takes.
pub(super) fn trace(files: &Files, programs: &Programs, path: &Path) -> Evidence {
    let evidence = std::thread::scope(|scope| {
        let thread = thread().spawn_scoped(scope, || trace_here(files, programs, path));
        thread.ok().and_then(|thread| thread.join().ok())
    });
    evidence.unwrap_or_else(|| failed(path))
}

/// The same in this thread, which must be one of [`thread`]'s.
pub(super) fn trace_here(files: &Files, programs: &Programs, path: &Path) -> Evidence {
    // A parser that panics on hostile input must cost one diagnostic and not the run.
    let evidence = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut tracer = Tracer::new(files, programs);
        let items = tracer.script(path);
        tracer.finish(items)
    }));
    evidence.unwrap_or_else(|_| failed(path))
}

/// A thread that scripts can be followed in.
pub(super) fn thread() -> std::thread::Builder {
    std::thread::Builder::new().name("validate".to_owned()).stack_size(STACK_BYTES)
}

fn failed(path: &Path) -> Evidence {
    let message = "the script could not be analysed: its parser failed";
    let problem = rules::NOT_CHECKED.at(Place::file(path), message);
    Evidence { problems: vec![problem], ..Evidence::default() }
}

/// The state of following one script.
struct Tracer<'a> {
    files: &'a Files,
    programs: &'a Programs,
    evidence: Evidence,
    /// What was written to files, by their base names.
    written: HashMap<String, Vec<Item>>,
    /// Sources of compiled programs, by the base names of these.
    compiled: HashMap<String, Vec<PathBuf>>,
    steps: usize,
    /// Functions and files that are being followed, outermost first.
    active: Vec<String>,
}

impl<'a> Tracer<'a> {
    fn new(files: &'a Files, programs: &'a Programs) -> Self {
        Tracer {
            files,
            programs,
            evidence: Evidence::default(),
            written: HashMap::new(),
            compiled: HashMap::new(),
            steps: 0,
            active: Vec::new(),
        }
    }

    /// The output of the entry's own script.
    fn script(&mut self, path: &Path) -> Vec<Item> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("py") => self.python_file(path),
            _ => {
                let mut env = shell::Env::new(path);
                let place = Place::file(path);
                self.enter(&command::key(path), &place, |tracer| tracer.shell_file(&mut env, path))
            }
        }
    }

    fn finish(mut self, items: Vec<Item>) -> Evidence {
        for item in items {
            if text::has_needle(&item.text) {
                self.evidence.prints.push(item);
            } else if let Some(what) = text::opaque_part(&item.text) {
                // Nobody reads more than a few reasons.
                let unknown = &self.evidence.unknown;
                let known = unknown.len() >= 8 || unknown.iter().any(|u| u.place == item.place);
                if !known {
                    let text = what.to_owned();
                    self.evidence.unknown.push(Item { text, ..item });
                }
            }
        }
        self.evidence
    }

    /// Counts a step; false when there were too many.
    fn step(&mut self, place: &Place, out: &mut Vec<Item>) -> bool {
        self.steps += 1;
        if self.steps == MAX_STEPS {
            out.push(Item::opaque("the script does more than this check follows", place));
        }
        self.steps < MAX_STEPS
    }

    fn problem(&mut self, problem: Diagnostic) {
        if !self.evidence.problems.contains(&problem) {
            self.evidence.problems.push(problem);
        }
    }

    /// The text of a file, or a problem if there is one but it cannot be used.
    fn read(&mut self, path: &Path) -> Option<Arc<str>> {
        match self.files.text(path) {
            Ok(text) => Some(text),
            Err(Unread::Missing) => None,
            Err(Unread::Outside) => {
                let message = "the file lies outside of the catalog";
                let mut problem = rules::OUTSIDE.at(Place::file(path), message);
                problem.severity = Severity::Error;
                self.problem(problem);
                None
            }
            Err(Unread::Unusable(why)) => {
                let problem = rules::NOT_CHECKED.at(Place::file(path), why);
                self.problem(problem);
                None
            }
        }
    }

    /// Remembers a text that names a CSV file, or the variable that does.
    fn mention(&mut self, text: &str) {
        if text.contains(".csv") {
            let text = text::close(text);
            for word in text.split(|c: char| c.is_whitespace() || "'\"=,;()".contains(c)) {
                if word.contains(".csv") && word.len() < 512 {
                    self.evidence.csv.insert(word.to_owned());
                }
            }
        }
        if text.contains("MAD_OUTPUT_CSV") {
            self.evidence.output_csv = true;
        }
    }
}
