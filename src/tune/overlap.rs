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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalog::LeverKind;

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = ("[ABC]", prop_oneof![Just(LeverKind::Env), Just(LeverKind::Arg)], "[1-9]");
        let change = change.prop_map(|(lever, kind, value)| Change {
            lever,
            kind,
            file: None,
            value,
            was: None,
            keep: Vec::new(),
        });
        // As all lists of changes here: each lever once.
        proptest::collection::vec(change, 0..6).prop_map(|all| {
            all.iter().fold(Vec::new(), |base, c| merged(&base, std::slice::from_ref(c)))
        })
    }

    proptest! {
        #[test]
        fn the_later_value_holds_and_nothing_else_changes(base in changes(), more in changes()) {
            let all = merged(&base, &more);
            for (i, a) in all.iter().enumerate() {
                prop_assert!(!all[i + 1..].iter().any(|b| same_lever(a, b)), "{:?} twice", a);
            }
            prop_assert!(more.iter().all(|c| all.contains(c)));
            let untouched = |c: &&Change| !more.iter().any(|m| same_lever(c, m));
            prop_assert!(base.iter().filter(untouched).all(|c| all.contains(c)));
            prop_assert!(all.iter().all(|c| base.contains(c) || more.contains(c)));
            prop_assert_eq!(merged(&all, &more), all);
        }
    }
}
