//! Downloads from an object store that speaks S3.
//!
//! The calling thread lists and compares, a few others download. All of it is bounded:
//! the queue between them, a buffer for each download; only the index of what is here
//! grows with the number of objects.

mod client;
mod download;
mod index;
mod key;
mod retry;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, bail, ensure};

pub(super) use client::answers;
use client::{Client, Object, Page};
use index::Index;
use key::relative_path;
use retry::Retry;

use super::{Fetched, Remote};
use crate::lock::lock;

/// Objects downloaded at the same time.
const DOWNLOADS: usize = 8;
/// Objects that may wait for one of them.
const QUEUE: usize = 64;
/// How soon a cancellation is noticed.
const LOOK: Duration = Duration::from_millis(50);
/// How often it is said how far things are.
const REPORT: Duration = Duration::from_secs(10);

/// Whether there is an S3 client, or what to do about it.
pub(super) fn is_built() -> Result<(), String> {
    Ok(())
}

/// Makes the directory `dir` hold what `remote` names, and the index of `dir`, beside
/// it, say so.
///
/// # Errors
/// What the server or the file system says, an object whose key is no path, or
/// cancellation.
pub(super) fn sync(
    name: &str,
    remote: &Remote,
    dir: &Path,
    log: &(dyn Fn(&str) + Sync),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Fetched> {
    let start = Instant::now();
    let notes = notes_of(dir)?;
    // Of several processes and threads, one gets the data set.
    let waiting = || log(&format!("data {name}: another process gets it"));
    let _lock = lock(&notes.join("lock"), File::try_lock, cancelled, waiting)?;
    let partial = notes.join("partial");
    match fs::remove_dir_all(&partial) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            return Err(e).with_context(|| format!("cannot remove {}", partial.display()));
        }
        _ => {}
    }
    for made in [dir, &partial] {
        fs::create_dir_all(made).with_context(|| format!("cannot make {}", made.display()))?;
    }
    let transfer = Transfer {
        client: Client::new(remote)?,
        remote,
        dir,
        partial,
        index: Mutex::new(Index::open(&notes.join("objects.jsonl"))?),
        error: Mutex::new(None),
        stop: AtomicBool::new(false),
        cancelled,
        new_objects: AtomicU64::new(0),
        new_bytes: AtomicU64::new(0),
    };
    let mut fetched = transfer.run(name, log)?;
    fetched.removed = held(&transfer.index).remove_unlisted(dir)?;
    fetched.seconds = start.elapsed().as_secs_f64();
    let Fetched { objects, new_objects, removed, seconds, .. } = fetched;
    log(&format!(
        "data {name}: {objects} objects, {} bytes in {}; {new_objects} fetched, {removed} removed, {seconds:.1} s",
        fetched.bytes,
        dir.display(),
    ));
    Ok(fetched)
}

/// Where notes about `dir` are kept: beside it, because the data set is what is in `dir`
/// and nothing else, and on the same file system, because files are moved from there.
fn notes_of(dir: &Path) -> Result<PathBuf> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else {
        bail!("{} cannot hold a data set", dir.display());
    };
    let notes = parent.join(".mad").join(name);
    fs::create_dir_all(&notes).with_context(|| format!("cannot make {}", notes.display()))?;
    Ok(notes)
}

/// One data set on its way here.
struct Transfer<'a> {
    client: Client<'a>,
    remote: &'a Remote,
    dir: &'a Path,
    /// Where files are until they are complete.
    partial: PathBuf,
    index: Mutex<Index>,
    /// The first thing that went wrong.
    error: Mutex<Option<Error>>,
    stop: AtomicBool,
    cancelled: &'a (dyn Fn() -> bool + Sync),
    new_objects: AtomicU64,
    new_bytes: AtomicU64,
}

/// An object and where it goes, relative to the data set's directory.
type Item = (Object, PathBuf);

