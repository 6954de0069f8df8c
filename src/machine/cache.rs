//! The probe, once per boot instead of once per process.
//!
//! The cached answer is the inventory before `*_VISIBLE_DEVICES`, which differ from
//! process to process. It holds as long as the boot id, the format and a signature are
//! the same; the signature is what a container, a driver update or an affinity mask
//! changes and what costs only a few system calls to look at. Anything wrong with the
//! cache means probing again, never an error.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::description::Machine;
use super::visible::Visibility;
use super::{amd, cpu, probe};

/// Goes up whenever the probe finds out something else or writes it differently.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Entry<M> {
    format: u32,
    boot_id: String,
    signature: String,
    machine: M,
}

impl Machine {
    /// [`Machine::probe`], but remembered in `cache_dir` (created when missing) until the
    /// next boot, one file per user.
    ///
    /// A container that sees other devices, another affinity mask or CPU quota, another
    /// driver or ROCm version all lead to a new probe, and so does a file that is damaged
    /// or belongs to somebody else. A directory that cannot be written only costs time.
    pub fn cached(cache_dir: &Path) -> Self {
        cached_at(Path::new("/"), cache_dir, &Visibility::from_env())
    }
}

pub(super) fn cached_at(root: &Path, cache_dir: &Path, visibility: &Visibility) -> Machine {
    let mut machine = remembered(root, cache_dir);
    visibility.apply(&mut machine);
    machine
}

fn remembered(root: &Path, cache_dir: &Path) -> Machine {
    let Some(boot_id) = probe::boot_id(root) else {
        return probe::inventory(root);
    };
    let signature = signature(root);
    let uid = rustix::process::geteuid().as_raw();
    let path = cache_dir.join(format!("machine-{uid}.json"));
    match read(&path, uid) {
        Ok(entry)
            if entry.format == FORMAT
                && entry.boot_id == boot_id
                && entry.signature == signature =>
        {
            return entry.machine;
        }
        Ok(_) => tracing::debug!(path = %path.display(), "machine cache is out of date"),
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "machine cache is not usable");
        }
    }
    let machine = probe::inventory(root);
    let entry = Entry { format: FORMAT, boot_id, signature, machine: &machine };
    if let Err(error) = write(cache_dir, &path, &entry) {
        tracing::debug!(path = %path.display(), %error, "machine cache is not written");
    }
    machine
}

fn read(path: &Path, uid: u32) -> io::Result<Entry<Machine>> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file =
        OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != uid {
        // Somebody else could describe us a machine that we do not have.
        return Err(io::Error::other("not a file of this user"));
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Writes beside the file and renames, so that a reader sees the old or the new text.
fn write(dir: &Path, path: &Path, entry: &Entry<&Machine>) -> io::Result<()> {
    static WRITES: AtomicU32 = AtomicU32::new(0);
    fs::create_dir_all(dir)?;
    let temporary = path.with_extension(format!(
        "{}-{}.tmp",
        std::process::id(),
        WRITES.fetch_add(1, Ordering::Relaxed)
    ));
    let written = File::create_new(&temporary)
        .and_then(|mut file| file.write_all(&serde_json::to_vec(entry)?))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Best effort: the error worth telling is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// What can change within a boot, as text that is only ever compared.
fn signature(root: &Path) -> String {
    let mut text = format!(
        "host {} kernel {} cpus {}",
        probe::hostname(root),
        probe::kernel(root),
        cpu::available()
    );
    for (label, dir, prefix) in [
        ("kfd", format!("{}/nodes", amd::KFD_TOPOLOGY), ""),
        ("dri", "dev/dri".to_owned(), "renderD"),
        ("nvidia", "dev".to_owned(), "nvidia"),
    ] {
        let names = names(&root.join(dir), prefix);
        let _ = write!(text, " {label} {}", names.join(","));
    }
    for path in [
        // Goes up when a card is partitioned differently.
        &format!("{}/generation_id", amd::KFD_TOPOLOGY),
        "sys/module/amdgpu/version",
        "sys/module/nvidia/version",
    ] {
        let value = probe::line(root, path);
        let _ = write!(text, " {path} {}", value.as_deref().unwrap_or("-"));
    }
    // Another container has other files here, an update new ones.
    for path in ["etc/os-release", "opt/rocm/.info/version"] {
        let _ = match fs::metadata(root.join(path)) {
            Ok(m) => write!(text, " {path} {}:{}:{}", m.dev(), m.ino(), m.mtime()),
            Err(_) => write!(text, " {path} -"),
        };
    }
    text
}

/// Directory entries that are `prefix` and a number.
fn names(dir: &Path, prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            name.strip_prefix(prefix)
                .is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect();
    names.sort_unstable();
    names
}
