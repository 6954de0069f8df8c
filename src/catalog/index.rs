//! Where each entry stands, remembered: nextest starts one process per case, and a
//! process that needs one entry of thousands must not parse them all.
//!
//! The index is a text file below the run directory, one line per entry. It is valid
//! within the run of nextest that made it, and otherwise for exactly the files it was
//! made from (path, size, time of change, inode). It is
//! written only for a catalog whose files load without an error, and a broken or stale
//! one is as good as none.
//!
//! What a program lists (`get_models_json.py`) may follow from anything: variables, files
//! elsewhere, the network. So the index holds its entries, but they are valid only within
//! the run of nextest that asked the program; for anybody else it runs again. A program
//! that fails is no reason against the index: what it did not list is no case.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memchr::memmem;
use serde_json::value::RawValue;

use super::load::{Loader, dir_of};
use super::{CATALOG_FILE, CONFIG_FILE, Catalog, MAX_COLUMN, Model, PROGRAM_FILE, Source};
use crate::diagnostic::Diagnostic;

/// First word of the file; to be raised when its format or the loader changes.
const FORMAT: &str = concat!("mad-index/4-", env!("CARGO_PKG_VERSION"));

impl Catalog {
    /// A catalog of the one entry `name` below `root`, if the index in `cache` knows it
    /// and is up to date.
    pub fn load_one(root: &Path, name: &str, cache: &Path) -> Option<Catalog> {
        let index = fs::read(index_file(root, cache)).ok()?;
        let (run, rest) = index.split_at(memchr::memchr(b'\n', &index)?);
        // In the run of nextest that listed the cases nothing needs to be looked at again.
        let listed = listing().is_some_and(|id| id.as_bytes() == run);
        if !listed && !rest.get(1..)?.starts_with(header(root).as_bytes()) {
            return None;
        }
        let key = format!("\n{}\t", serde_json::Value::from(name));
        let line = &rest[memmem::find(rest, key.as_bytes())? + key.len()..];
        let line = &line[..memchr::memchr(b'\n', line)?];
        let mut fields = std::str::from_utf8(line).ok()?.split('\t');
        let mut number = || fields.next()?.parse::<usize>().ok();
        let (index, line, margin) = (number()?, number()?, number()?);
        let (start, end) = (number()?, number()?);
        let file = Path::new(fields.next()?);

        let (text, made_at) = match fields.next() {
            Some(text) if listed => (text.to_owned(), Some(line)),
            Some(_) => return None,
            None => {
                // From the beginning of the entry's line on, so that columns come out right.
                let mut text = vec![0; end.checked_sub(start)?];
                let from = u64::try_from(start).ok()?;
                fs::File::open(root.join(file)).ok()?.read_exact_at(&mut text, from).ok()?;
                (String::from_utf8(text).ok()?, None)
            }
        };
        let source = Arc::new(Source { made_at, ..Source::new(file, text) });
        let raw: &RawValue = serde_json::from_str(source.text.get(margin..)?).ok()?;
        let mut loader = Loader::new(root);
        loader.entry(&source, index, raw, line, dir_of(file));
        let catalog = loader.finish();
        (catalog.models.first()?.name == name).then_some(catalog)
    }

    /// Remembers where the entries stand. Trouble is no error: the index only saves
    /// time.
    pub fn write_index(&self, cache: &Path) {
        // A byte order mark shifts all places.
        let shifted = |m: &Model| {
            if m.source().made_at.is_some() {
                return false;
            }
            let size = fs::metadata(self.root.join(&m.source().file)).map_or(0, |meta| meta.len());
            size != m.source().text.len() as u64
        };
        let files = self.models.chunk_by(|a, b| a.source().file == b.source().file);
        let of_program = |p: &Diagnostic| p.place.file.ends_with(PROGRAM_FILE);
        if self.problems.iter().any(|p| p.is_error() && !of_program(p))
            || files.filter_map(|models| models.first()).any(shifted)
        {
            return;
        }
        let mut text = format!("{}\n{}", listing().unwrap_or_default(), header(&self.root));
        // Who asks for an entry with a problem is to hear of it.
        let flawed: HashSet<&str> =
            self.problems.iter().filter_map(|p| p.model.as_deref()).collect();
        for model in self.models.iter().filter(|m| !flawed.contains(m.name.as_str())) {
            let (span, bytes) = (model.span(), model.source().text.as_bytes());
            // Not through all of a catalog without line breaks.
            let near = span.start.saturating_sub(MAX_COLUMN);
            let line_start = memchr::memrchr(b'\n', &bytes[near..span.start]);
            let line_start = line_start.map_or(span.start, |i| near + i + 1);
            // The name as a JSON string holds no tab and no newline.
            let _ = write!(
                text,
                "\n{}\t{}\t{}\t{}\t{}\t{}\t{}",
                serde_json::Value::from(model.name.as_str()),
                model.data.index,
                model.line(),
                span.start - line_start,
                line_start,
                span.end,
                model.source().file.display()
            );
            if model.source().made_at.is_some() {
                // JSON in one line, as its program printed it: no tab, no newline.
                let _ = write!(text, "\t{}", model.text());
            }
        }
        text.push('\n');
        let file = index_file(&self.root, cache);
        let unchanged = fs::read_to_string(&file).is_ok_and(|old| old == text);
        if !unchanged && fs::create_dir_all(cache).is_ok() {
            let _ = crate::record::write_atomically(&file, text.as_bytes());
        }
    }
}

/// The run of nextest that this process is part of.
fn listing() -> Option<String> {
    std::env::var("NEXTEST_RUN_ID").ok().filter(|id| !id.is_empty())
}

fn index_file(root: &Path, cache: &Path) -> PathBuf {
    let root = crate::engine::absolute(root);
    cache.join(format!("catalog-{}.index", crate::slug::slug(&root.to_string_lossy())))
}

/// Format and state of all files that a catalog is made from.
fn header(root: &Path) -> String {
    let mut text = FORMAT.to_owned();
    let mut add = |file: &Path| {
        if let Ok(meta) = fs::metadata(root.join(file)) {
            let _ = write!(
                text,
                "\t{}:{}:{}.{}:{}",
                file.display(),
                meta.size(),
                meta.mtime(),
                meta.mtime_nsec(),
                meta.ino()
            );
        }
    };
    add(Path::new(CATALOG_FILE));
    add(Path::new(CONFIG_FILE));
    for dir in super::load::script_dirs(root).unwrap_or_default() {
        let dir = Path::new("scripts").join(dir);
        add(&dir.join(CATALOG_FILE));
        add(&dir.join(PROGRAM_FILE));
    }
    text
}
