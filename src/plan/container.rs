//! What a [`Job`](super::Job) that runs in a container needs to know: its image, and what the container
//! may use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::docker_options::DockerOptions;
use super::{ImageSource, Planner};
use crate::catalog::Model;
use crate::credentials::Credentials;
use crate::engine::absolute;
use crate::options::ContainerProgram;
use crate::source;

/// Name of the work directory in the container of an entry without `url`.
const RUN_DIRECTORY: &str = "run_directory";

/// How a Job runs in a container.
#[derive(Clone, Debug)]
pub struct ContainerSpec {
    /// Which program runs it.
    pub program: ContainerProgram,
    /// Where its image comes from.
    pub image: ImageSource,
    /// The catalog's root on this host; the container sees what is in it, read-only.
    pub root: PathBuf,
    /// Name of the work directory below `/myworkspace`.
    pub work_name: String,
    /// Logins for the registries that images come from.
    pub credentials: Credentials,
    /// `docker_mounts`: path in the container → path on this host.
    pub mounts: BTreeMap<String, PathBuf>,
    /// `docker_cpus`, a list as `--cpuset-cpus` takes it.
    pub cpus: Option<String>,
    /// Words of `additional_docker_run_options` that are honoured.
    pub options: Vec<String>,
    /// Scripts before the model's, in order.
    pub pre_scripts: Vec<Hook>,
    /// Scripts after a model that succeeded, in order.
    pub post_scripts: Vec<Hook>,
    /// Shell text that the model's command is put behind.
    pub encapsulate: Option<String>,
    /// Whether only the scripts before and after it run, and not the model.
    pub skip_model: bool,
}

/// A script that runs before or after the model's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The file on this host.
    pub script: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

impl Planner<'_> {
    /// `guest_os`: the context's, or madengine's default.
    pub(super) fn guest_os(&self) -> String {
        self.context.text("guest_os").map_or("UBUNTU".to_owned(), |os| os.to_uppercase())
    }

    /// How the entry runs in a container with this image.
    pub(super) fn container(
        &self,
        model: &Model,
        image: ImageSource,
        warnings: &mut Vec<String>,
    ) -> ContainerSpec {
        let entry = model.entry();
        // A URL without a usable name is refused with the repository.
        let work_name = model.url().and_then(|url| source::directory_name(url).ok());
        let text = entry.additional_docker_run_options.as_deref().unwrap_or_default();
        let options = DockerOptions::parse(text);
        warnings.extend(options.remarks);
        let root = absolute(&self.catalog.root);
        let mounts = self.context.items("docker_mounts").into_iter();
        let mounts = mounts.map(|(inside, host)| (inside, absolute(Path::new(&host)))).collect();
        ContainerSpec {
            program: self.options.images.container_engine,
            image,
            credentials: self.credentials.clone(),
            work_name: work_name.unwrap_or_else(|| RUN_DIRECTORY.to_owned()),
            mounts,
            cpus: self.context.text("docker_cpus").map(|c| c.replace(char::is_whitespace, "")),
            options: options.words,
            pre_scripts: self.hooks("pre_scripts", &root),
            post_scripts: self.hooks("post_scripts", &root),
            encapsulate: self.context.text("encapsulate_script").filter(|t| !t.trim().is_empty()),
            skip_model: self.options.skip_model_run,
            root,
        }
    }

    /// The scripts of the context under `key`; [`Context`](crate::options::Context) has checked their form.
    fn hooks(&self, key: &str, root: &Path) -> Vec<Hook> {
        let items = self.context.0.get(key).and_then(Value::as_array).into_iter().flatten();
        items
            .filter_map(|item| {
                let args = item.get("args").and_then(Value::as_str).unwrap_or_default();
                Some(Hook {
                    script: root.join(item.get("path")?.as_str()?),
                    args: shell_words::split(args).ok()?,
                })
            })
            .collect()
    }
}
