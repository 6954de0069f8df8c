//! What a [`Job`] that madengine runs needs to know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{ImageSource, Job, Planner};
use crate::catalog::{Count, Model};
use crate::contract::OUT_OF_TIME;
use crate::credentials::Credentials;
use crate::engine::absolute;
use crate::engine::container::Containers;
use crate::machine::{Vendor, slug};
use crate::options::{ContainerProgram, EngineKind};

/// Names that madengine knows for a number of GPUs, in the order of their weight.
const GPU_COUNTS: [&str; 5] = ["gpus_per_node", "gpu_count", "n_gpus", "num_gpus", "ngpus"];

/// How madengine runs a Job.
#[derive(Clone, Debug)]
pub struct MadengineSpec {
    /// The catalog's root on this host.
    pub root: PathBuf,
    /// The one entry of the catalog that madengine gets to see.
    pub entry: Map<String, Value>,
    /// Where the image comes from.
    pub image: ImageSource,
    /// The additional context, without the GPUs of one Execution.
    pub context: Map<String, Value>,
    /// The logins of the catalog.
    pub credentials: Credentials,
    /// Where the model runs.
    pub target: Target,
    /// Whether the entry's `skip_gpu_arch` is passed over.
    pub any_arch: bool,
    /// Whether everything but the model runs.
    pub skip_model: bool,
    /// Seconds after which madengine itself is ended; it has its own limit for the model.
    pub limit_s: Option<f64>,
}

/// Where madengine runs a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// In a container on this host.
    Local,
    /// As a Kubernetes Job.
    Kubernetes,
    /// As a Slurm job.
    Slurm,
}

/// Seconds that madengine gets beyond its own limit, to write down what happened and to
/// remove its container.
const MARGIN_S: f64 = 60.0;

impl MadengineSpec {
    /// The name of madengine's container, which it gives to every run of this image.
    pub fn container_name(&self) -> String {
        let image = match &self.image {
            ImageSource::Existing(image) => &image.name,
            ImageSource::Build(build) => &build.name,
        };
        container_name(image)
    }
}

/// The name of madengine's container of `image`.
pub(crate) fn container_name(image: &str) -> String {
    let rank = ["SLURM_PROCID", "RANK"].iter().find_map(|name| std::env::var(name).ok());
    let node = rank.map(|rank| format!("_node{rank}")).unwrap_or_default();
    format!("container_{}{node}", image.replace(['/', ':'], "_"))
}

