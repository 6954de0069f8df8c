//! What samples of a process tree say.

use std::path::Path;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tool::{SAMPLES_SCHEMA, Samples};

/// What the processes of a run did on the host, and its GPUs beside them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostUse {
    /// CPUs of the host.
    pub cpus: u32,
    /// Seconds.
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
    })
}
