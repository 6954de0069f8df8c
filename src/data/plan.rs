//! What must be done for an entry to have a data set.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::access::Access;

/// Who provides a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderKind {
    /// A script of the catalog, run where the entry runs.
    Custom,
    /// A directory or file of this host.
    Local,
    /// An object store that speaks S3.
    Minio,
    /// A file server reached by SSH; parsed, never used.
    Nas,
    /// Amazon S3.
    Aws,
}

impl ProviderKind {
    /// All of them, in the order in which they are tried.
    pub const ORDER: [ProviderKind; 5] = [
        ProviderKind::Custom,
        ProviderKind::Local,
        ProviderKind::Minio,
        ProviderKind::Nas,
        ProviderKind::Aws,
    ];

    /// The key in `data.json`, and what `perf.csv` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            ProviderKind::Custom => "custom",
            ProviderKind::Local => "local",
            ProviderKind::Minio => "minio",
            ProviderKind::Nas => "nas",
            ProviderKind::Aws => "aws",
        }
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How one data set gets to an entry.
#[derive(Clone, Debug)]
pub struct DataPlan {
    /// Name of the data set.
    pub name: String,
    /// Who provides it.
    pub provider: ProviderKind,
    /// Where it is inside a container, absolute.
    pub home: String,
    /// What is mounted there. `None` for a `custom` script without a `mirrorlocal`: the
    /// container itself holds what it makes.
    pub mount: Option<Mount>,
    /// What is run in `home`, before the entry's own script, where that runs.
    pub script: Option<DataScript>,
    /// What [`fetch`](super::fetch) downloads into the mount's directory first.
    pub download: Option<Remote>,
    /// Providers that would have been preferred, and why they cannot be used.
    pub passed_over: Vec<String>,
}

impl DataPlan {
    /// Values that must not appear in any output.
    pub fn secrets(&self) -> Vec<String> {
        self.download.as_ref().map_or_else(Vec::new, |remote| remote.access.secrets())
    }
}

/// A directory or file of this host inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path on this host.
    pub host: PathBuf,
    /// Whether the container may write to it.
    pub writable: bool,
}

/// The script of a `custom` provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataScript {
    /// Path relative to the catalog root; run with `bash`.
    pub path: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// How long it may take.
    pub limit: Duration,
}

/// Objects in an object store.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Name of the bucket.
    pub bucket: String,
    /// A key, or what keys have before a `/`; empty means the whole bucket.
    pub prefix: String,
    pub(super) access: Access,
}

impl fmt::Display for Remote {
    /// `s3://bucket/prefix at http://host:9000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{} at {}", self.bucket, self.prefix, self.access.endpoint)
    }
}

/// `MAD_DATAHOME` inside a container: the homes of all data sets, joined with commas.
pub fn container_homes(plans: &[DataPlan]) -> String {
    plans.iter().map(|plan| plan.home.as_str()).collect::<Vec<_>>().join(",")
}