impl Planner<'_> {
    /// Where madengine would run an entry.
    pub(super) fn target(&self) -> Target {
        let has = |key: &str| self.context.0.contains_key(key);
        match () {
            () if has("k8s") || has("kubernetes") => Target::Kubernetes,
            () if has("slurm") => Target::Slurm,
            () => Target::Local,
        }
    }

    /// Whether the entry runs on machines of which this host is none.
    pub(super) fn runs_elsewhere(&self, model: &Model) -> bool {
        match self.engine(model) {
            EngineKind::Slurm => true,
            EngineKind::Madengine => self.target() != Target::Local,
            _ => false,
        }
    }

    /// The GPUs that the section of the context for a cluster asks for.
    pub(super) fn cluster_gpus(&self, model: &Model) -> Option<Count> {
        if !self.runs_elsewhere(model) {
            return None;
        }
        let section = match self.is_for_slurm(model) {
            true => self.slurm_section(model),
            false => {
                let keys = ["k8s", "kubernetes", "slurm"];
                let section = keys.iter().find_map(|key| self.context.0.get(*key));
                section?.as_object()?.clone()
            }
        };
        GPU_COUNTS.iter().find_map(|key| match section.get(*key)? {
            Value::String(text) => text.parse().ok(),
            other => other.to_string().parse().ok(),
        })
    }

    /// Why madengine cannot run the entry here, if it cannot.
    pub(super) fn gate_madengine(&self, model: &Model) -> Option<String> {
        // A host that is described in a file is taken to have what it needs.
        if self.options.machine.is_some() {
            return None;
        }
        if !on_path("madengine") {
            return Some(
                "needs madengine, which is not on PATH \
                 (pip install git+https://github.com/ROCm/madengine)"
                    .to_owned(),
            );
        }
        match self.target() {
            Target::Kubernetes if self.is_only_here(model) => Some(
                "Kubernetes takes images from a registry: push one there \
                 (madengine build --registry) and name it with --use-image"
                    .to_owned(),
            ),
            Target::Kubernetes | Target::Slurm => None,
            Target::Local => {
                if let Err(why) = Containers::here(ContainerProgram::Docker) {
                    return Some(format!("madengine needs Docker, which does not answer: {why}"));
                }
                let lacks = match self.image_vendor(model).as_str() {
                    "NVIDIA" if !self.machine.gpus.iter().any(|g| g.vendor == Vendor::Nvidia) => {
                        "no NVIDIA GPU"
                    }
                    "AMD" if !Path::new("/dev/kfd").exists() => "no /dev/kfd",
                    _ => return None,
                };
                Some(format!(
                    "madengine gives every container a GPU device, and this host has {lacks}; \
                     `--engine container` does not need one"
                ))
            }
        }
    }

    /// Whether no image of the entry can be had from a registry.
    fn is_only_here(&self, model: &Model) -> bool {
        let pushed = model.images().is_some_and(|i| i.iter().any(|i| i.pullable().is_some()));
        matches!(self.given_image(model), Ok(None)) && !pushed
    }

    /// The Job with this image, as madengine runs it.
    pub(super) fn in_madengine(&self, mut job: Job, variant: &str, image: ImageSource) -> Job {
        if !variant.is_empty() {
            job.id = format!("{}@{variant}", job.id);
        }
        let target = self.target();
        if target == Target::Local {
            self.drop_unseen_variables(&mut job);
        }
        if super::job::host_secrets().next().is_some() {
            job.warnings.push(
                "madengine hands MAD_SECRETS* to docker on its command line and as build \
                 arguments, which stay in the image's history"
                    .to_owned(),
            );
        }
        // Whatever looks like an error can only explain what madengine recorded.
        job.error_scan.enabled = true;
        job.error_scan.explicit = false;
        job.error_scan.patterns.push(OUT_OF_TIME.to_owned());
        let limit_s = match target {
            Target::Local => job.timeout_s,
            // A job may wait in its queue for longer than it runs.
            _ => self.options.timeout.filter(|s| *s > 0.0),
        };
        job.madengine = Some(MadengineSpec {
            root: absolute(&self.catalog.root),
            entry: entry(&job.model),
            context: self.madengine_context(&job, &image),
            image,
            credentials: self.credentials.clone(),
            target,
            any_arch: self.options.disable_skip_gpu_arch,
            skip_model: self.options.skip_model_run,
            limit_s: limit_s.map(|s| s.ceil() + MARGIN_S),
        });
        job
    }

    /// Takes out the variables that madengine does not hand to local containers.
    fn drop_unseen_variables(&self, job: &mut Job) {
        let entry = job.model.entry().env_vars.iter().flatten().map(|(name, _)| name.clone());
        let context = self.context.items("env_vars").into_iter().map(|(name, _)| name);
        let given = self.context.items("docker_env_vars");
        let unseen: BTreeSet<String> =
            entry.chain(context).filter(|n| given.iter().all(|(name, _)| name != n)).collect();
        if unseen.is_empty() {
            return;
        }
        job.env.retain(|name, _| !unseen.contains(name));
        let names: Vec<String> = unseen.into_iter().collect();
        job.warnings.push(format!(
            "madengine does not hand `env_vars` to local containers: {} (`docker_env_vars` of \
             the context does)",
            names.join(", ")
        ));
    }

    /// The user's context, and what madengine could only guess otherwise.
    fn madengine_context(&self, job: &Job, image: &ImageSource) -> Map<String, Value> {
        let mut context = self.context.0.clone();
        // The image is named in the manifest, together with everything of the entry.
        context.remove("MAD_CONTAINER_IMAGE");
        context.entry("gpu_vendor").or_insert_with(|| self.image_vendor(&job.model).into());
        context.entry("guest_os").or_insert_with(|| self.guest_os().into());
        if self.target() == Target::Local {
            if let ImageSource::Build(build) = image {
                context.insert("docker_build_arg".to_owned(), json!(build.args));
            }
            for name in GPU_COUNTS {
                context.remove(name);
            }
            context.insert("gpus_per_node".to_owned(), job.n_gpus.into());
        } else if let Some(Count::Exactly(n)) = self.options.count() {
            context.insert("gpus_per_node".to_owned(), n.into());
            for (key, name) in
                [("k8s", "gpu_count"), ("kubernetes", "gpu_count"), ("slurm", "gpus_per_node")]
            {
                if let Some(section) = context.get_mut(key).and_then(Value::as_object_mut) {
                    section.insert(name.to_owned(), n.into());
                }
            }
        }
        context
    }
}

/// The entry as the one of a catalog of its own. Its time limit is given on the command
/// line, where madengine would let the entry's win over one of 7200 s.
fn entry(model: &Model) -> Map<String, Value> {
    let Value::Object(mut entry) = model.resolved() else { return Map::new() };
    entry.remove("mad");
    entry.remove("timeout");
    entry
}

/// The class of machines that a cluster's numbers belong to: this host is none of them.
pub(super) fn cluster_class(spec: &MadengineSpec, n_gpus: u32) -> String {
    let cluster = if spec.target == Target::Slurm { "slurm" } else { "kubernetes" };
    let arch =
        |section: &str| spec.context.get(section)?.get("MAD_SYSTEM_GPU_ARCHITECTURE")?.as_str();
    let arch = arch("docker_build_arg").or_else(|| arch("docker_env_vars"));
    let vendor = spec.context.get("gpu_vendor").and_then(Value::as_str);
    let gpu = slug(arch.or(vendor).unwrap_or("gpu"));
    format!("{cluster}-{n_gpus}x-{gpu}")
}

pub(super) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
