use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{FakeGpu, Host};
use crate::machine::Machine;
use crate::machine::cache::cached_at;
use crate::machine::visible::Visibility;

/// A host whose description shows whether it was read or remembered: nothing looks at
/// memory but the probe.
struct Cached {
    host: Host,
    dir: PathBuf,
}

impl Cached {
    fn new() -> Self {
        let host = Host::new();
        host.gpu(&FakeGpu::mi300x(1, 0x0c, 128));
        let dir = host.path().join("cache");
        let cached = Self { host, dir };
        cached.get();
        cached.set_memory(1);
        cached
    }

    fn set_memory(&self, kib: u64) {
        self.host.write("proc/meminfo", &format!("MemTotal: {kib} kB\n"));
    }

    fn get(&self) -> Machine {
        cached_at(self.host.path(), &self.dir, &Visibility::default())
    }

    fn remembered(&self) -> bool {
        self.get().memory_bytes != 1024
    }

    fn file(&self) -> PathBuf {
        let uid = rustix::process::geteuid().as_raw();
        self.dir.join(format!("machine-{uid}.json"))
    }
}

#[test]
fn remembers() {
    let cached = Cached::new();
    assert!(cached.remembered());
    let names: Vec<_> = fs::read_dir(&cached.dir).unwrap().collect();
    assert_eq!(names.len(), 1, "no temporary file is left: {names:?}");
}

#[test]
fn forgets_when_the_host_changes() {
    for (path, text) in [
        ("proc/sys/kernel/random/boot_id", "boot-2\n"),
        ("proc/sys/kernel/hostname", "container\n"),
        ("proc/sys/kernel/osrelease", "6.9\n"),
        ("dev/dri/renderD136", ""),
        ("dev/nvidia0", ""),
        ("sys/class/kfd/kfd/topology/nodes/2/gpu_id", "2\n"),
        ("sys/class/kfd/kfd/topology/generation_id", "3\n"),
        ("sys/module/amdgpu/version", "6.14\n"),
        ("opt/rocm/.info/version", "7.0.0\n"),
    ] {
        let cached = Cached::new();
        cached.host.write(path, text);
        assert!(!cached.remembered(), "{path}");
        assert!(!cached.remembered(), "{path}: the new answer is the remembered one");
    }
}

#[test]
fn forgets_what_is_damaged_or_foreign() {
    let damages: [&dyn Fn(&Path); 4] = [
        &|file| fs::write(file, "").unwrap(),
        &|file| {
            let text = fs::read(file).unwrap();
            fs::write(file, &text[..text.len() / 2]).unwrap();
        },
        &|file| {
            let text = fs::read_to_string(file).unwrap();
            fs::write(file, text.replacen("\"format\":1", "\"format\":0", 1)).unwrap();
        },
        &|file| {
            let other = file.with_extension("elsewhere");
            fs::rename(file, &other).unwrap();
            symlink(other, file).unwrap();
        },
    ];
    for (at, damage) in damages.iter().enumerate() {
        let cached = Cached::new();
        damage(&cached.file());
        assert!(!cached.remembered(), "damage {at}");
        cached.set_memory(2);
        assert_eq!(cached.get().memory_bytes, 1024, "damage {at} is repaired");
    }
}

#[test]
fn visibility_is_not_remembered() {
    let cached = Cached::new();
    let none = Visibility { rocr: Some(String::new()), ..Visibility::default() };
    let machine = cached_at(cached.host.path(), &cached.dir, &none);
    assert_eq!((machine.gpus.len(), machine.hidden_gpus), (0, 1));
    assert_eq!(cached.get().gpus.len(), 1);
}

#[test]
fn a_directory_that_cannot_be_written_only_costs_time() {
    let host = Host::new();
    host.write("cache", "a file, even for root");
    let machine = cached_at(host.path(), &host.path().join("cache"), &Visibility::default());
    assert_eq!(machine.hostname, "node");
}

#[test]
fn this_host() {
    let dir = tempfile::tempdir().unwrap();
    let first = Machine::cached(dir.path());
    assert_eq!(first, Machine::cached(dir.path()));
}
