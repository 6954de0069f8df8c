//! Looking at the host. Every path hangs off a root directory, so that tests can lay out
//! a host in a temporary one.

use std::fs;
use std::path::Path;

use super::description::{Driver, Gpu, Machine, SCHEMA};
use super::visible::Visibility;
use super::{amd, cpu, nvidia};

/// What one vendor's driver shows.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) gpus: Vec<Gpu>,
    /// Present, but of no use to this process.
    pub(super) hidden: u32,
    /// Absent without GPUs.
    pub(super) driver: Option<Driver>,
}

impl Machine {
    /// The host this process runs on, probed now: procfs, sysfs and NVML, no programs.
    ///
    /// GPUs excluded by `ROCR_`, `HIP_` or `CUDA_VISIBLE_DEVICES` are left out as the
    /// runtimes would; what cannot be found out reads `unknown` or 0.
    pub fn probe() -> Self {
        probe_at(Path::new("/"), &Visibility::from_env())
    }
}

/// The machine at `root` as a process with these variables sees it.
pub(super) fn probe_at(root: &Path, visibility: &Visibility) -> Machine {
    let mut machine = inventory(root);
    visibility.apply(&mut machine);
    machine
}

/// The machine at `root` with every GPU that its drivers show.
pub(super) fn inventory(root: &Path) -> Machine {
    let kernel = kernel(root);
    let amd = amd::find(root, &kernel);
    let nvidia = nvidia::find(root);
    let mut gpus = amd.gpus;
    gpus.extend(nvidia.gpus);
    Machine {
        schema: SCHEMA.to_owned(),
        hostname: hostname(root),
        os: os(root),
        cpu: cpu::cpu(root),
        memory_bytes: cpu::memory_bytes(root),
        gpus,
        hidden_gpus: amd.hidden + nvidia.hidden,
        driver: amd.driver.or(nvidia.driver),
        simulated: false,
        boot_id: boot_id(root),
        kernel,
    }
}

pub(super) fn hostname(root: &Path) -> String {
    line(root, "proc/sys/kernel/hostname").unwrap_or_else(unknown)
}

pub(super) fn kernel(root: &Path) -> String {
    line(root, "proc/sys/kernel/osrelease").unwrap_or_else(unknown)
}

pub(super) fn boot_id(root: &Path) -> Option<String> {
    line(root, "proc/sys/kernel/random/boot_id")
}

fn os(root: &Path) -> String {
    ["etc/os-release", "usr/lib/os-release"]
        .iter()
        .find_map(|path| parse_os_release(&fs::read_to_string(root.join(path)).ok()?))
        .unwrap_or_else(unknown)
}

/// `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"`, quotes as in a shell assignment.
fn parse_os_release(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("PRETTY_NAME="))?;
    let name = shell_words::split(value).ok()?.into_iter().next()?;
    (!name.is_empty()).then_some(name)
}

/// The load average of the last minute, from `/proc/loadavg`: how many processes ran or
/// wanted to. To be recorded with each measurement.
pub fn load_average() -> Option<f64> {
    parse_loadavg(&fs::read_to_string("/proc/loadavg").ok()?)
}

pub(super) fn parse_loadavg(text: &str) -> Option<f64> {
    let load: f64 = text.split_whitespace().next()?.parse().ok()?;
    load.is_finite().then_some(load)
}

pub(super) fn line(root: &Path, path: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn unknown() -> String {
    "unknown".to_owned()
}
