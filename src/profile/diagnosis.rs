//! From what was read to a [`Diagnosis`].

use std::path::{Path, PathBuf};

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::HostUse;
use super::intervals::Union;
use super::kind::Kind;
use super::levers::{self, Catalogs, DetectedStack, Suggestion};
use super::read::{self, CommunicationLog, Format};
use super::rules::{self, Bottleneck, Numbers, RuleCheck, percent};
use super::source::{self, LeftOut, Source};
use super::text::duration;
use super::trace::{DeviceUse, Kernel, Trace};

/// Format and version of a diagnosis as JSON.
pub const SCHEMA: &str = "mad-diagnosis/1";

/// Hotspots that are kept, the longest-running.
const HOTSPOTS: usize = 50;

/// Share of the window that one gap must take to be pointed out.
const LONG_GAP: f64 = 0.25;

/// What existing traces say about a workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// `mad-diagnosis/1`.
    pub schema: String,
    /// What was asked about.
    pub path: PathBuf,
    /// What holds the workload back.
    pub bottleneck: Bottleneck,
    /// Why, in one sentence.
    pub because: String,
    /// The rules that were tried, up to the one that holds.
    pub rules: Vec<RuleCheck>,
    /// How busy the GPUs were; missing where the files have no times.
    pub gpu: Option<GpuUse>,
    /// All kernels, copies and collectives together.
    pub kernels: Option<KernelSums>,
    /// The longest-running ones.
    pub hotspots: Vec<Hotspot>,
    /// What logs of NCCL or RCCL say.
    pub communication: Option<CommunicationLog>,
    /// What the processes did on the host, where that was sampled.
    pub host: Option<HostUse>,
    /// The software that the workload is built on, as far as it is known.
    pub stack: Option<DetectedStack>,
    /// What may be tried, and what speaks for it.
    pub levers: Vec<Suggestion>,
    /// Files that were read.
    pub sources: Vec<Source>,
    /// Files that were not.
    pub left_out: Vec<LeftOut>,
    /// What is wrong with the files. What was read before it counts.
    pub problems: Vec<String>,
    /// What else one should know.
    pub notes: Vec<String>,
}

/// How busy the GPUs were, from the first activity of each to its last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GpuUse {
    /// GPUs of all files.
    pub gpus: u32,
    /// Share of the time in which anything ran, over all GPUs; from 0 to 1.
    pub busy_share: f64,
    /// Seconds in which anything ran, over all GPUs.
    pub busy_s: f64,
    /// Seconds from the first activity to the last, over all GPUs.
    pub window_s: f64,
    /// Share of the busy time in which nothing but collectives ran.
    pub exposed_collectives: f64,
    /// Each GPU.
    pub devices: Vec<DeviceShare>,
    /// Times in which nothing ran.
    pub gaps: Gaps,
}

/// How busy one GPU was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeviceShare {
    /// Its number, and which group of files it is of where there are several, from 0.
    pub device: String,
    /// Share of its window in which anything ran; from 0 to 1.
    pub busy_share: f64,
    /// Seconds from its first activity to its last.
    pub window_s: f64,
}

/// Times in which nothing ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Gaps {
    /// How many.
    pub count: u64,
    /// Seconds of all of them.
    pub total_s: f64,
    /// Seconds of the longest.
    pub longest_s: f64,
    /// Half of them are no longer than this many µs (a power of two).
    pub median_us: f64,
}

/// All kernels, copies and collectives together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelSums {
    /// Calls.
    pub calls: u64,
    /// Seconds, where they overlap more than the time that passed.
    pub total_s: f64,
    /// Mean, in µs.
    pub mean_us: f64,
    /// Share of the time in calls shorter than 10 µs.
    pub short_share: f64,
    /// Share of the time by kind.
    pub kinds: Vec<KindShare>,
}

/// The time of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KindShare {
    /// The kind.
    pub kind: Kind,
    /// Its share of the time of all kernels; from 0 to 1.
    pub share: f64,
    /// Calls.
    pub calls: u64,
}

/// All calls of one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hotspot {
    /// Its name, as the profiler has it.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// Its share of the time of all kernels; from 0 to 1.
    pub share: f64,
    /// Calls.
    pub calls: u64,
    /// Mean, in µs.
    pub mean_us: f64,
    /// Seconds of all calls.
    pub total_s: f64,
}

