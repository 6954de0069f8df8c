//! Changes that remove findings, where there is only one way to.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::diagnostic::Diagnostic;
use crate::diff::unified;
use crate::place::Replaced;

/// A file with some of its findings removed.
#[derive(Clone, Debug)]
pub struct Change {
    /// Path relative to the catalog root.
    pub file: PathBuf,
    /// The findings that are removed.
    pub fixed: Vec<Diagnostic>,
    before: String,
    after: String,
}

impl Change {
    /// What changes, as a unified diff.
    pub fn diff(&self) -> String {
        unified(Some(&self.before), &self.after, &self.file)
    }

    /// Replaces the file, which must not have changed meanwhile.
    ///
    /// # Errors
    /// When it has, or cannot be written.
    pub fn write(&self, root: &Path) -> Result<()> {
        let change = Replaced {
            path: self.file.clone(),
            before: Some(self.before.clone()),
            after: self.after.clone(),
        };
        crate::place::place(root, &[], &[change], &|| false)
    }
}

/// The changes below `root` that remove findings of `diags`, one per file.
///
/// # Errors
/// When a file cannot be read again.
pub fn changes(root: &Path, diags: &[Diagnostic]) -> Result<Vec<Change>> {
    let mut files: BTreeMap<&Path, Vec<&Diagnostic>> = BTreeMap::new();
    let mut seen = HashSet::new();
    for diagnostic in diags {
        let Some(fix) = &diagnostic.fix else { continue };
        let file = diagnostic.place.file.as_path();
        // Entries that share a file have its findings each.
        if seen.insert((file, &fix.span, &fix.text)) {
            files.entry(file).or_default().push(diagnostic);
        }
    }
    let change = |(file, mut fixed): (&Path, Vec<&Diagnostic>)| -> Result<Change> {
        let path = root.join(file);
        let before =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let start = |d: &Diagnostic| d.fix.as_ref().map_or(0, |f| f.span.start);
        fixed.sort_by_key(|d| start(d));
        // Only catalogs are read without their byte order mark.
        let mark =
            match file.extension().is_some_and(|e| e == "json") && before.starts_with('\u{feff}') {
                true => '\u{feff}'.len_utf8(),
                false => 0,
            };
        let mut after = String::with_capacity(before.len());
        let mut done = 0;
        let mut applied = Vec::new();
        for diagnostic in fixed {
            let Some(fix) = &diagnostic.fix else { continue };
            let span = mark + fix.span.start..mark + fix.span.end;
            // One that overlaps another waits for the next time.
            if span.start < done {
                continue;
            }
            let Some(kept) = before.get(done..span.start) else { continue };
            after.push_str(kept);
            after.push_str(&fix.text);
            done = span.end;
            applied.push(diagnostic.clone());
        }
        after.push_str(before.get(done..).unwrap_or_default());
        Ok(Change { file: file.to_owned(), fixed: applied, before, after })
    };
    files.into_iter().map(change).collect()
}
