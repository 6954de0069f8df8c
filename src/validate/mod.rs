//! Static rules over a catalog: would this entry run, and would it report a number?
//!
//! Needs no GPU, no container and no network. The heart is the output contract:
//! [`Validator`] follows what is really executed (see `trace`), so that a
//! `performance:` in a comment does not count, and says "cannot tell" where it
//! cannot see.

mod docker;
mod dockerfile;
mod duplicates;
mod entry;
mod files;
mod fix;
pub mod python;
mod render;
mod rules;
mod sarif;
mod script;
mod trace;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::catalog::{Catalog, Entry, Model};
use crate::data::{DataConfig, DataOptions};
use crate::diagnostic::Diagnostic;
use files::{Cache, Files};

pub use dockerfile::{
    Context, ContextError, ContextErrorKind, argument_default, context_header, dockerfiles,
};
pub use fix::{Change, changes};
pub use render::{render_github, render_json, render_text, summary};
pub use rules::{RULES, Rule, rule, rules_markdown};
pub use sarif::render_sarif;

/// Validates entries; what is read from disk is read and analysed once, however many
/// entries share it. May be used from several threads at once.
#[derive(Debug)]
pub struct Validator<'a> {
    catalog: &'a Catalog,
    problems: HashMap<&'a str, Vec<&'a Diagnostic>>,
    known_keys: HashSet<String>,
    data: DataConfig,
    files: Files,
    programs: trace::Programs,
    evidence: Cache<PathBuf, Arc<trace::Evidence>>,
    dockerfiles: Cache<PathBuf, Arc<docker::Dockerfiles>>,
}

impl<'a> Validator<'a> {
    /// A validator of the entries of `catalog`.
    pub fn new(catalog: &'a Catalog) -> Self {
        let mut problems: HashMap<&str, Vec<&Diagnostic>> = HashMap::new();
        for problem in &catalog.problems {
            if let Some(model) = &problem.model {
                problems.entry(model).or_default().push(problem);
            }
        }
        Validator {
            catalog,
            problems,
            known_keys: Entry::known_keys().into_iter().collect(),
            data: DataConfig::load(&catalog.root, &DataOptions::default()),
            files: Files::new(&catalog.root),
            programs: trace::Programs::default(),
            evidence: Cache::default(),
            dockerfiles: Cache::default(),
        }
    }

    /// What is wrong with one entry, the problems of loading it included.
    pub fn model(&self, model: &Model) -> Vec<Diagnostic> {
        let known = self.problems.get(model.name.as_str());
        let mut found: Vec<Diagnostic> =
            known.into_iter().flatten().map(|d| (*d).clone()).collect();
        duplicates::duplicate_keys(model, &mut found);
        self.entry(model, &mut found);
        self.docker(model, &mut found);
        self.script(model, &mut found);
        for diagnostic in &mut found {
            diagnostic.model.get_or_insert_with(|| model.name.clone());
        }
        found
    }

    /// What is wrong with the catalog's files, and then with each of `models` in order.
    pub fn all(&self, models: &[Model]) -> Vec<Diagnostic> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        self.follow_scripts(models, threads);
        let chunk = models.len().div_ceil(threads).max(1);
        let mut found: Vec<Diagnostic> = self.catalog.file_problems().cloned().collect();
        std::thread::scope(|scope| {
            let workers: Vec<_> = models
                .chunks(chunk)
                .map(|part| {
                    scope.spawn(move || part.iter().map(|m| self.model(m)).collect::<Vec<_>>())
                })
                .collect();
            for worker in workers {
                match worker.join() {
                    Ok(diagnostics) => found.extend(diagnostics.into_iter().flatten()),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        found
    }

    /// Follows each script once, before the entries that share it are looked at: threads
    /// that went through the entries would wait for each other at every script.
    fn follow_scripts(&self, models: &[Model], threads: usize) {
        let mut seen = HashSet::new();
        let firsts: Vec<&Model> = models.iter().filter(|m| seen.insert(m.script())).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(model) = firsts.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.follow_script(model);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..threads.min(firsts.len()) {
                // Without the thread the script is followed when it is asked for.
                let _ = trace::thread().spawn_scoped(scope, work);
            }
        });
    }
}

#[cfg(test)]
mod tests;
