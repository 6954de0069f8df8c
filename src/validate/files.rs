//! The files of a catalog, each read once, however many entries share it.

use std::collections::HashMap;
use std::fs::Metadata;
use std::hash::Hash;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Files larger than this are not looked into.
pub(super) const MAX_BYTES: u64 = 8 << 20;

/// Values computed once per key, by whichever thread needs one first.
#[derive(Debug)]
pub(super) struct Cache<K, V>(Mutex<HashMap<K, Arc<OnceLock<V>>>>);

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Cache(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// The value of `key`. Only threads that want the same key wait for each other.
    pub(super) fn get(&self, key: &K, compute: impl FnOnce() -> V) -> V {
        let cell = {
            let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match map.get(key) {
                Some(cell) => Arc::clone(cell),
                None => Arc::clone(map.entry(key.clone()).or_default()),
            }
        };
        cell.get_or_init(compute).clone()
    }
}

/// Why there is no text to look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// No file of this name, or not a plain file.
    Missing,
    /// A link, or `..`, leads out of the catalog.
    Outside,
    /// Too large, not UTF-8, or unreadable: says which.
    Unusable(String),
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A place that does not lie below the root.
    Outside,
    File,
    Directory,
    Nothing,
}

/// Reads files below a root.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    /// The root without links, to tell what lies outside.
    real_root: PathBuf,
    kinds: Cache<PathBuf, Kind>,
    /// Directories without links; `None` where there is no directory.
    directories: Cache<PathBuf, Option<PathBuf>>,
    texts: Cache<PathBuf, Result<Arc<str>, Unread>>,
}

impl Files {
    pub(super) fn new(root: &Path) -> Self {
        let real_root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        Files {
            root: root.to_owned(),
            real_root,
            kinds: Cache::default(),
            directories: Cache::default(),
            texts: Cache::default(),
        }
    }

    /// The text of `path`, which is relative to the root.
    pub(super) fn text(&self, path: &Path) -> Result<Arc<str>, Unread> {
        self.texts.get(&path.to_owned(), || self.read(path))
    }

    /// Whether `path` lies below the root once links are followed.
    pub(super) fn is_inside(&self, path: &Path) -> bool {
        self.kind(path) != Kind::Outside
    }

    /// Whether `path` is a file below the root.
    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.kind(path) == Kind::File
    }

    /// Whether `path` is a directory below the root.
    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.kind(path) == Kind::Directory
    }

    fn kind(&self, path: &Path) -> Kind {
        self.kinds.get(&path.to_owned(), || {
            if path.is_absolute() || path.components().any(|c| c == Component::ParentDir) {
                return Kind::Outside;
            }
            match self.real(path) {
                Some((real, _)) if !real.starts_with(&self.real_root) => Kind::Outside,
                Some((_, metadata)) if metadata.is_file() => Kind::File,
                Some((_, metadata)) if metadata.is_dir() => Kind::Directory,
                _ => Kind::Nothing,
            }
        })
    }

    /// Where `path` leads once links are followed, and what is there. Directories are
    /// resolved once: hundreds of files share them.
    fn real(&self, path: &Path) -> Option<(PathBuf, Metadata)> {
        let resolve = |dir: &Path| self.real_root.join(dir).canonicalize().ok();
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Some((self.real_root.clone(), self.real_root.metadata().ok()?));
        };
        let full = self.directories.get(&dir.to_owned(), || resolve(dir))?.join(name);
        let metadata = full.symlink_metadata().ok()?;
        if !metadata.is_symlink() {
            return Some((full, metadata));
        }
        let real = full.canonicalize().ok()?;
        let metadata = real.metadata().ok()?;
        Some((real, metadata))
    }

    fn read(&self, path: &Path) -> Result<Arc<str>, Unread> {
        if !self.is_inside(path) {
            return Err(Unread::Outside);
        }
        let full = self.root.join(path);
        let metadata = match std::fs::metadata(&full) {
            Ok(metadata) if metadata.is_file() => metadata,
            _ => return Err(Unread::Missing),
        };
        if metadata.len() > MAX_BYTES {
            let message = format!("the file has {} MiB", metadata.len() >> 20);
            return Err(Unread::Unusable(message));
        }
        let bytes = std::fs::read(&full)
            .map_err(|e| Unread::Unusable(format!("the file cannot be read: {e}")))?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(text.into()),
            Err(e) => {
                let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
                let line = memchr::memchr_iter(b'\n', valid).count() + 1;
                Err(Unread::Unusable(format!("the file is not UTF-8, see line {line}")))
            }
        }
    }
}

/// `a/./b/../c` → `a/c`, without looking at the file system; `None` when it leads
/// above where it starts.
pub(super) fn normalise(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            Component::Normal(part) => clean.push(part),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}
