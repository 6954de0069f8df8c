//! Keeping a thread, and what it starts, to some of the processors.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// This thread, kept to some processors until it is dropped.
#[derive(Debug)]
pub(super) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    /// Keeps this thread to `cores`, if there are any and the kernel lets it.
    pub(super) fn to(cores: &[u32]) -> Option<Pinned> {
        let mut set = CpuSet::new();
        cores.iter().for_each(|&core| set.set(core as usize));
        if cores.is_empty() {
            return None;
        }
        let before = sched_getaffinity(None).ok()?;
        match sched_setaffinity(None, &set) {
            Ok(()) => Some(Pinned { before }),
            Err(error) => {
                tracing::warn!("cannot keep a script to its cores {cores:?}: {error}");
                None
            }
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What was allowed before is allowed again, or the thread stays where it is.
        let _ = sched_setaffinity(None, &self.before);
    }
}
