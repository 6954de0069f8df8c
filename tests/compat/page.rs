//! docs/compat.md has every difference that a table or a test is about, and no other; and
//! every fixture of madengine has its tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::common::read;
use crate::table::{sections, toml_file};

/// `told` are the differences that tests in Rust show.
pub(crate) fn differences(told: &[&str]) {
    let tables = ["lines.toml", "results.toml", "tags.toml", "entries.toml"].map(sections);
    let all = tables.into_iter().flatten();
    let mut used: BTreeSet<String> = all.filter_map(|(_, row)| row.why).collect();
    used.extend(told.iter().map(|id| (*id).to_owned()));
    let page = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compat.md"));
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    let headings: BTreeSet<String> = headings.map(str::to_owned).collect();
    let missing: Vec<&String> = used.difference(&headings).collect();
    let unused: Vec<&String> = headings.difference(&used).collect();
    assert!(missing.is_empty(), "docs/compat.md lacks {missing:?}");
    assert!(unused.is_empty(), "nothing shows {unused:?} of docs/compat.md");
}

/// A fixture of madengine.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Mirrored {
    By { is_for: String, tests: BTreeSet<String> },
    Not { needs: String },
}

/// `tests` are those that there are.
pub(crate) fn matrix(tests: &[&str]) {
    let matrix: BTreeMap<String, Mirrored> = toml_file("matrix.toml");
    assert_eq!(matrix.len(), 38, "madengine has 38 fixtures");
    for (fixture, mirrored) in matrix {
        match mirrored {
            Mirrored::By { is_for, tests: by } => {
                assert!(!is_for.is_empty() && !by.is_empty(), "{fixture}");
                let gone: Vec<_> = by.iter().filter(|t| !tests.contains(&t.as_str())).collect();
                assert!(gone.is_empty(), "{fixture}: there are no tests {gone:?}");
            }
            Mirrored::Not { needs } => assert!(!needs.is_empty(), "{fixture}"),
        }
    }
}
