//! Dockerfiles of an entry: which files a prefix stands for, and their CONTEXT headers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::python::parse_literal;

/// What introduces a header line.
const MARKER: &str = "# CONTEXT ";
/// The header must stand in the first lines.
const HEADER_LINES: usize = 5;

/// What a Dockerfile says about where its image is for.
pub type Context = BTreeMap<String, Value>;

/// Why a Dockerfile has no usable CONTEXT header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextError {
    /// What kind of problem it is.
    pub kind: ContextErrorKind,
    /// What is wrong, one sentence.
    pub message: String,
    /// Byte range in the file.
    pub span: Range<usize>,
}

/// Kinds of [`ContextError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContextErrorKind {
    /// There is no header in the first five lines.
    Missing,
    /// The header is not a Python dict.
    Invalid,
    /// There are two headers.
    Twice,
    /// The file cannot be read.
    Unreadable,
}

/// The value that a Dockerfile gives its argument `name` itself, by `ARG name=value` or
/// `ENV name=value`.
pub fn argument_default(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (instruction, rest) = line.trim_start().split_once(char::is_whitespace)?;
        let given = ["ARG", "ENV"].iter().any(|word| instruction.eq_ignore_ascii_case(word));
        let (found, value) = rest.trim().split_once('=').filter(|_| given)?;
        let value = value.trim().trim_matches(['"', '\'']);
        (found == name && !value.is_empty() && !value.contains('$')).then(|| value.to_owned())
    })
}

/// Reads the CONTEXT header of a Dockerfile.
///
/// # Errors
/// When it is missing, stands twice, or is not a Python dict.
pub fn context_header(text: &str) -> Result<Context, ContextError> {
    let fail = |kind, span, message: String| Err(ContextError { kind, message, span });
    let headers = header_lines(text);
    let early: Vec<&(usize, Range<usize>)> =
        headers.iter().filter(|(line, _)| *line < HEADER_LINES).collect();
    let (_, span) = match (early.as_slice(), headers.first()) {
        ([one], _) => one,
        ([], None) => {
            let end = text.find('\n').unwrap_or(text.len());
            let message = "the Dockerfile has no `# CONTEXT {…}` header".to_owned();
            return fail(ContextErrorKind::Missing, 0..end, message);
        }
        ([], Some((line, span))) => {
            let message = format!(
                "the CONTEXT header stands in line {}, after the first {HEADER_LINES}",
                line + 1
            );
            return fail(ContextErrorKind::Missing, span.clone(), message);
        }
        ([_, second, ..], _) => {
            let message = "the Dockerfile has a second CONTEXT header".to_owned();
            return fail(ContextErrorKind::Twice, second.1.clone(), message);
        }
    };
    // madengine removes the marker and reads what is left of the line.
    let line = &text[span.clone()];
    let marker = line.find(MARKER).unwrap_or(0);
    let literal_start = marker + MARKER.len();
    if !line[..marker].trim().is_empty() {
        let message = "something stands before `# CONTEXT` in its line".to_owned();
        return fail(ContextErrorKind::Invalid, span.clone(), message);
    }
    match parse_literal(&line[literal_start..]) {
        Ok(Value::Object(map)) => Ok(map.into_iter().collect()),
        Ok(other) => {
            let message = format!("the CONTEXT header must be a dict, this is {other}");
            fail(ContextErrorKind::Invalid, span.start + literal_start..span.end, message)
        }
        Err(e) => {
            let start = (span.start + literal_start + e.offset).min(span.end);
            let message = format!("the CONTEXT header is not a Python literal: {e}");
            fail(ContextErrorKind::Invalid, start..span.end, message)
        }
    }
}

/// Number and byte range of every line that holds the marker.
fn header_lines(text: &str) -> Vec<(usize, Range<usize>)> {
    let mut start = 0;
    let mut found = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        if line.contains(MARKER) {
            found.push((number, start..start + line.trim_end_matches('\r').len()));
        }
        start += line.len() + 1;
    }
    found
}

/// The files `<prefix>.*` below `root`, relative to it and sorted, each with its
/// header.
pub fn dockerfiles(root: &Path, prefix: &Path) -> Vec<(PathBuf, Result<Context, ContextError>)> {
    let read = |path: PathBuf| {
        let header = match std::fs::read(root.join(&path)) {
            Ok(bytes) => context_header(&String::from_utf8_lossy(&bytes)),
            Err(e) => Err(ContextError {
                kind: ContextErrorKind::Unreadable,
                message: format!("cannot read the file: {e}"),
                span: 0..0,
            }),
        };
        (path, header)
    };
    candidates(root, prefix).into_iter().map(read).collect()
}

/// The files `<prefix>.*` below `root`, relative to it and sorted.
pub(super) fn candidates(root: &Path, prefix: &Path) -> Vec<PathBuf> {
    let Some(stem) = prefix.file_name().and_then(|n| n.to_str()) else { return Vec::new() };
    let parent = prefix.parent().unwrap_or(Path::new(""));
    let Ok(entries) = std::fs::read_dir(root.join(parent)) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|name| name.strip_prefix(stem).is_some_and(|rest| rest.starts_with('.')))
        .map(|name| parent.join(name))
        .filter(|path| root.join(path).is_file())
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind(text: &str) -> Option<ContextErrorKind> {
        context_header(text).err().map(|e| e.kind)
    }

    #[test]
    fn headers() {
        use ContextErrorKind::*;
        let ok = context_header("\n# CONTEXT {'gpu_vendor': \"AMD\"}\r\nFROM x\n").unwrap();
        assert_eq!(ok["gpu_vendor"], "AMD");
        assert_eq!(kind("# CONTEXT {}"), None);
        assert_eq!(kind("FROM x"), Some(Missing));
        assert_eq!(kind("\n\n\n\n\n# CONTEXT {}\n"), Some(Missing));
        assert_eq!(kind("# CONTEXT {'a': 1\n"), Some(Invalid));
        assert_eq!(kind("# CONTEXT ['a']\n"), Some(Invalid));
        assert_eq!(kind("FROM x # CONTEXT {}\n"), Some(Invalid));
        assert_eq!(kind("# CONTEXT {}\n# CONTEXT {}\n"), Some(Twice));
        assert_eq!(kind("# CONTEXT {}\n\n\n\n\n# CONTEXT {}\n"), None);
    }

    #[test]
    fn a_prefix_stands_for_what_follows_its_dot() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("docker")).unwrap();
        for name in ["a.ubuntu.amd.Dockerfile", "a.bak", "ab.Dockerfile", "a"] {
            std::fs::write(dir.path().join("docker").join(name), "# CONTEXT {}\n").unwrap();
        }
        let found = dockerfiles(dir.path(), Path::new("docker/a"));
        let names: Vec<_> = found.iter().map(|(p, c)| (p.to_str().unwrap(), c.is_ok())).collect();
        assert_eq!(names, [("docker/a.bak", true), ("docker/a.ubuntu.amd.Dockerfile", true)]);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(# CONTEXT )?[{}'\"a:\\n\\[,\\PC]*") {
            if let Err(e) = context_header(&text) {
                prop_assert!(e.span.end <= text.len());
            }
        }
    }
}
