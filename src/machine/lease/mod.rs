//! Exclusive or shared use of a machine's parts across threads, processes and users.
//!
//! A lease is a set of `flock` locks on files in one directory, a file for each part. The
//! lock belongs to an open file, so two threads of one process exclude each other as two
//! processes do, and the kernel releases it when the holder dies, by SIGKILL too. The
//! file's text names the last holder for people to read; only the lock counts. Files are
//! never removed: a file removed while somebody waits for it would be locked twice.
//!
//! All parts of a request are taken or none; between attempts nothing is held. Requests
//! therefore cannot deadlock. Narrow ones may go ahead of a wide one that waits, but not for
//! ever: who waits has a [`Ticket`], and from the time that is written in it nobody younger
//! takes what it waits for. A holder must not ask for a second lease while it holds one.
//!
//! Containers take part when the directory is mounted into them. It has to be on a local
//! file system: some network file systems do not lock between hosts.

mod queue;
mod slot;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

pub use queue::Ticket;
use slot::Slot;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A wait shorter than this is not worth telling anybody.
const TELL_AFTER: Duration = Duration::from_secs(1);

/// How long others may go ahead of who waits, where nobody knows better: long enough that
/// short measurements fill the gaps, short against what a wide one takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

const DIRECTORY_VARIABLE: &str = "MAD_LEASE_DIR";
const DEFAULT_DIRECTORY: &str = "/tmp/mad-leases";

/// Longest name taken from a [`Resource::Gpu`], for the sake of the file name.
const NAME_MAX: usize = 100;

/// A part of a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// The processors, all together.
    Cpu,
    /// One processor, by the number that the kernel gives it. Who has one shares the CPU.
    Core(u32),
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
            Self::Core(number) => format!("core-{number}.lock"),
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
            Self::Core(number) => write!(f, "core {number}"),
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
    /// Parts of which any will do; held exclusively.
    pub choices: Vec<Choice>,
    /// Who wants them, for those who wait: run id and case.
    pub owner: String,
}

/// Any `count` of `candidates`. The first free ones are taken.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What there is to choose from, the best first.
    pub candidates: Vec<Resource>,
    /// How many are wanted.
    pub count: usize,
}

impl Choice {
    fn kind(&self) -> &'static str {
        match self.candidates.first() {
            Some(Resource::Core(_)) => "cores",
            _ => "GPUs",
        }
    }
}

/// What was granted: the lease, and for each [`Choice`] the positions of those that were
/// chosen, ascending.
pub type Granted = (Lease, Vec<Vec<usize>>);

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
    #[error("{wanted} {kind} are wanted but only {candidates} can be chosen from")]
    TooFew {
        /// Of what.
        kind: &'static str,
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

/// Locks on some of the candidates, and the positions of these.
type Chosen = (Vec<Slot>, Vec<usize>);

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

    /// Waits until everything that is requested is held.
    ///
    /// `cancelled` is asked at least every 100 ms. `waiting` is called once, after a
    /// second, with what is in use and by whom.
    ///
    /// # Errors
    ///
    /// An unusable directory or file, cancellation, or fewer candidates than are wanted.
    pub fn acquire(
        &self,
        request: &LeaseRequest,
        cancelled: &dyn Fn() -> bool,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Granted, LeaseError> {
        let start = Instant::now();
        let (mut pause, mut told, mut ticket) = (FIRST_PAUSE, false, None);
        loop {
            let who = match self.try_acquire(request, ticket.as_ref())? {
                Attempt::Held(granted) => return Ok(granted),
                Attempt::Busy(who) => who,
            };
            if cancelled() {
                return Err(LeaseError::Cancelled { waiting_for: who });
            }
            if ticket.is_none() {
                ticket = Some(self.queue(request, SystemTime::now() + PATIENCE)?);
            }
            if !told && start.elapsed() >= TELL_AFTER {
                waiting(&who);
                told = true;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes everything that is requested if it is free now, and if it is nobody's turn who
    /// waits for longer than the holder of `ticket`.
    ///
    /// # Errors
    ///
    /// As [`Leases::acquire`], apart from cancellation.
    pub fn try_acquire(
        &self,
        request: &LeaseRequest,
        ticket: Option<&Ticket>,
    ) -> Result<Attempt<Granted>, LeaseError> {
        self.prepare()?;
        let fixed = merge(&request.resources);
        let mut seen: BTreeSet<String> = fixed.keys().cloned().collect();
        let mut choices = Vec::with_capacity(request.choices.len());
        for choice in &request.choices {
            let different = choice.candidates.iter().enumerate();
            let different: Vec<(usize, &Resource)> =
                different.filter(|(_, c)| seen.insert(c.file_name())).collect();
            if different.len() < choice.count {
                let (kind, candidates) = (choice.kind(), different.len());
                return Err(LeaseError::TooFew { kind, wanted: choice.count, candidates });
            }
            choices.push((choice, different));
        }
        if let Some(who) = queue::ahead(&self.dir, request, ticket) {
            return Ok(Attempt::Busy(who));
        }
        let mut slots = match self.try_all(&fixed)? {
            Attempt::Held(slots) => slots,
            Attempt::Busy(who) => return Ok(Attempt::Busy(who)),
        };
        let mut chosen = Vec::with_capacity(choices.len());
        for (choice, candidates) in choices {
            match self.try_any(choice, &candidates)? {
                Attempt::Held((more, positions)) => {
                    slots.extend(more);
                    chosen.push(positions);
                }
                Attempt::Busy(who) => return Ok(Attempt::Busy(who)),
            }
        }
        Ok(Attempt::Held((Lease::new(slots, &request.owner), chosen)))
    }

    /// Joins those who wait. From `promised` on, nobody who came later takes what `request`
    /// could use, until the ticket is dropped.
    ///
    /// # Errors
    ///
    /// An unusable directory.
    pub fn queue(
        &self,
        request: &LeaseRequest,
        promised: SystemTime,
    ) -> Result<Ticket, LeaseError> {
        self.prepare()?;
        Ticket::new(&self.dir, request, promised)
            .map_err(|source| LeaseError::Directory { path: self.dir.clone(), source })
    }

    fn try_any(
        &self,
        choice: &Choice,
        candidates: &[(usize, &Resource)],
    ) -> Result<Attempt<Chosen>, LeaseError> {
        let (count, kind) = (choice.count, choice.kind());
        let (mut slots, mut chosen, mut busy) = (Vec::new(), Vec::with_capacity(count), Vec::new());
        for (at, candidate) in candidates {
            if chosen.len() == count {
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
        if chosen.len() == count {
            chosen.sort_unstable();
            return Ok(Attempt::Held((slots, chosen)));
        }
        Ok(Attempt::Busy(format!(
            "{count} of {} {kind}, {} free: {}",
            candidates.len(),
            chosen.len(),
            busy.join("; ")
        )))
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
pub enum Attempt<T> {
    /// It is held.
    Held(T),
    /// Somebody else has it, or is to have it first.
    Busy(String),
}
