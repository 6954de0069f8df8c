//! Exclusive or shared use of a machine's parts across threads, processes and users.
//!
//! A lease is a set of `flock` locks on files in one directory, a file for each part. The
//! lock belongs to an open file, so two threads of one process exclude each other as two
//! processes do, and the kernel releases it when the holder dies, by SIGKILL too. The
//! file's text names the last holder for people to read; only the lock counts. Files are
//! never removed: a file removed while somebody waits for it would be locked twice.
//!
//! All parts of a request are taken or none; between attempts nothing is held. Requests
//! therefore cannot deadlock, but a wide one may wait until narrow ones leave a gap. A
//! holder must not ask for a second lease while it holds one.
//!
//! Containers take part when the directory is mounted into them. It has to be on a local
//! file system: some network file systems do not lock between hosts.

mod slot;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use slot::Slot;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A wait shorter than this is not worth telling anybody.
const TELL_AFTER: Duration = Duration::from_secs(1);

const DIRECTORY_VARIABLE: &str = "MAD_LEASE_DIR";
const DEFAULT_DIRECTORY: &str = "/tmp/mad-leases";

/// Longest name taken from a [`Resource::Gpu`], for the sake of the file name.
const NAME_MAX: usize = 100;

/// A part of a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The processors, all together.
    Cpu,
    /// A GPU by the name that [`Gpu::resource`](super::Gpu::resource) gives it.
    Gpu(String),
    /// A container that several programs would give the same name.
    Container(String),
}

impl Resource {
    /// Name of the lock file; characters that do not belong in one become `-`.
    fn file_name(&self) -> String {
        match self {
            Self::Cpu => "cpu.lock".to_owned(),
            Self::Gpu(name) | Self::Container(name) => {
                let kind = if matches!(self, Self::Gpu(_)) { "gpu" } else { "container" };
                let safe: String = name
                    .chars()
                    .take(NAME_MAX)
                    .map(|c| match c {
                        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '_' | '-' => c,
                        _ => '-',
                    })
                    .collect();
                format!("{kind}-{safe}.lock")
            }
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("the CPU"),
            Self::Gpu(name) => write!(f, "GPU {name}"),
            Self::Container(name) => write!(f, "the container {name}"),
        }
    }
}

/// How a part is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Share {
    /// Together with others that share it.
    Shared,
    /// By nobody else.
    Exclusive,
}

/// What to hold, and for whom.
#[derive(Clone, Debug)]
pub struct LeaseRequest {
    /// The parts; of one named twice, the stronger share counts.
    pub resources: Vec<(Resource, Share)>,
    /// Who wants them, for those who wait: run id and case.
    pub owner: String,
}

/// Parts of the machine that are held; released on drop, or when the process ends.
#[derive(Debug)]
#[must_use = "dropping a lease releases it"]
pub struct Lease {
    #[expect(dead_code, reason = "held for their locks, which end with them")]
    slots: Vec<Slot>,
}

impl Lease {
    /// The notes are left only now: an attempt that fails half-way shall not put its name
    /// over that of somebody who shares a part.
    fn new(mut slots: Vec<Slot>, owner: &str) -> Self {
        let note = slot::note(owner);
        for slot in &mut slots {
            slot.leave_note(&note);
        }
        Self { slots }
    }
}

/// Why there is no lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The directory of the lock files cannot be used.
    #[error(
        "cannot use {} for lease files: {source}; set {DIRECTORY_VARIABLE} to a directory that everybody who measures on this machine can write to",
        path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A lock file cannot be opened or locked.
    #[error(
        "cannot lock {}: {source}; remove it if it is no plain file, or set {DIRECTORY_VARIABLE} to another directory for everybody who measures on this machine",
        path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The request can never be met.
    #[error("{wanted} GPUs are wanted but only {candidates} can be chosen from")]
    TooFew {
        /// How many are wanted.
        wanted: usize,
        /// How many different ones there are.
        candidates: usize,
    },
    /// Cancelled while waiting.
    #[error("cancelled while waiting for {waiting_for}")]
    Cancelled {
        /// What was still in use, and by whom.
        waiting_for: String,
    },
}

/// The leases of one machine: a directory of lock files.
#[derive(Clone, Debug)]
pub struct Leases {
    dir: PathBuf,
}

/// Lock files by name, which is also the order of locking. Names, not resources: two that
/// share a file would wait for themselves.
type Wanted = BTreeMap<String, (Resource, Share)>;

impl Leases {
    /// Leases kept in `dir`, which is made by the first request.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// `$MAD_LEASE_DIR`, else `/tmp/mad-leases`: one place for all users of the machine.
    pub fn default_dir() -> PathBuf {
        std::env::var_os(DIRECTORY_VARIABLE)
            .filter(|dir| !dir.is_empty())
            .map_or_else(|| PathBuf::from(DEFAULT_DIRECTORY), PathBuf::from)
    }

