//! Lock files: one holder at a time, or several readers, across threads and processes.
//!
//! The kernel releases a lock when its holder dies, so that nothing has to be cleaned up.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How a lock is asked for: [`File::try_lock`] or [`File::try_lock_shared`].
pub(crate) type Try = fn(&File) -> Result<(), TryLockError>;

/// Locks the file at `path`, made when missing, and holds it until the result is dropped.
/// Calls `waiting` once if somebody else holds it; gives up when `cancelled` says so.
///
/// # Errors
/// When the file cannot be made or locked, or on cancellation.
pub(crate) fn lock(
    path: &Path,
    try_lock: Try,
    cancelled: &dyn Fn() -> bool,
    waiting: impl FnOnce(),
) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut waiting = Some(waiting);
    let mut pause = Duration::from_millis(1);
    loop {
        match try_lock(&file) {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                ensure!(!cancelled(), "cancelled");
                if let Some(say_so) = waiting.take() {
                    say_so();
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(TryLockError::Error(e)) => {
                return Err(e).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}
