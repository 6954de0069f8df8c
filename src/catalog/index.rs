//! Where each entry stands, remembered: nextest starts one process per case, and a
//! process that needs one entry of thousands must not parse them all.
//!
//! The index is a text file below the run directory, one line per entry. It is valid
//! for exactly the files it was made from (path, size, time of change, inode), it is
//! written only for a catalog whose files have no error, and a broken or stale one is
//! as good as none.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use memchr::memmem;
use serde_json::value::RawValue;

use super::load::Loader;
use super::{CATALOG_FILE, CONFIG_FILE, Catalog};
use crate::diagnostic::Diagnostic;

/// First word of the file; to be raised when its format or the loader changes.
const FORMAT: &str = concat!("mad-index/1-", env!("CARGO_PKG_VERSION"));

impl Catalog {
    /// A catalog of the one entry `name` below `root`, if the index in `cache` knows it
    /// and is up to date.
    pub fn load_one(root: &Path, name: &str, cache: &Path) -> Option<Catalog> {
        let index = fs::read_to_string(index_file(root, cache)).ok()?;
        let body = index.strip_prefix(&header(root))?;
        let key = format!("\n{}\t", serde_json::Value::from(name));
        let line = &body[memmem::find(body.as_bytes(), key.as_bytes())? + key.len()..];
        let mut fields = line.lines().next()?.split('\t');
        let mut number = || fields.next()?.parse::<usize>().ok();
        let (index, line, start, end) = (number()?, number()?, number()?, number()?);
        let file = Path::new(fields.next()?);

        let mut loader = Loader::new(root);
        let source = loader.source(file)?;
        let raw: &RawValue = serde_json::from_str(source.text.get(start..end)?).ok()?;
        loader.entry(&source, index, raw, line, dir_of(file));
        let catalog = loader.finish();
        (catalog.models.first()?.name == name).then_some(catalog)
    }

    /// Remembers where the entries stand. Trouble is no error: the index only saves
    /// time.
    pub fn write_index(&self, cache: &Path) {
        if self.file_problems().any(Diagnostic::is_error) {
            return;
        }
        let mut text = header(&self.root);
        for model in &self.models {
            let span = model.span();
            // The name as a JSON string holds no tab and no newline.
            let _ = write!(
                text,
                "\n{}\t{}\t{}\t{}\t{}\t{}",
                serde_json::Value::from(model.name.as_str()),
                model.data.index,
                model.line(),
                span.start,
                span.end,
                model.source().file.display()
            );
        }
        text.push('\n');
        let file = index_file(&self.root, cache);
        let unchanged = fs::read_to_string(&file).is_ok_and(|old| old == text);
        if !unchanged && fs::create_dir_all(cache).is_ok() {
            let _ = crate::record::write_atomically(&file, text.as_bytes());
        }
    }
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
        add(&Path::new("scripts").join(dir).join(CATALOG_FILE));
    }
    text
}

/// The `<dir>` of `scripts/<dir>/models.json`.
fn dir_of(file: &Path) -> Option<&str> {
    file.strip_prefix("scripts").ok()?.parent()?.to_str()
}
