//! Files by a pattern.

use std::path::{Path, PathBuf};

use regex::Regex;

/// A path in which `*` stands for any characters, `/` among them.
#[derive(Clone, Debug)]
pub(crate) struct Glob(Option<Regex>);

impl Glob {
    /// Every text is a pattern.
    pub(crate) fn new(pattern: &str) -> Glob {
        let parts: Vec<String> = pattern.split('*').map(regex::escape).collect();
        // Only one of many megabytes is none.
        Glob(Regex::new(&format!("(?s)^(?:{})$", parts.join(".*"))).ok())
    }

    /// Whether the whole of `path` is like it.
    pub(crate) fn matches(&self, path: &Path) -> bool {
        self.0.as_ref().is_some_and(|regex| regex.is_match(&path.to_string_lossy()))
    }
}

/// The files below `dir`, at most so many, as paths relative to it, in order of their names.
/// Links to directories are not followed, and version control is left out.
///
/// # Errors
/// When a directory cannot be listed.
pub(crate) fn files_below(dir: &Path, most: usize) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(dir, Path::new(""), most, &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(dir: &Path, below: &Path, most: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        if files.len() >= most {
            return Ok(());
        }
        if kind.is_dir() {
            if entry.file_name() != ".git" {
                walk(dir, &path, most, files)?;
            }
        } else if kind.is_file() || (kind.is_symlink() && dir.join(&path).is_file()) {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        let matches = |pattern: &str, path: &str| Glob::new(pattern).matches(Path::new(path));
        assert!(matches("*.yml", "configs/base.yml"));
        assert!(matches("a.yml", "a.yml"));
        assert!(!matches("a.yml", "b/a.yml"));
        assert!(!matches("a.yml", "axyml"));
        assert!(matches("results*.csv", "results0.csv"));
    }
}
