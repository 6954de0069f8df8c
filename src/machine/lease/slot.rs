//! One lock file.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Attempt, Share};

/// Longest owner text that is read back; anybody can write into the file.
const OWNER_MAX: u64 = 500;

/// A locked file; unlocked on drop.
#[derive(Debug)]
pub(super) struct Slot {
    file: File,
    share: Share,
}

impl Slot {
    /// Locks the file at `path`, made when missing, or says who holds it.
    pub(super) fn try_lock(path: &Path, share: Share) -> io::Result<Attempt<Self>> {
        let mut file = open(path)?;
        let locked = match share {
            Share::Exclusive => file.try_lock(),
            Share::Shared => file.try_lock_shared(),
        };
        match locked {
            Ok(()) => Ok(Attempt::Held(Self { file, share })),
            Err(TryLockError::WouldBlock) => Ok(Attempt::Busy(describe_owner(&mut file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Leaves a note for those who find the file locked. Of several who share it, the last
    /// one's stands. Failure to write it does not matter to the lock.
    pub(super) fn leave_note(&mut self, note: &str) {
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.rewind())
            .and_then(|()| self.file.write_all(note.as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "lease without its owner's name");
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.share == Share::Exclusive {
            // Only a courtesy to readers, like the text itself.
            let _ = self.file.set_len(0);
        }
        // Said rather than left to closing: a child forked by another thread at this
        // moment has a copy of the file until it executes its program.
        let _ = self.file.unlock();
    }
}

/// How files in the directory are opened: a link or a pipe that somebody planted must
/// neither be followed nor waited for.
fn reading() -> OpenOptions {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    options
}

/// Opens a file of the directory for reading, if it is there.
pub(super) fn open_existing(path: &Path) -> io::Result<File> {
    reading().open(path)
}

/// Opens a lock file for reading and, where permitted, writing.
fn open(path: &Path) -> io::Result<File> {
    let options = reading();
    let file = loop {
        // First without creating: with fs.protected_regular the kernel forbids opening
        // another user's file in a sticky directory when O_CREAT is among the flags.
        match options.clone().write(true).open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            // Reading is enough for a lock; the owner's name is then missing.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                break options.open(path)?;
            }
            opened => break opened?,
        }
        match options.clone().write(true).create_new(true).mode(0o666).open(path) {
            // Somebody else was quicker.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(file) => {
                // The umask took bits away.
                file.set_permissions(Permissions::from_mode(0o666))?;
                break file;
            }
        }
    };
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "not a plain file"))
    }
}

/// The note that names an owner, from now on.
pub(super) fn note(owner: &str) -> String {
    let since = OffsetDateTime::now_utc()
        .replace_nanosecond(0)
        .ok()
        .and_then(|now| now.format(&Rfc3339).ok())
        .unwrap_or_default();
    let owner: String = owner.chars().filter(|c| !c.is_control()).collect();
    format!("pid {} ({owner}) since {since}\n", std::process::id())
}

/// The note in a file that is locked, as `held by …`.
fn describe_owner(file: &mut File) -> String {
    let mut text = Vec::new();
    let read =
        file.rewind().and_then(|()| (&*file).take(OWNER_MAX).read_to_end(&mut text).map(|_| ()));
    let text = String::from_utf8_lossy(&text);
    let note = text.lines().next().unwrap_or_default().trim();
    if read.is_err() || note.is_empty() {
        return "held by another process".to_owned();
    }
    let note: String = note.chars().filter(|c| !c.is_control()).collect();
    let pid = note
        .strip_prefix("pid ")
        .and_then(|rest| rest.split(' ').next())
        .and_then(|pid| pid.parse::<u32>().ok());
    match pid {
        // The lock is held, so the note is either of an earlier holder, of one among
        // several, or of a process whose number means nothing here.
        Some(pid) if !Path::new(&format!("/proc/{pid}")).exists() => {
            format!("held by another process (last note: {note}, not running here)")
        }
        _ => format!("held by {note}"),
    }
}
