//! The profiler that needs nothing: what a process tree does, looked at from outside.
//!
//! It reads `/proc`: CPU time, memory, context switches and page faults of all descendants of
//! this process; and asks the drivers of the GPUs how busy these are ([`Gpus`]).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gpus::{GpuSample, Gpus};

/// Format and version of the file.
pub(in crate::profile) const SCHEMA: &str = "mad-samples/1";

/// Seconds between two looks at first.
const INTERVAL: Duration = Duration::from_millis(100);

/// Samples that are kept; then every second one goes and the interval doubles, so that a
/// run of any length fits.
const SAMPLES_MAX: usize = 4096;

/// Ticks per second of the times in `/proc`; Linux has told user space 100 for decades.
const TICKS: f64 = 100.0;

/// What was sampled, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Samples {
    /// `mad-samples/1`.
    pub schema: String,
    /// CPUs of the host.
    pub cpus: u32,
    /// Seconds from the first sample with a process to the last.
    pub wall_s: f64,
    /// Seconds of CPU time.
    pub cpu_s: f64,
    /// Context switches that the processes asked for, by waiting.
    pub voluntary_switches: u64,
    /// Context switches that they did not ask for.
    pub involuntary_switches: u64,
    /// Page faults that read from a disk.
    pub major_faults: u64,
    /// Most bytes of memory at once.
    pub max_rss_bytes: u64,
    /// Over time.
    pub samples: Vec<Sample>,
}

/// One look.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Seconds since the first one.
    pub t: f64,
    /// Seconds of CPU time so far.
    pub cpu_s: f64,
    /// Bytes of memory.
    pub rss_bytes: u64,
    /// The GPUs, where their driver tells.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub gpus: Vec<GpuSample>,
}

/// Looks until it is asked what it saw.
#[derive(Debug)]
pub struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Samples>,
}

impl Sampler {
    /// Begins to look at the descendants of this process.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> std::io::Result<Sampler> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("sampler".into()).spawn(move || {
            let mut state = State::new();
            let mut interval = INTERVAL;
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(interval) {
                state.look();
                if state.samples.len() >= SAMPLES_MAX {
                    let mut keep = false;
                    state.samples.retain(|_| {
                        keep = !keep;
                        keep
                    });
                    interval *= 2;
                }
            }
            state.finish()
        })?;
        Ok(Sampler { stop, thread })
    }

    /// Ends it.
    pub fn finish(self) -> Samples {
        // It has ended already only if it panicked.
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_default()
    }
}

/// What is remembered of one process, because it may be gone at the next look.
#[derive(Clone, Copy, Default)]
struct Process {
    cpu_ticks: u64,
    voluntary: u64,
    involuntary: u64,
    major_faults: u64,
}

struct State {
    began: Option<Instant>,
    last: f64,
    processes: HashMap<(u32, u64), Process>,
    max_rss: u64,
    samples: Vec<Sample>,
    gpus: Gpus,
}

impl State {
    fn new() -> State {
        State {
            began: None,
            last: 0.0,
            processes: HashMap::new(),
            max_rss: 0,
            samples: Vec::new(),
            gpus: Gpus::find(Path::new("/")),
        }
    }

    fn look(&mut self) {
        let mut rss = 0;
        let found = descendants();
        if found.is_empty() {
            return;
        }
        for stat in found {
            let (voluntary, involuntary) = switches(stat.pid);
            let process = self.processes.entry((stat.pid, stat.started)).or_default();
            process.cpu_ticks = process.cpu_ticks.max(stat.cpu_ticks);
            process.major_faults = process.major_faults.max(stat.major_faults);
            process.voluntary = process.voluntary.max(voluntary);
            process.involuntary = process.involuntary.max(involuntary);
            rss += rss_bytes(stat.pid);
        }
        self.max_rss = self.max_rss.max(rss);
        let t = self.began.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
        self.last = t;
        let gpus = self.gpus.look();
        self.samples.push(Sample { t, cpu_s: self.cpu_s(), rss_bytes: rss, gpus });
    }

    fn cpu_s(&self) -> f64 {
        self.processes.values().map(|p| p.cpu_ticks).sum::<u64>() as f64 / TICKS
    }

    fn finish(self) -> Samples {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let sum = |of: fn(&Process) -> u64| self.processes.values().map(of).sum();
        Samples {
            schema: SCHEMA.to_owned(),
            cpus: cpus.try_into().unwrap_or(u32::MAX),
            wall_s: self.last,
            cpu_s: self.cpu_s(),
            voluntary_switches: sum(|p| p.voluntary),
            involuntary_switches: sum(|p| p.involuntary),
            major_faults: sum(|p| p.major_faults),
            max_rss_bytes: self.max_rss,
            samples: self.samples,
        }
    }
}

/// The fields of `/proc/<pid>/stat` that matter.
struct Stat {
    pid: u32,
    parent: u32,
    started: u64,
    cpu_ticks: u64,
    major_faults: u64,
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let number = |i: usize| fields.get(i - 3)?.parse::<u64>().ok();
    Some(Stat {
        pid,
        parent: number(4)?.try_into().ok()?,
        major_faults: number(12)?,
        cpu_ticks: number(14)? + number(15)?,
        started: number(22)?,
    })
}

fn descendants() -> Vec<Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let mut rest: Vec<Stat> = pids.filter_map(stat).collect();
    let mut known = HashSet::from([std::process::id()]);
    let mut found = Vec::new();
    loop {
        let (ours, others): (Vec<Stat>, Vec<Stat>) =
            rest.into_iter().partition(|s| known.contains(&s.parent));
        if ours.is_empty() {
            return found;
        }
        known.extend(ours.iter().map(|s| s.pid));
        found.extend(ours);
        rest = others;
    }
}

/// Bytes of memory that a process has for itself or shares.
fn rss_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// Context switches of all threads of a process: asked for, and not.
fn switches(pid: u32) -> (u64, u64) {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut sums = (0, 0);
    for thread in threads {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let value = |key: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        };
        sums.0 += value("voluntary_ctxt_switches:");
        sums.1 += value("nonvoluntary_ctxt_switches:");
    }
    sums
}