impl Transfer<'_> {
    fn run(&self, name: &str, log: &(dyn Fn(&str) + Sync)) -> Result<Fetched> {
        let mut fetched = Fetched::default();
        let (queue, items) = mpsc::sync_channel::<Item>(QUEUE);
        let items = Arc::new(Mutex::new(items));
        // Closed by its end going out of scope, which wakes the one that watches.
        let (working, work) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                self.watch(&work, &|| {
                    let objects = self.new_objects.load(Ordering::Relaxed);
                    let bytes = self.new_bytes.load(Ordering::Relaxed);
                    log(&format!("data {name}: {objects} objects fetched so far, {bytes} bytes"));
                })
            });
            for number in 0..DOWNLOADS {
                let (items, working) = (Arc::clone(&items), working.clone());
                scope.spawn(move || {
                    let partial = self.partial.join(number.to_string());
                    // The queue must not be held while downloading.
                    let next = || held(&items).recv();
                    while let Ok((object, relative)) = next() {
                        if let Err(error) = self.get(&object, relative, &partial) {
                            self.fail(error);
                            break;
                        }
                    }
                    drop(working);
                });
            }
            // When all downloads have ended, nobody receives and sending fails.
            drop((items, working));
            if let Err(error) = self.list(&queue, &mut fetched) {
                self.fail(error);
            }
            drop(queue);
        });
        if (self.cancelled)() && held(&self.error).is_some() {
            bail!("cancelled");
        }
        if let Some(error) = held(&self.error).take() {
            return Err(error);
        }
        fetched.new_objects = self.new_objects.load(Ordering::Relaxed);
        fetched.new_bytes = self.new_bytes.load(Ordering::Relaxed);
        Ok(fetched)
    }

    /// Lists all objects, counts them, and queues those that are not here.
    fn list(&self, queue: &mpsc::SyncSender<Item>, fetched: &mut Fetched) -> Result<()> {
        let prefix = self.remote.prefix.as_str();
        let below = match prefix {
            "" => String::new(),
            prefix => format!("{}/", prefix.trim_end_matches('/')),
        };
        let mut next = None;
        loop {
            let page = self.page(&below, next.as_deref())?;
            for object in page.objects {
                let Some(key) = object.key.strip_prefix(&below) else {
                    bail!("the server lists {:?} below {below:?}", object.key);
                };
                if let Some(relative) = relative_path(key, object.version.size)? {
                    self.queue(queue, object, relative, fetched)?;
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        if fetched.objects == 0 && !prefix.is_empty() && !prefix.ends_with('/') {
            // One object alone. Of all keys that start so, its own is the first.
            let first = self.page(prefix, None)?.objects.into_iter().next();
            if let Some(object) = first.filter(|object| object.key == prefix) {
                let key = prefix.rsplit('/').next().unwrap_or(prefix);
                if let Some(relative) = relative_path(key, object.version.size)? {
                    self.queue(queue, object, relative, fetched)?;
                }
            }
        }
        ensure!(fetched.objects > 0, "there is no object of this name, and none below it");
        Ok(())
    }

    fn page(&self, prefix: &str, next: Option<&str>) -> Result<Page> {
        let mut retry = Retry::default();
        loop {
            match self.client.page(prefix, next) {
                Ok(page) => return Ok(page),
                Err(failure) => retry.pause(failure, &|| self.stopped())?,
            }
        }
    }

    fn queue(
        &self,
        queue: &mpsc::SyncSender<Item>,
        object: Object,
        relative: PathBuf,
        fetched: &mut Fetched,
    ) -> Result<()> {
        ensure!(!self.stopped(), "cancelled");
        fetched.objects += 1;
        fetched.bytes += object.version.size;
        {
            let mut index = held(&self.index);
            if index.is_current(self.dir, &relative, &object.version) {
                return index.add(relative, object.version);
            }
        }
        // Downloads that ended early have said why.
        queue.send((object, relative)).ok().context("cancelled")
    }

    /// Notes what went wrong, unless something did before, and ends everything.
    fn fail(&self, error: Error) {
        held(&self.error).get_or_insert(error);
        self.stop.store(true, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || (self.cancelled)()
    }

    /// Ends what waits for the network when everything is to end, and reports now and
    /// then, until no work is left.
    fn watch(&self, work: &mpsc::Receiver<()>, report: &dyn Fn()) {
        let mut reported = Instant::now();
        while work.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if self.stopped() {
                self.client.shut_down();
                return;
            }
            if reported.elapsed() >= REPORT {
                report();
                reported = Instant::now();
            }
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
