//! Changes of files for people and for `git apply`.

use std::path::Path;

use similar::TextDiff;

/// Lines around a change that a diff shows.
const CONTEXT: usize = 3;

/// A change of a file as a unified diff, which `git apply` and `patch -p1` take.
pub(crate) fn unified(before: Option<&str>, after: &str, path: &Path) -> String {
    let path = path.display();
    let old = before.map_or_else(|| "/dev/null".to_owned(), |_| format!("a/{path}"));
    // These programs know no other end of a line.
    let before: Vec<&str> = before.unwrap_or_default().split_inclusive('\n').collect();
    let after: Vec<&str> = after.split_inclusive('\n').collect();
    TextDiff::configure()
        .newline_terminated(true)
        .diff_slices(&before, &after)
        .unified_diff()
        .context_radius(CONTEXT)
        .header(&old, &format!("b/{path}"))
        .to_string()
}