/// Reads the traces at `path`, a file or a directory, and says what they mean.
///
/// # Errors
/// When there is nothing at `path` that can be diagnosed.
pub fn diagnose(path: &Path) -> Result<Diagnosis> {
    let found = source::find(path)?;
    let mut trace = Trace::default();
    let mut log = CommunicationLog::default();
    let (mut sources, mut problems, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut stated, mut host) = (Vec::new(), None);
    let mut groups: Vec<PathBuf> = Vec::new();
    for (path, format) in found.files {
        let group = group(&path, format);
        let index = groups.iter().position(|g| *g == group).unwrap_or(groups.len());
        if index == groups.len() {
            groups.push(group);
        }
        trace.of_group(index.try_into().unwrap_or(u32::MAX));
        let before = trace.calls();
        let name = path.display();
        match read::read(&path, format, &mut trace, &mut log) {
            Ok(outcome) => {
                problems.extend(outcome.problem.map(|p| format!("{name}: {p}")));
                notes.extend(outcome.notes.iter().map(|n| format!("{name}: {n}")));
                stated.extend(outcome.stated_busy);
                host = match (host, outcome.host) {
                    (Some(host), Some(more)) => Some(HostUse::and(host, more)),
                    (host, more) => host.or(more),
                };
            }
            Err(e) => problems.push(format!("{name}: {e:#}")),
        }
        sources.push(Source { calls: trace.calls() - before, path, format });
    }
    let (kernels, devices) = trace.finish();
    let gpu = gpu_use(&devices);
    if let Some(gpu) = &gpu
        && gpu.gaps.longest_s > LONG_GAP * gpu.window_s / f64::from(gpu.gpus)
    {
        notes.push(format!(
            "one gap is {} long; if it is start-up, profile a longer run or its steady part",
            duration(gpu.gaps.longest_s)
        ));
    }
    let sums = kernel_sums(&kernels);
    notes.extend(log.findings());
    let busy = gpu.as_ref().map(|g| g.busy_share).or_else(|| stated.first().copied());
    let rules = match &sums {
        Some(sums) => rules::judge(&numbers(sums, busy, gpu.as_ref())),
        None => host.as_ref().map(rules::judge_host).unwrap_or_default(),
    };
    let (bottleneck, because) = match rules.last() {
        Some(rule) => (rule.concludes, rule.evidence.clone()),
        None => (Bottleneck::Unknown, without_kernels(&sources)),
    };
    Ok(Diagnosis {
        schema: SCHEMA.to_owned(),
        path: path.to_owned(),
        bottleneck,
        because,
        rules,
        gpu,
        hotspots: hotspots(&kernels),
        kernels: sums,
        communication: (!log.is_empty()).then_some(log),
        host,
        stack: None,
        levers: Vec::new(),
        sources,
        left_out: found.left_out,
        problems,
        notes,
    })
}

/// What files with the same GPUs have in common. rocprofv3 writes kernels and copies apart,
/// below a directory per host, and numbers GPUs by host; else each file has its own.
fn group(path: &Path, format: Format) -> PathBuf {
    match (format, path.parent()) {
        (Format::RocprofTraceCsv, Some(parent)) => parent.to_owned(),
        _ => path.to_owned(),
    }
}

fn without_kernels(sources: &[Source]) -> String {
    if sources.iter().all(|s| s.format == Format::NcclLog) {
        return "a log of collectives has no durations; a trace of the kernels has".to_owned();
    }
    "no kernel was traced".to_owned()
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn gpu_use(devices: &[DeviceUse]) -> Option<GpuUse> {
    let devices: Vec<&DeviceUse> = devices.iter().filter(|d| d.all.busy > 0).collect();
    if devices.is_empty() {
        return None;
    }
    let sum = |of: fn(&DeviceUse) -> u64| devices.iter().map(|d| of(d)).sum::<u64>();
    let (busy, window) = (sum(|d| d.all.busy), sum(|d| d.all.window()));
    let exposed = sum(|d| d.exposed_ns);
    let label = |d: &DeviceUse| match devices.iter().any(|o| o.device.0 != d.device.0) {
        true => format!("group {} GPU {}", d.device.0, d.device.1),
        false => format!("GPU {}", d.device.1),
    };
    let each = |d: &&DeviceUse| DeviceShare {
        device: label(d),
        busy_share: share(d.all.busy as f64, d.all.window() as f64),
        window_s: seconds(d.all.window()),
    };
    Some(GpuUse {
        gpus: devices.len().try_into().unwrap_or(u32::MAX),
        busy_share: share(busy as f64, window as f64),
        busy_s: seconds(busy),
        window_s: seconds(window),
        exposed_collectives: share(exposed as f64, busy as f64),
        devices: devices.iter().map(each).collect(),
        gaps: gaps(devices.iter().map(|d| &d.all)),
    })
}

fn gaps<'a>(unions: impl Iterator<Item = &'a Union>) -> Gaps {
    let (mut gaps, mut by_length) = (Gaps::default(), [0_u64; 64]);
    for union in unions {
        gaps.count += union.gaps;
        gaps.total_s += seconds(union.window() - union.busy);
        gaps.longest_s = gaps.longest_s.max(seconds(union.longest));
        by_length.iter_mut().zip(&union.by_length).for_each(|(sum, n)| *sum += n);
    }
    let mut below = 0;
    let median = by_length.iter().position(|n| {
        below += n;
        below * 2 >= gaps.count
    });
    if gaps.count > 0 {
        // The upper edge of its class, which may be above all there are.
        let edge = median.map_or(0.0, |power| 2_f64.powi(power as i32 + 1) / 1e3);
        gaps.median_us = edge.min(gaps.longest_s * 1e6);
    }
    gaps
}

