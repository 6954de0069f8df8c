//! What a container wrote belongs to the user afterwards.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::Path;
use std::time::Duration;

use super::cli::ANSWER_LIMIT;
use super::connection::{Containers, Kind};
use super::run::bind;
use crate::engine::Image;

/// Changing the owner of many files takes a while.
const LIMIT: Duration = Duration::from_secs(600);

/// Gives all files below `dir` to the user who runs this program; says what could not be
/// done.
pub(in crate::engine) fn take(
    containers: &Containers,
    image: &Image,
    dir: &Path,
) -> Option<String> {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    if uid == 0 {
        return own(dir, uid, gid)
            .err()
            .map(|e| format!("cannot take over {}: {e}", dir.display()));
    }
    if !has_foreign(dir, uid) {
        return None;
    }
    // Whoever runs containers is not root here, but is in a container. Without privileges
    // on the host, root in there is the user out here.
    let owner = if is_rootless(containers) { "0:0".to_owned() } else { format!("{uid}:{gid}") };
    let mount = bind(dir, "/mad-owned");
    let args = [
        "run",
        "--rm",
        "--network",
        "none",
        "--user",
        "0:0",
        "--entrypoint",
        "chown",
        "--mount",
        &mount,
        &image.id,
        "-R",
        &owner,
        "/mad-owned",
    ];
    let done = containers.cli.ask(&args, LIMIT);
    done.err().map(|e| format!("files below {} are not yours: {e}", dir.display()))
}

/// Lets every user write what is below `path`, for containers whose user is another one.
pub(super) fn share(path: &Path) -> std::io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(());
    }
    let bits = if found.is_dir() { 0o777 } else { 0o666 };
    fs::set_permissions(path, Permissions::from_mode(found.mode() | bits))?;
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            share(&entry?.path())?;
        }
    }
    Ok(())
}

/// Links are changed themselves, never followed: a script may have made one to anywhere.
fn own(path: &Path, uid: u32, gid: u32) -> std::io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    if (found.uid(), found.gid()) != (uid, gid) {
        lchown(path, Some(uid), Some(gid))?;
    }
    if found.is_dir() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), uid, gid)?;
        }
    }
    Ok(())
}

/// Whether something below `path` belongs to somebody else, or cannot be looked at.
fn has_foreign(path: &Path, uid: u32) -> bool {
    let Ok(found) = fs::symlink_metadata(path) else { return true };
    if found.uid() != uid {
        return true;
    }
    match found.is_dir().then(|| fs::read_dir(path)) {
        Some(Ok(entries)) => entries.flatten().any(|e| has_foreign(&e.path(), uid)),
        Some(Err(_)) => true,
        None => false,
    }
}

fn is_rootless(containers: &Containers) -> bool {
    match containers.kind {
        Kind::Podman => true,
        Kind::Docker => {
            let args = ["info", "--format", "{{json .SecurityOptions}}"];
            containers.cli.ask(&args, ANSWER_LIMIT).is_ok_and(|said| said.contains("rootless"))
        }
    }
}
