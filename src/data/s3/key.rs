//! Object keys as paths of files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

/// Where an object goes, relative to the data set's directory, from the part of its key
/// below the data set. `None` for the mark of a directory: a key with a `/` at its end
/// and nothing in it.
///
/// # Errors
/// When the file would not lie where its key says: `..` and `.`, an absolute path, an
/// empty name, a NUL, or something in a mark of a directory.
pub(super) fn relative_path(key: &str, size: u64) -> Result<Option<PathBuf>> {
    if key.is_empty() || key.ends_with('/') {
        ensure!(
            size == 0,
            "the object {key:?} is named like a directory but holds {size} bytes; it cannot be a file"
        );
        return Ok(None);
    }
    for part in key.split('/') {
        let why = match part {
            "" => "an empty part",
            "." | ".." => "a part that leads elsewhere",
            part if part.contains('\0') => "a NUL in it",
            part if part.len() > 255 => "a part of more than 255 bytes",
            _ => continue,
        };
        bail!("the object {key:?} cannot be a file: its key has {why}; rename or remove it");
    }
    Ok(Some(PathBuf::from(key)))
}

/// Makes the directories that `relative` is in, below `dir`. They may be there already,
/// but not be links: what wrote to the data set could have planted one, to have files
/// written elsewhere.
///
/// # Errors
/// When something else is in the way, or the file system refuses.
pub(super) fn make_parents(dir: &Path, relative: &Path) -> Result<()> {
    let mut path = dir.to_owned();
    for part in relative.parent().into_iter().flat_map(Path::components) {
        path.push(part);
        let made = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => bail!(
                "{} is in the way: it has to be a directory for {}; remove it, or the object of that name",
                path.display(),
                relative.display()
            ),
            Err(e) if e.kind() == io::ErrorKind::NotFound => match fs::create_dir(&path) {
                // Another thread was quicker.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
                made => made,
            },
            Err(e) => Err(e),
        };
        made.with_context(|| format!("cannot make {}", path.display()))?;
    }
    Ok(())
}

/// Whether a directory that `relative` is in, below `dir`, is a link.
pub(super) fn leads_through_link(dir: &Path, relative: &Path) -> bool {
    relative.ancestors().skip(1).any(|parent| {
        let is_dir = |path| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir());
        !parent.as_os_str().is_empty() && !is_dir(dir.join(parent))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_that_lead_elsewhere_are_refused() {
        for key in [
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "/etc/passwd",
            "a//b",
            "./a",
            "a/./b",
            "a/b\0c",
            "/",
        ] {
            // The mark of a directory makes no file.
            let path = relative_path(key, 1);
            assert!(path.is_err(), "{key:?}: {path:?}");
        }
        assert!(relative_path(&"n".repeat(256), 1).is_err());
        assert_eq!(relative_path("a/", 0).unwrap(), None);
        assert_eq!(relative_path("a/..b/c d", 0).unwrap(), Some("a/..b/c d".into()));
    }

    proptest! {
        #[test]
        fn every_path_stays_below(key in "[a./\\\\ ]{0,12}", size in 0u64..2) {
            if let Ok(Some(path)) = relative_path(&key, size) {
                prop_assert!(path.is_relative());
                prop_assert!(path.components().all(|c| matches!(c, std::path::Component::Normal(_))));
                prop_assert_eq!(path.to_str(), Some(key.as_str()));
            }
        }
    }

    #[test]
    fn no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (data, elsewhere) = (dir.path().join("data"), dir.path().join("elsewhere"));
        fs::create_dir(&data).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, data.join("link")).unwrap();
        make_parents(&data, Path::new("a/b/c")).unwrap();
        make_parents(&data, Path::new("a/b/d")).unwrap();
        assert!(data.join("a/b").is_dir());
        let error = make_parents(&data, Path::new("link/x/y")).unwrap_err().to_string();
        assert!(error.contains("is in the way"), "{error}");
        assert!(!elsewhere.join("x").exists());
        assert!(leads_through_link(&data, Path::new("link/x")));
        assert!(!leads_through_link(&data, Path::new("a/b/x")));
    }
}
