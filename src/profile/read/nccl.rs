//! What NCCL and RCCL log with `NCCL_DEBUG=INFO`.
//!
//! The log says which collectives were called, and over what the data goes; it has no
//! durations, so by itself it names no bottleneck.

use std::collections::BTreeMap;
use std::io::Read;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Outcome, lines};

/// Warnings that are kept.
const WARNINGS: usize = 5;

/// What logs of NCCL or RCCL say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommunicationLog {
    /// Ranks of the largest communicator.
    pub ranks: u32,
    /// Channels between ranks, by what they go over: `P2P`, `SHM`, `NET/IB`, `NET/Socket`…
    pub channels: BTreeMap<String, u64>,
    /// Collectives by name; only with `NCCL_DEBUG_SUBSYS=COLL`.
    pub collectives: BTreeMap<String, Collective>,
    /// Warnings, the first few.
    pub warnings: Vec<String>,
}

/// Calls of one collective, by all ranks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Collective {
    /// Calls.
    pub calls: u64,
    /// Bytes that they were given.
    pub bytes: u64,
}

impl CommunicationLog {
    /// Whether nothing was logged.
    pub fn is_empty(&self) -> bool {
        *self == CommunicationLog::default()
    }

    /// What a person should know of it.
    pub(in crate::profile) fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        let channels: u64 = self.channels.values().sum();
        for (path, count) in &self.channels {
            let what = match path.as_str() {
                "NET/Socket" => "go through TCP sockets, not RDMA",
                "SHM" => "go through the host's memory, not from GPU to GPU",
                _ => continue,
            };
            findings.push(format!("{count} of {channels} channels {what} ({path})"));
        }
        findings.extend(self.warnings.iter().cloned());
        findings
    }
}

pub(super) fn is_log(text: &str) -> bool {
    text.contains(" NCCL INFO ") || text.contains(" NCCL WARN ")
}

pub(super) fn read(stream: impl Read, log: &mut CommunicationLog) -> Outcome {
    let problem = lines(stream, |line| {
        if let Some((_, warning)) = line.split_once(" NCCL WARN ") {
            let warning = format!("NCCL warns: {}", warning.trim());
            if log.warnings.len() < WARNINGS && !log.warnings.contains(&warning) {
                log.warnings.push(warning);
            }
        } else if let Some((_, info)) = line.split_once(" NCCL INFO ") {
            take(info.trim(), log);
        }
    });
    Outcome { problem, ..Outcome::default() }
}

fn take(info: &str, log: &mut CommunicationLog) {
    // `AllReduce: opCount 3 … count 1024 datatype 7 op 0 … [nranks=8] stream …`
    if let Some((name, rest)) = info.split_once(": opCount ") {
        let after = |key: &str| {
            let (_, rest) = rest.split_once(key)?;
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse::<u64>().ok()
        };
        let bytes = after(" count ").zip(after(" datatype "));
        let bytes = bytes.map_or(0, |(count, datatype)| count.saturating_mul(size(datatype)));
        if log.collectives.len() < 100 || log.collectives.contains_key(name) {
            let collective = log.collectives.entry(name.to_owned()).or_default();
            collective.calls += 1;
            collective.bytes = collective.bytes.saturating_add(bytes);
        }
        log.ranks = log.ranks.max(after("[nranks=").unwrap_or(0).try_into().unwrap_or(0));
    } else if info.starts_with("Channel ")
        && let Some((_, path)) = info.split_once(" via ")
    {
        // `P2P/CUMEM/read`, `SHM/direct/direct`, `NET/IB/0/GDRDMA`, `NET/Socket/0`.
        let parts = if path.starts_with("NET/") { 2 } else { 1 };
        let path: Vec<&str> = path.split(['/', ' ']).take(parts).collect();
        let path = path.join("/");
        if log.channels.len() < 100 || log.channels.contains_key(&path) {
            *log.channels.entry(path).or_default() += 1;
        }
    } else if let Some((_, rest)) = info.split_once(" nranks ") {
        let ranks = rest.split_whitespace().next().and_then(|n| n.parse().ok());
        log.ranks = log.ranks.max(ranks.unwrap_or(0));
    }
}

/// Bytes of an element of `ncclDataType_t`.
fn size(datatype: u64) -> u64 {
    match datatype {
        // int8, uint8, and two kinds of fp8.
        0 | 1 | 10 | 11 => 1,
        // fp16, bf16.
        6 | 9 => 2,
        // int32, uint32, fp32.
        2 | 3 | 7 => 4,
        _ => 8,
    }
}
