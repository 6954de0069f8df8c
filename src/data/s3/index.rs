//! What was fetched: a line of JSON for each object of a data set.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::key::leads_through_link;
use crate::record::write_atomically;

/// An object as the server lists it: another version differs in at least one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    pub(super) size: u64,
    /// Seconds since 1970; the file gets this time.
    pub(super) modified: u64,
    /// Its time and ETag as they were listed. Some servers list no ETag.
    pub(super) tag: String,
}

impl Version {
    /// The time that the file has.
    pub(super) fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.modified)
    }

    /// Whether a file can be the object: its size and, to the second, its time. `aws s3
    /// sync` leaves such files, too.
    fn is(&self, file: &Metadata) -> bool {
        let time = file.modified().ok().and_then(|t| t.duration_since(SystemTime::UNIX_EPOCH).ok());
        file.is_file()
            && file.len() == self.size
            && time.is_some_and(|t| t.as_secs() == self.modified)
    }
}

#[derive(Serialize, Deserialize)]
struct Line {
    path: PathBuf,
    #[serde(flatten)]
    version: Version,
}

struct Known {
    version: Version,
    /// Whether the server still has the object.
    listed: bool,
}

/// Which objects are in the directory of a data set.
pub(super) struct Index {
    file: File,
    path: PathBuf,
    known: HashMap<PathBuf, Known>,
    /// Lines that a later one made void.
    void: usize,
}

impl Index {
    /// Reads the index at `path`, which is made if there is none. A line that was only
    /// half written is passed over: its object is fetched again, if it has changed.
    ///
    /// # Errors
    /// When the file cannot be read or made.
    pub(super) fn open(path: &Path) -> Result<Index> {
        let context = || format!("cannot read {}", path.display());
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(e).with_context(context),
        };
        let (mut known, mut void) = (HashMap::new(), 0);
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match serde_json::from_slice::<Line>(line) {
                Ok(Line { path, version }) => {
                    let before = known.insert(path, Known { version, listed: false });
                    void += usize::from(before.is_some());
                }
                Err(_) => void += 1,
            }
        }
        let mut file =
            File::options().append(true).create(true).open(path).with_context(context)?;
        if text.last().is_some_and(|byte| *byte != b'\n') {
            file.write_all(b"\n").with_context(context)?;
        }
        Ok(Index { file, path: path.to_owned(), known, void })
    }

    /// Whether the file `relative` below `dir` is this version of its object.
    pub(super) fn is_current(&self, dir: &Path, relative: &Path, version: &Version) -> bool {
        self.known.get(relative).is_none_or(|known| known.version == *version)
            && fs::symlink_metadata(dir.join(relative)).is_ok_and(|file| version.is(&file))
    }

    /// Notes that the server has this version of an object, and that the file `relative`
    /// is it.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub(super) fn add(&mut self, relative: PathBuf, version: Version) -> Result<()> {
        if let Some(known) = self.known.get_mut(&relative)
            && known.version == version
        {
            known.listed = true;
            return Ok(());
        }
        let line = Line { path: relative, version };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        // Whole lines, each in one call: whatever kills this process, at most the last
        // line is broken.
        self.file
            .write_all(&text)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        let known = Known { version: line.version, listed: true };
        self.void += usize::from(self.known.insert(line.path, known).is_some());
        Ok(())
    }

    /// Removes the files below `dir` whose objects the server did not list, and what
    /// directories that leaves empty; a file that somebody changed since it was fetched
    /// stays. Returns how many were removed.
    ///
    /// # Errors
    /// When a file cannot be removed or the index not be written.
    pub(super) fn remove_unlisted(&mut self, dir: &Path) -> Result<u64> {
        let mut removed = 0;
        let gone: Vec<_> = self.known.extract_if(|_, known| !known.listed).collect();
        for (relative, known) in &gone {
            let path = dir.join(relative);
            let unchanged = fs::symlink_metadata(&path).is_ok_and(|file| known.version.is(&file));
            if unchanged && !leads_through_link(dir, relative) {
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove {}", path.display()))?;
                removed += 1;
                for parent in relative.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()) {
                    // One that is not empty stays.
                    if fs::remove_dir(dir.join(parent)).is_err() {
                        break;
                    }
                }
            }
        }
        if !gone.is_empty() || self.void > 0 {
            self.rewrite()?;
        }
        Ok(removed)
    }

    /// Leaves out what is void.
    fn rewrite(&mut self) -> Result<()> {
        let mut text = Vec::new();
        let mut sorted: Vec<_> = self.known.iter().collect();
        sorted.sort_by_key(|(path, _)| *path);
        for (path, Known { version, .. }) in sorted {
            let line = Line { path: path.clone(), version: version.clone() };
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        write_atomically(&self.path, &text)?;
        self.file = File::options().append(true).open(&self.path)?;
        self.void = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(modified: u64) -> Version {
        Version { size: 1, modified, tag: format!("{modified}") }
    }

    /// A file that is that version.
    fn file(dir: &Path, name: &str, version: &Version) {
        fs::write(dir.join(name), "x").unwrap();
        File::open(dir.join(name)).unwrap().set_modified(version.time()).unwrap();
    }

    #[test]
    fn a_line_that_was_cut_off_costs_one_object() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let mut index = Index::open(&path).unwrap();
        for name in ["a", "b"] {
            index.add(name.into(), version(7)).unwrap();
        }
        drop(index);
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        let mut index = Index::open(&path).unwrap();
        file(dir.path(), "a", &version(7));
        assert!(index.is_current(dir.path(), Path::new("a"), &version(7)));
        let other = Version { tag: "another ETag".to_owned(), ..version(7) };
        assert!(!index.is_current(dir.path(), Path::new("a"), &other));
        index.add("c".into(), version(8)).unwrap();
        drop(index);
        let known = Index::open(&path).unwrap().known;
        let mut names: Vec<_> = known.keys().map(|path| path.to_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "c"]);
    }

    #[test]
    fn what_is_void_is_left_out_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let mut index = Index::open(&path).unwrap();
        for time in 1..100 {
            index.add("a".into(), version(time)).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 99);
        index.remove_unlisted(dir.path()).unwrap();
        index.add("b".into(), version(1)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
    }

    #[test]
    fn only_what_is_as_it_was_fetched_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::open(&dir.path().join("index")).unwrap();
        for name in ["gone", "changed", "there"] {
            file(dir.path(), name, &version(7));
            index.add(name.into(), version(7)).unwrap();
        }
        drop(index);
        fs::write(dir.path().join("changed"), "by somebody").unwrap();
        let mut index = Index::open(&dir.path().join("index")).unwrap();
        index.add("there".into(), version(7)).unwrap();
        assert_eq!(index.remove_unlisted(dir.path()).unwrap(), 1);
        assert!(!dir.path().join("gone").exists());
        assert!(dir.path().join("changed").exists() && dir.path().join("there").exists());
    }
}
