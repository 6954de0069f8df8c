//! Those who wait: a locked file for each, so that a wide request is not passed for ever.
//!
//! The file's name says since when somebody waits, its text for what and from when nobody
//! younger may take any of it. As with leases only the lock counts: a ticket that nobody
//! holds is one that kill -9 left behind.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::{LeaseRequest, Share, slot};

const PREFIX: &str = "ticket-";
/// A ticket is made under this name, and gets its own once it is locked.
const UNFINISHED: &str = "unfinished-";
/// Longest ticket that is read; anybody can put one there.
const SIZE_MAX: u64 = 1 << 16;

/// A place among those who wait; given up on drop, or when the process ends.
#[derive(Debug)]
pub struct Ticket {
    path: PathBuf,
    name: String,
    _file: File,
}

/// What a ticket says.
#[derive(Debug, Serialize, Deserialize)]
struct Text {
    owner: String,
    /// Seconds of the Unix epoch from which nobody younger takes any of it.
    promised: f64,
    /// Lock files that are wanted for oneself, or might be.
    exclusive: BTreeSet<String>,
    /// Lock files that are wanted together with others.
    shared: BTreeSet<String>,
}

impl Text {
    fn new(request: &LeaseRequest, promised: f64) -> Text {
        let of = |share| {
            let parts = request.resources.iter().filter(move |(_, s)| *s == share);
            parts.map(|(resource, _)| resource.file_name())
        };
        let wanted = request.choices.iter().filter(|choice| choice.count > 0);
        let any = wanted.flat_map(|choice| &choice.candidates).map(|c| c.file_name());
        Text {
            owner: slot::note(&request.owner).trim().to_owned(),
            promised,
            exclusive: of(Share::Exclusive).chain(any).collect(),
            shared: of(Share::Shared).collect(),
        }
    }

    /// Whether the two cannot both have what they want.
    fn conflicts(&self, other: &Text) -> bool {
        let meet = |a: &BTreeSet<String>, b: &BTreeSet<String>| !a.is_disjoint(b);
        meet(&self.exclusive, &other.exclusive)
            || meet(&self.exclusive, &other.shared)
            || meet(&self.shared, &other.exclusive)
    }
}

impl Ticket {
    pub(super) fn new(
        dir: &Path,
        request: &LeaseRequest,
        promised: SystemTime,
    ) -> io::Result<Ticket> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let since = since_epoch(SystemTime::now()).as_nanos();
        let unique = format!("{since:020}-{}-{count}", std::process::id());
        let unfinished = dir.join(format!("{UNFINISHED}{unique}"));
        let name = format!("{PREFIX}{unique}");
        let path = dir.join(&name);
        let text = Text::new(request, since_epoch(promised).as_secs_f64());
        let mut file = File::create_new(&unfinished)?;
        // The umask took bits away: who comes later has to read it.
        let made = file
            .set_permissions(fs::Permissions::from_mode(0o644))
            .and_then(|()| file.lock())
            .and_then(|()| file.write_all(&serde_json::to_vec(&text)?))
            .and_then(|()| fs::rename(&unfinished, &path));
        if let Err(error) = made {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        Ok(Ticket { path, name, _file: file })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // One that stays is unlocked, and found to be nobody's.
        let _ = fs::remove_file(&self.path);
    }
}

/// Who is to have some of what `request` wants first: somebody who waits for longer, and
/// whose time has come.
pub(super) fn ahead(dir: &Path, request: &LeaseRequest, own: Option<&Ticket>) -> Option<String> {
    let now = since_epoch(SystemTime::now()).as_secs_f64();
    let mut tickets: Vec<String> = fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(PREFIX))
        .filter(|name| own.is_none_or(|own| *name < own.name))
        .collect();
    tickets.sort_unstable();
    let wanted = Text::new(request, now);
    tickets.iter().find_map(|name| {
        let text = read(&dir.join(name))?;
        (text.promised <= now && text.conflicts(&wanted))
            .then(|| format!("the turn of {}", text.owner))
    })
}

/// A ticket that somebody holds; one that nobody does is removed.
fn read(path: &Path) -> Option<Text> {
    let mut file = slot::open_existing(path).ok()?;
    if file.try_lock_shared().is_ok() {
        let _ = fs::remove_file(path);
        return None;
    }
    let mut bytes = Vec::new();
    (&mut file).take(SIZE_MAX).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
