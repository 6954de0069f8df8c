//! `*_VISIBLE_DEVICES`: the GPUs that the runtimes would show to this process.
//!
//! | variable | restricts | set but empty |
//! |---|---|---|
//! | `ROCR_VISIBLE_DEVICES` | AMD | no GPU |
//! | `HIP_VISIBLE_DEVICES` | AMD, counting what ROCR left | as if unset |
//! | `CUDA_VISIBLE_DEVICES` | NVIDIA | no GPU |
//! | | AMD, where HIP's is unset or empty | as if unset |
//!
//! A value is a comma-separated list of indices and of unique ids (`GPU-…`, case ignored,
//! shortened as long as one GPU matches). As in the runtimes, the list ends at the first
//! entry that names no GPU or one named before; a list that starts with such an entry
//! leaves no GPU. `-1` is the customary way to write that and brings no warning.

use std::env;

use super::description::{Gpu, Machine, Vendor};

/// Shortest unique id: the prefix and one digit.
const UUID_MIN: usize = "GPU-0".len();

/// The values of the variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Visibility {
    pub(super) rocr: Option<String>,
    pub(super) hip: Option<String>,
    pub(super) cuda: Option<String>,
}

impl Visibility {
    /// The values in the environment of this process.
    pub(super) fn from_env() -> Self {
        let read = |name| env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            rocr: read("ROCR_VISIBLE_DEVICES"),
            hip: read("HIP_VISIBLE_DEVICES"),
            cuda: read("CUDA_VISIBLE_DEVICES"),
        }
    }

    /// Leaves the GPUs that are visible, in the order in which the runtimes show them.
    pub(super) fn apply(&self, machine: &mut Machine) {
        let before = machine.gpus.len();
        let (mut amd, mut nvidia): (Vec<Gpu>, Vec<Gpu>) =
            machine.gpus.drain(..).partition(|gpu| gpu.vendor == Vendor::Amd);
        if let Some(value) = &self.rocr {
            amd = select(amd, "ROCR_VISIBLE_DEVICES", value);
        }
        let set = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        if let Some(value) = set(&self.hip) {
            amd = select(amd, "HIP_VISIBLE_DEVICES", &value);
        } else if let Some(value) = set(&self.cuda) {
            amd = select(amd, "CUDA_VISIBLE_DEVICES", &value);
        }
        if let Some(value) = &self.cuda {
            nvidia = select(nvidia, "CUDA_VISIBLE_DEVICES", value);
        }
        machine.gpus = amd;
        machine.gpus.append(&mut nvidia);
        let removed = before - machine.gpus.len();
        machine.hidden_gpus =
            machine.hidden_gpus.saturating_add(u32::try_from(removed).unwrap_or(u32::MAX));
    }
}

fn select(gpus: Vec<Gpu>, variable: &str, value: &str) -> Vec<Gpu> {
    if gpus.is_empty() || value.is_empty() {
        return Vec::new();
    }
    let uuids: Vec<Option<&str>> = gpus.iter().map(|gpu| gpu.uuid.as_deref()).collect();
    let (chosen, ended_by) = parse(value, &uuids);
    if let Some(entry) = ended_by.filter(|entry| *entry != "-1") {
        tracing::warn!(
            variable,
            value,
            entry,
            gpus = gpus.len(),
            visible = chosen.len(),
            "the entry names no GPU, or one named before; it and all after it are ignored"
        );
    }
    chosen.into_iter().map(|at| gpus[at].clone()).collect()
}

/// Positions that a list names, and the entry that ended it early.
pub(super) fn parse<'a>(value: &'a str, uuids: &[Option<&str>]) -> (Vec<usize>, Option<&'a str>) {
    let mut chosen = Vec::new();
    for entry in value.split(',').map(str::trim) {
        match position(entry, uuids).filter(|at| !chosen.contains(at)) {
            Some(at) => chosen.push(at),
            None => return (chosen, Some(entry)),
        }
    }
    (chosen, None)
}

fn position(entry: &str, uuids: &[Option<&str>]) -> Option<usize> {
    if entry.bytes().all(|byte| byte.is_ascii_digit()) {
        return entry.parse().ok().filter(|at| *at < uuids.len());
    }
    if entry.len() < UUID_MIN || !starts_with_ignoring_case(entry, "GPU-") {
        return None;
    }
    let mut matching = (0..uuids.len())
        .filter(|at| uuids[*at].is_some_and(|uuid| starts_with_ignoring_case(uuid, entry)));
    let first = matching.next()?;
    matching.next().is_none().then_some(first)
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.as_bytes()
        .get(..prefix.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}
