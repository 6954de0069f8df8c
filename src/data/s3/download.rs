//! One object into one file.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context as _, Result, anyhow};

use super::client::Object;
use super::key::make_parents;
use super::retry::{Failure, Retry};
use super::{Transfer, held};

const BUFFER: usize = 256 << 10;

impl Transfer<'_> {
    /// Downloads an object to `partial`, then moves it to `relative`. A connection that
    /// breaks is made again, and the rest downloaded.
    pub(super) fn get(&self, object: &Object, relative: PathBuf, partial: &Path) -> Result<()> {
        let size = object.version.size;
        let mut file = Partial::create(partial)?;
        let mut retry = Retry::default();
        // An empty object has nothing to ask for.
        while file.length < size {
            let before = file.length;
            if let Err(failure) = self.rest(object, &mut file) {
                if file.length > before {
                    retry.start_anew();
                }
                retry
                    .pause(failure, &|| self.stopped())
                    .with_context(|| format!("object {:?}", object.key))?;
            }
        }
        let target = self.dir.join(&relative);
        make_parents(self.dir, &relative)?;
        file.file
            .set_modified(object.version.time())
            .and_then(|()| fs::rename(partial, &target))
            .with_context(|| format!("cannot write {}", target.display()))?;
        held(&self.index).add(relative, object.version.clone())?;
        self.new_objects.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Downloads what is missing, or as much of it as the connection gives.
    fn rest(&self, object: &Object, file: &mut Partial<'_>) -> Result<(), Failure> {
        let size = object.version.size;
        let etag = object.etag.as_ref().or(file.etag.as_ref());
        let content = self.client.content(&object.key, etag.map(String::as_str), file.length)?;
        if !content.continued {
            file.start_anew()?;
        }
        file.etag = content.etag;
        let mut bytes = content.bytes;
        let mut buffer = vec![0; BUFFER];
        loop {
            if self.stopped() {
                return Err(Failure::Temporary("stopped".to_owned()));
            }
            let count = match bytes.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e.into()),
            };
            file.write(&buffer[..count])?;
            self.new_bytes.fetch_add(count as u64, Ordering::Relaxed);
        }
        match file.length {
            length if length == size => Ok(()),
            length if length < size => Err(Failure::Temporary(format!(
                "the connection ended after {length} of {size} bytes"
            ))),
            length => Err(Failure::Final(anyhow!(
                "it was listed with {size} bytes and has {length}: it was changed; try again"
            ))),
        }
    }
}

/// A file that is not complete yet.
struct Partial<'a> {
    path: &'a Path,
    file: File,
    length: u64,
    /// Of the version that it is the start of, if the server says.
    etag: Option<String>,
}

impl<'a> Partial<'a> {
    fn create(path: &'a Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Partial { path, file, length: 0, etag: None })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn start_anew(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.length = 0;
        Ok(())
    }
}
