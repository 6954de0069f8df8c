//! What samples of a process tree say.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::tool::{SAMPLES_SCHEMA, Samples};

/// What the processes of a run did on the host, and its GPUs beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostUse {
    /// CPUs of the host; 0 where that is not known.
    pub cpus: u32,
    /// Seconds; 0 where only functions are known.
    pub wall_s: f64,
    /// CPUs that the processes kept busy, on average.
    pub cpus_busy: f64,
    /// Context switches per second that they asked for, by waiting.
    pub voluntary_switches_per_s: f64,
    /// Context switches per second that they did not ask for.
    pub involuntary_switches_per_s: f64,
    /// Page faults that read from a disk.
    pub major_faults: u64,
    /// Most bytes of memory at once.
    pub max_rss_bytes: u64,
    /// Mean busy share of the GPUs that were used at all; from 0 to 1.
    pub gpu_busy: Option<f64>,
    /// Most watts of a GPU.
    pub gpu_power_w: Option<f64>,
    /// Most bytes of a GPU's memory that were used.
    pub gpu_memory_bytes: Option<u64>,
    /// What the CPU's counters say, where perf read them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub counters: Option<CpuCounters>,
    /// The functions that took most of the CPU time, where perf sampled them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub functions: Vec<CpuFunction>,
    /// Share of the CPU time by kind of function; from 0 to 1.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub kinds: BTreeMap<Kind, f64>,
}

/// Counters of the CPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuCounters {
    /// Instructions per cycle.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub instructions_per_cycle: Option<f64>,
    /// Share of the accesses to the last-level cache that miss; from 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_level_misses: Option<f64>,
}

/// A function of the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuFunction {
    /// Its name.
    pub name: String,
    /// The library or program that it is in.
    pub object: String,
    /// What it does, by its name.
    pub kind: Kind,
    /// Its share of the CPU time; from 0 to 1.
    pub share: f64,
}

impl HostUse {
    /// Puts together what several files say of the same run: what the first does not know, the
    /// second may.
    pub(super) fn and(self, other: HostUse) -> HostUse {
        let counters = self.counters.clone().or_else(|| other.counters.clone());
        let of = if self.functions.is_empty() { &other } else { &self };
        let (functions, kinds) = (of.functions.clone(), of.kinds.clone());
        let times = if self.wall_s > 0.0 { self } else { other };
        HostUse { counters, functions, kinds, ..times }
    }

    /// The share of these kinds of the CPU time.
    pub(super) fn share_of(&self, kinds: &[Kind]) -> f64 {
        kinds.iter().filter_map(|kind| self.kinds.get(kind)).sum()
    }
}

/// Reads what the built-in sampler wrote.
pub(super) fn read(path: &Path) -> Result<HostUse> {
    let text = std::fs::read(path)?;
    let samples: Samples = serde_json::from_slice(&text).context("it is damaged")?;
    if samples.schema != SAMPLES_SCHEMA {
        bail!("it is {}, and {SAMPLES_SCHEMA} is known: a newer mad wrote it", samples.schema);
    }
    if samples.samples.is_empty() || samples.wall_s <= 0.0 {
        bail!("the run was over before it could be looked at twice");
    }
    let per_s = |count: u64| count as f64 / samples.wall_s;
    let gpus = samples.samples.iter().map(|s| s.gpus.len()).max().unwrap_or(0);
    let busy_of = |gpu: usize| {
        let each = samples.samples.iter().filter_map(|s| s.gpus.get(gpu)?.busy);
        let each: Vec<f64> = each.collect();
        let used = each.iter().any(|b| *b > 0.0);
        used.then(|| each.iter().sum::<f64>() / each.len() as f64)
    };
    let busy: Vec<f64> = (0..gpus).filter_map(busy_of).collect();
    let all = || samples.samples.iter().flat_map(|s| &s.gpus);
    Ok(HostUse {
        cpus: samples.cpus,
        wall_s: samples.wall_s,
        cpus_busy: samples.cpu_s / samples.wall_s,
        voluntary_switches_per_s: per_s(samples.voluntary_switches),
        involuntary_switches_per_s: per_s(samples.involuntary_switches),
        major_faults: samples.major_faults,
        max_rss_bytes: samples.max_rss_bytes,
        gpu_busy: (!busy.is_empty()).then(|| busy.iter().sum::<f64>() / busy.len() as f64),
        gpu_power_w: all().filter_map(|g| g.power_w).max_by(f64::total_cmp),
        gpu_memory_bytes: all().filter_map(|g| g.memory_bytes).max(),
        ..HostUse::default()
    })
}
