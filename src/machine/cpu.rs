//! Processors and memory, from procfs and sysfs.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;

use super::description::Cpu;

const UNKNOWN: &str = "unknown";

/// The processors of the host whose file system is at `root`.
pub(super) fn cpu(root: &Path) -> Cpu {
    let cpuinfo = fs::read_to_string(root.join("proc/cpuinfo")).unwrap_or_default();
    let numa_nodes = fs::read_to_string(root.join("sys/devices/system/node/online"))
        .ok()
        .and_then(|text| count_id_list(text.trim()))
        .unwrap_or(1);
    parse_cpuinfo(&cpuinfo, numa_nodes, available())
}

/// Logical processors this process may use now: affinity mask and cgroup quota included.
pub(super) fn available() -> u32 {
    thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// The processors this process may use, by the kernel's numbers, ascending.
pub fn usable_cores() -> Vec<u32> {
    let set = rustix::thread::sched_getaffinity(None);
    let set = set.unwrap_or_else(|_| rustix::thread::CpuSet::new());
    let all = 0..rustix::thread::CpuSet::MAX_CPU;
    all.filter(|&n| set.is_set(n)).filter_map(|n| u32::try_from(n).ok()).collect()
}

/// Memory of the host in bytes, 0 when unknown.
pub(super) fn memory_bytes(root: &Path) -> u64 {
    fs::read_to_string(root.join("proc/meminfo"))
        .ok()
        .and_then(|text| parse_mem_total(&text))
        .unwrap_or(0)
}

/// `MemTotal:       65843640 kB`, where kB is KiB.
fn parse_mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Reads `/proc/cpuinfo`: one paragraph of `key : value` lines per logical processor.
///
/// Arm has neither model name nor topology there: the model is put together from
/// implementer and part, and every thread counts as a core, which holds for servers.
pub(super) fn parse_cpuinfo(text: &str, numa_nodes: u32, available: u32) -> Cpu {
    let mut threads: u32 = 0;
    let mut sockets = BTreeSet::new();
    let mut cores = BTreeSet::new();
    let (mut model, mut vendor) = (None, None);
    let (mut implementer, mut part) = (None, None);
    let mut socket = "";
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match key.trim() {
            "processor" => {
                threads = threads.saturating_add(1);
                socket = "";
            }
            "model name" => model = model.or(Some(value)),
            "vendor_id" => vendor = vendor.or(Some(value)),
            "CPU implementer" => implementer = implementer.or(Some(value)),
            "CPU part" => part = part.or(Some(value)),
            "physical id" => {
                socket = value;
                sockets.insert(value);
            }
            // The kernel prints it after the physical id of the same processor.
            "core id" => {
                cores.insert((socket, value));
            }
            _ => {}
        }
    }
    let threads = threads.max(1);
    let count = |n: usize, otherwise: u32| match u32::try_from(n) {
        Ok(0) | Err(_) => otherwise,
        Ok(n) => n,
    };
    let model = match (model, part) {
        (Some(model), _) => without_clock(model),
        (None, Some(part)) => format!("Arm {}/{part}", implementer.unwrap_or("?")),
        (None, None) => String::new(),
    };
    Cpu {
        model: if model.is_empty() { UNKNOWN.to_owned() } else { model },
        vendor: vendor.or(implementer).unwrap_or(UNKNOWN).to_owned(),
        sockets: count(sockets.len(), 1),
        cores: count(cores.len(), threads),
        threads,
        available,
        numa_nodes,
    }
}

/// A model name without `@ 2.10GHz`, which is nominal on some processors and a reading on
/// others, and with single spaces.
pub(super) fn without_clock(model: &str) -> String {
    let is_clock = |word: &str| {
        let lower = word.to_ascii_lowercase();
        let number = lower.strip_suffix("ghz").or_else(|| lower.strip_suffix("mhz"));
        number.is_some_and(|number| {
            number.trim_start_matches('@').chars().all(|c| c.is_ascii_digit() || c == '.')
        })
    };
    let words: Vec<&str> =
        model.split_whitespace().filter(|word| *word != "@" && !is_clock(word)).collect();
    words.join(" ")
}

/// How many ids a kernel list such as `0-3,8` names; none when it is malformed or empty.
pub(super) fn count_id_list(list: &str) -> Option<u32> {
    let mut total: u32 = 0;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        total = total.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(total)
}