    /// Waits until all resources are held.
    ///
    /// `cancelled` is asked at least every 100 ms. `waiting` is called once, after a
    /// second, with what is in use and by whom.
    ///
    /// # Errors
    ///
    /// An unusable directory or file, or cancellation.
    pub fn acquire(
        &self,
        request: &LeaseRequest,
        cancelled: &dyn Fn() -> bool,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Lease, LeaseError> {
        self.prepare()?;
        let wanted = merge(&request.resources);
        wait(cancelled, waiting, || {
            Ok(match self.try_all(&wanted)? {
                Attempt::Held(slots) => Attempt::Held(Lease::new(slots, &request.owner)),
                Attempt::Busy(who) => Attempt::Busy(who),
            })
        })
    }

    /// Waits until any `n` of `candidates` are free together, holds them exclusively and
    /// everything in `also` with them, and says which they are (positions, ascending).
    ///
    /// The first free ones are taken, so that later wide requests find a gap sooner.
    ///
    /// # Errors
    ///
    /// As [`Leases::acquire`]; also when there are fewer than `n` different candidates,
    /// not counting any named in `also`.
    pub fn acquire_any(
        &self,
        candidates: &[Resource],
        n: usize,
        also: &[(Resource, Share)],
        owner: &str,
        cancelled: &dyn Fn() -> bool,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<(Lease, Vec<usize>), LeaseError> {
        self.prepare()?;
        let fixed = merge(also);
        let mut seen: BTreeSet<String> = fixed.keys().cloned().collect();
        let choice: Vec<(usize, &Resource)> = candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| seen.insert(candidate.file_name()))
            .collect();
        if choice.len() < n {
            return Err(LeaseError::TooFew { wanted: n, candidates: choice.len() });
        }
        wait(cancelled, waiting, || {
            let mut slots = match self.try_all(&fixed)? {
                Attempt::Held(slots) => slots,
                Attempt::Busy(who) => return Ok(Attempt::Busy(who)),
            };
            let (mut chosen, mut busy) = (Vec::with_capacity(n), Vec::new());
            for (at, candidate) in &choice {
                if chosen.len() == n {
                    break;
                }
                match self.try_one(candidate, Share::Exclusive)? {
                    Attempt::Held(slot) => {
                        slots.push(slot);
                        chosen.push(*at);
                    }
                    Attempt::Busy(who) => busy.push(who),
                }
            }
            Ok(if chosen.len() == n {
                Attempt::Held((Lease::new(slots, owner), chosen))
            } else {
                Attempt::Busy(format!(
                    "{n} of {} GPUs, {} free: {}",
                    choice.len(),
                    chosen.len(),
                    busy.join("; ")
                ))
            })
        })
    }

    fn try_all(&self, wanted: &Wanted) -> Result<Attempt<Vec<Slot>>, LeaseError> {
        let mut slots = Vec::with_capacity(wanted.len());
        for (resource, share) in wanted.values() {
            match self.try_one(resource, *share)? {
                Attempt::Held(slot) => slots.push(slot),
                Attempt::Busy(who) => return Ok(Attempt::Busy(who)),
            }
        }
        Ok(Attempt::Held(slots))
    }

    fn try_one(&self, resource: &Resource, share: Share) -> Result<Attempt<Slot>, LeaseError> {
        let path = self.dir.join(resource.file_name());
        match Slot::try_lock(&path, share) {
            Ok(Attempt::Busy(who)) => Ok(Attempt::Busy(format!("{resource}, {who}"))),
            Ok(held) => Ok(held),
            Err(source) => Err(LeaseError::File { path, source }),
        }
    }

    /// Makes the directory when it is missing, for everybody to use, and makes sure that
    /// it is one.
    fn prepare(&self) -> Result<(), LeaseError> {
        prepare(&self.dir)
            .map_err(|source| LeaseError::Directory { path: self.dir.clone(), source })
    }
}

fn prepare(dir: &Path) -> io::Result<()> {
    let made = match DirBuilder::new().mode(0o1777).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = dir.parent() {
                fs::create_dir_all(parent)?;
            }
            DirBuilder::new().mode(0o1777).create(dir)
        }
        made => made,
    };
    match made {
        // The umask took bits away.
        Ok(()) => fs::set_permissions(dir, Permissions::from_mode(0o1777))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // In a directory like /tmp a link here could be anybody's, and lead anywhere.
    if fs::symlink_metadata(dir)?.is_dir() {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::NotADirectory))
    }
}

fn merge(resources: &[(Resource, Share)]) -> Wanted {
    let mut wanted = Wanted::new();
    for (resource, share) in resources {
        let (_, strongest) =
            wanted.entry(resource.file_name()).or_insert_with(|| (resource.clone(), *share));
        *strongest = (*strongest).max(*share);
    }
    wanted
}

/// Outcome of one attempt: held, or who has it.
#[derive(Debug)]
enum Attempt<T> {
    Held(T),
    Busy(String),
}

/// Tries again and again, ever less often, until the attempt holds.
fn wait<T>(
    cancelled: &dyn Fn() -> bool,
    waiting: &mut dyn FnMut(&str),
    mut attempt: impl FnMut() -> Result<Attempt<T>, LeaseError>,
) -> Result<T, LeaseError> {
    let start = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut told = false;
    loop {
        let who = match attempt()? {
            Attempt::Held(held) => return Ok(held),
            Attempt::Busy(who) => who,
        };
        if cancelled() {
            return Err(LeaseError::Cancelled { waiting_for: who });
        }
        if !told && start.elapsed() >= TELL_AFTER {
            waiting(&who);
            told = true;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
