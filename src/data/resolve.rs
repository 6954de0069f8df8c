//! Which provider a data set comes from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::access::Access;
use super::config::Reason;
use super::parse::{Provider, bucket_and_prefix};
use super::{DataConfig, DataError, DataPlan, DataScript, Mount, ProviderKind, Remote, s3};
use crate::catalog::split_commas;
use crate::credentials::Credentials;
use crate::engine::absolute;

/// What madengine gives the script of a `custom` provider.
const SCRIPT_LIMIT: Duration = Duration::from_secs(20 * 60);

const NAS_REFUSED: &str = "not supported: it needs sshfs or rsync with a password in a shell line, where every log shows it; mount the file server on this host and describe it as `local`, or put the data into a bucket and describe it as `minio`";

/// Whether object stores are asked if they are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Servers {
    /// Each is asked once; one that does not answer within 30 seconds is not available.
    Ask,
    /// They are taken to be there: for plans that must not touch the network.
    Trust,
}

/// Picks providers.
#[derive(Debug)]
pub struct Resolver<'a> {
    config: &'a DataConfig,
    root: PathBuf,
    cache: PathBuf,
    credentials: &'a Credentials,
    servers: Servers,
    /// Endpoints that were asked, and why one is not there.
    asked: Mutex<BTreeMap<String, Result<(), String>>>,
}

/// A provider that can be used: what of a [`DataPlan`] depends on it.
struct Usable {
    mount: Option<Mount>,
    script: Option<DataScript>,
    download: Option<Remote>,
}

impl<'a> Resolver<'a> {
    /// `root` is the catalog's; `cache` the directory for downloads that have no
    /// `mirrorlocal`; `credentials` those of the object stores.
    pub fn new(
        config: &'a DataConfig,
        root: &Path,
        cache: &Path,
        credentials: &'a Credentials,
        servers: Servers,
    ) -> Self {
        let (root, cache) = (absolute(root), absolute(cache));
        Resolver { config, root, cache, credentials, servers, asked: Mutex::default() }
    }

    /// Plans for the data sets of an entry, in its order: the comma-separated `data`. A
    /// name that stands there twice counts once. Of each, the first provider that can be
    /// used: `custom`, `local`, `minio`, `nas`, `aws`.
    ///
    /// # Errors
    /// When a name is unknown, its description has mistakes, no provider of it can be
    /// used, or two data sets would be in one place.
    pub fn resolve(&self, data: &str) -> Result<Vec<DataPlan>, DataError> {
        let mut plans: Vec<DataPlan> = Vec::new();
        for name in split_commas(data) {
            if plans.iter().any(|plan| plan.name == name) {
                continue;
            }
            let plan = self.plan(name, plans.len())?;
            if let Some(other) = plans.iter().find(|other| other.home == plan.home) {
                return Err(DataError::SameHome {
                    first: other.name.clone(),
                    second: plan.name,
                    home: plan.home,
                });
            }
            plans.push(plan);
        }
        Ok(plans)
    }

    fn plan(&self, name: &str, index: usize) -> Result<DataPlan, DataError> {
        let mut reasons = Vec::new();
        for provider in self.config.providers(name)? {
            match self.usable(name, provider) {
                Ok(Usable { mount, script, download }) => {
                    let home = provider.home.clone();
                    return Ok(DataPlan {
                        name: name.to_owned(),
                        provider: provider.kind,
                        home: home.unwrap_or_else(|| format!("/data_dlm_{index}")),
                        mount,
                        script,
                        download,
                        passed_over: reasons.iter().map(Reason::to_string).collect(),
                    });
                }
                Err(why) => reasons.push(Reason { provider: provider.kind, why }),
            }
        }
        Err(DataError::Unavailable { name: name.to_owned(), reasons })
    }

    fn usable(&self, name: &str, provider: &Provider) -> Result<Usable, String> {
        let mount = |host, writable| Some(Mount { host, writable });
        match provider.kind {
            ProviderKind::Local => {
                let host = self.existing(&provider.path)?;
                let mount = mount(host, provider.readwrite);
                Ok(Usable { mount, script: None, download: None })
            }
            ProviderKind::Custom => {
                self.existing(&provider.path)?;
                let script = DataScript {
                    path: PathBuf::from(&provider.path),
                    args: provider.args.clone(),
                    limit: SCRIPT_LIMIT,
                };
                // The script is what fills the mirror, so that it may always write there.
                let mirror = self.mirror(provider)?.map(|mirror| mirror.join(name));
                let mount = mirror.and_then(|host| mount(host, true));
                Ok(Usable { mount, script: Some(script), download: None })
            }
            ProviderKind::Nas => Err(NAS_REFUSED.to_owned()),
            ProviderKind::Minio | ProviderKind::Aws => {
                s3::is_built()?;
                let (bucket, prefix) = bucket_and_prefix(provider.kind, &provider.path)?;
                let access = Access::find(provider.kind, self.credentials, &variable)?;
                let host = self.mirror(provider)?.unwrap_or_else(|| self.cache.clone()).join(name);
                self.answers(&access)?;
                let remote =
                    Remote { bucket: bucket.to_owned(), prefix: prefix.to_owned(), access };
                let mount = mount(host, provider.readwrite);
                Ok(Usable { mount, script: None, download: Some(remote) })
            }
        }
    }

    /// A path below the root, or an absolute one, if something is there.
    fn existing(&self, path: &str) -> Result<PathBuf, String> {
        let path = self.root.join(path);
        match path.try_exists() {
            Ok(true) => Ok(path),
            Ok(false) => Err(format!("{} does not exist", path.display())),
            Err(e) => Err(format!("{}: {e}", path.display())),
        }
    }

    fn mirror(&self, provider: &Provider) -> Result<Option<PathBuf>, String> {
        let Some(mirror) = &provider.mirror else { return Ok(None) };
        let path = self.root.join(mirror);
        match path.is_dir() {
            true => Ok(Some(path)),
            false => Err(format!("mirrorlocal: there is no directory {}", path.display())),
        }
    }

    fn answers(&self, access: &Access) -> Result<(), String> {
        if self.servers == Servers::Trust {
            return Ok(());
        }
        // Held while one is asked: others that want to know wait instead of asking, too.
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let known = asked.entry(access.endpoint.clone());
        known.or_insert_with(|| s3::answers(access)).clone()
    }
}

/// A variable of the environment; one that is set to nothing is not set.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
