//! Getting what was planned.

use anyhow::{Context as _, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DataPlan, ProviderKind, s3};

/// A data set that was downloaded, or found complete.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fetched {
    /// Bytes of the whole data set.
    pub bytes: u64,
    /// Objects of the whole data set.
    pub objects: u64,
    /// Bytes downloaded for it now.
    pub new_bytes: u64,
    /// Objects downloaded now: those that were not here, or not as they are now.
    pub new_objects: u64,
    /// Files removed, because their objects are gone.
    pub removed: u64,
    /// Seconds it took, waiting for another process included.
    pub seconds: f64,
}

/// The data of an entry, as `perf.csv` has it: about all its data sets, not the last one
/// alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Provided {
    /// `dataname`: the names, joined with commas.
    pub names: String,
    /// `data_provider_type`: their providers in the same order, joined with commas.
    pub providers: String,
    /// `data_size`: bytes of all that was downloaded, now or earlier; `None` if nothing
    /// is of that kind.
    pub bytes: Option<u64>,
    /// `data_download_duration`: seconds all downloads took together, likewise.
    pub seconds: Option<f64>,
}

/// Gets all data sets of an entry, one after the other.
///
/// `log` is told what goes on; `cancelled` is asked several times a second, from other
/// threads too.
///
/// # Errors
/// When one of them cannot be had, or on cancellation. What is here by then stays, and
/// the next call goes on from there.
pub fn provide(
    plans: &[DataPlan],
    log: &(dyn Fn(&str) + Sync),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Provided> {
    let mut provided = Provided::default();
    for plan in plans {
        for why in &plan.passed_over {
            log(&format!("data {}: not from {why}", plan.name));
        }
        if let Some(fetched) = fetch(plan, log, cancelled)? {
            *provided.bytes.get_or_insert(0) += fetched.bytes;
            *provided.seconds.get_or_insert(0.0) += fetched.seconds;
        }
    }
    let join = |part: fn(&DataPlan) -> &str| plans.iter().map(part).collect::<Vec<_>>().join(",");
    provided.names = join(|plan| &plan.name);
    provided.providers = join(|plan| plan.provider.name());
    Ok(provided)
}

/// Gets one data set: downloads what is not here yet, or makes the directory that its
/// script is to fill. `None` if there is nothing to download.
///
/// Objects are files once they are complete, never before. An object whose size, time
/// and ETag are those of the last time is not fetched again; a file whose object is gone
/// is removed, if it is still as it was fetched. Of several processes that want the same
/// data set, one downloads and the others wait.
///
/// # Errors
/// As [`provide`].
pub fn fetch(
    plan: &DataPlan,
    log: &(dyn Fn(&str) + Sync),
    cancelled: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Fetched>> {
    let Some(mount) = &plan.mount else { return Ok(None) };
    if plan.provider == ProviderKind::Custom {
        std::fs::create_dir_all(&mount.host)
            .with_context(|| format!("cannot make {}", mount.host.display()))?;
    }
    let Some(remote) = &plan.download else { return Ok(None) };
    let fetched = s3::sync(&plan.name, remote, &mount.host, log, cancelled);
    fetched.map(Some).with_context(|| format!("data {}, from {remote}", plan.name))
}
