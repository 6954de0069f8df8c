//! Changes laid over each other.

use super::{Candidate, Change};

/// `base`, and `more` over it: of one lever the later value holds.
pub(super) fn merged(base: &[Change], more: &[Change]) -> Vec<Change> {
    let replaced = |c: &&Change| !more.iter().any(|m| same_lever(c, m));
    base.iter().filter(replaced).chain(more).cloned().collect()
}

/// Whether both set the same thing.
pub(super) fn same_lever(a: &Change, b: &Change) -> bool {
    a.kind == b.kind && a.lever == b.lever && a.file == b.file
}

/// The lever of `with` that `candidate` must not be tried together with.
pub(super) fn conflict<'c>(candidate: &Candidate, with: &'c Candidate) -> Option<&'c str> {
    let named = |c: &&Change| {
        candidate.conflicts.contains(&c.lever)
            || candidate.changes.iter().any(|own| with.conflicts.contains(&own.lever))
    };
    with.changes.iter().find(named).map(|c| c.lever.as_str())
}

/// Whether both can be tried together.
pub(super) fn fit(a: &Candidate, b: &Candidate) -> bool {
    let same = |change: &Change| b.changes.iter().any(|other| same_lever(change, other));
    conflict(a, b).is_none() && !a.changes.iter().any(same)
}
