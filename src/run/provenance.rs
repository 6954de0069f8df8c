//! Where numbers come from.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::plan::Job;
use crate::record::Provenance;

/// Variables that change numbers begin with one of these.
const TELLING: [&str; 18] = [
    "MAD_", "OMP_", "MKL_", "RAYON_", "NCCL_", "RCCL_", "HIP_", "ROCR_", "HSA_", "GPU_", "CUDA_",
    "PYTORCH_", "TORCH_", "MIOPEN_", "VLLM_", "SGLANG_", "XLA_", "TF_",
];

/// The provenance of a Measurement of `job`.
pub(super) fn provenance(job: &Job, root: &Path) -> Provenance {
    let masker = job.masker();
    let steering = crate::options::variables();
    // A container has the environment it is given, and nothing of the host.
    let host = job.container.is_none().then(std::env::vars_os).into_iter().flatten();
    let environment: BTreeMap<String, String> = host
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| !steering.contains(name))
        .chain(job.env.clone())
        .filter(|(name, _)| TELLING.iter().any(|prefix| name.starts_with(prefix)))
        .map(|(name, value)| (name, masker.mask_str(&value).into_owned()))
        .collect();
    Provenance {
        commit: commit(root),
        entry: job.model.entry_hash(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: job.command.iter().map(|w| masker.mask_str(w).into_owned()).collect(),
        environment,
        machine: Some(job.machine.clone()),
    }
}

/// The commit that `root` is at, with `-dirty` behind it if the tree differs.
fn commit(root: &Path) -> Option<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|t| !t.is_empty())
}