fn kernel_sums(kernels: &[Kernel]) -> Option<KernelSums> {
    let calls: u64 = kernels.iter().map(|k| k.calls).sum();
    let total: f64 = kernels.iter().map(|k| k.total_ns as f64).sum();
    if calls == 0 || total == 0.0 {
        return None;
    }
    let of_kind = |kind: Kind| {
        let those = || kernels.iter().filter(move |k| k.kind == kind);
        KindShare {
            kind,
            share: those().map(|k| k.total_ns as f64).sum::<f64>() / total,
            calls: those().map(|k| k.calls).sum(),
        }
    };
    let mut kinds: Vec<KindShare> =
        Kind::ALL.into_iter().map(of_kind).filter(|k| k.calls > 0).collect();
    kinds.sort_by(|a, b| b.share.total_cmp(&a.share));
    Some(KernelSums {
        calls,
        total_s: total / 1e9,
        mean_us: total / 1e3 / calls as f64,
        short_share: kernels.iter().map(|k| k.short_ns as f64).sum::<f64>() / total,
        kinds,
    })
}

fn numbers(sums: &KernelSums, busy: Option<f64>, gpu: Option<&GpuUse>) -> Numbers {
    let of = |kinds: &[Kind]| {
        sums.kinds.iter().filter(|k| kinds.contains(&k.kind)).map(|k| k.share).sum::<f64>()
    };
    let collectives = of(&[Kind::Collective]);
    let work = 1.0 - collectives;
    Numbers {
        calls: sums.calls,
        mean_us: sums.mean_us,
        busy,
        collectives: gpu.map_or(collectives, |g| g.exposed_collectives),
        collectives_exposed: gpu.is_some(),
        gemm: share(of(&[Kind::Gemm]), work),
        memory: share(of(&[Kind::Attention, Kind::Elementwise, Kind::Norm, Kind::Copy]), work),
        other: share(of(&[Kind::Other]), work),
    }
}

fn hotspots(kernels: &[Kernel]) -> Vec<Hotspot> {
    let total: f64 = kernels.iter().map(|k| k.total_ns as f64).sum();
    let hotspot = |k: &Kernel| Hotspot {
        name: k.name.to_string(),
        kind: k.kind,
        share: share(k.total_ns as f64, total),
        calls: k.calls,
        mean_us: share(k.total_ns as f64 / 1e3, k.calls as f64),
        total_s: seconds(k.total_ns),
    };
    kernels.iter().filter(|k| k.calls > 0).take(HOTSPOTS).map(hotspot).collect()
}

impl Diagnosis {
    /// The share of these kinds of the time of all kernels.
    pub(super) fn share_of(&self, kinds: &[Kind]) -> f64 {
        let all = self.kernels.iter().flat_map(|sums| &sums.kinds);
        all.filter(|k| kinds.contains(&k.kind)).map(|k| k.share).sum()
    }

    /// Adds what may be tried.
    ///
    /// # Errors
    /// Never: see [`levers::shipped`].
    pub fn with_levers(mut self, stack: DetectedStack, of: Catalogs<'_>) -> Result<Diagnosis> {
        self.levers = levers::suggest(&self, stack.stack, of)?;
        self.stack = Some(stack);
        Ok(self)
    }

    /// The answer in one line.
    pub fn headline(&self) -> String {
        let busy = self.gpu.as_ref().map(|g| format!("GPU busy {}", percent(g.busy_share)));
        let busy = busy.filter(|_| !self.because.starts_with("GPU busy"));
        let parts: Vec<String> = [Some(self.because.clone()), busy].into_iter().flatten().collect();
        format!("bottleneck: {} ({})", self.bottleneck.word(), parts.join("; "))
    }
}
