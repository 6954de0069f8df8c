//! What a [`Job`] that Slurm runs needs to know.

mod container;
mod section;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

pub use container::{NodeContainer, NodeProgram};

use self::section::{Section, text};
use super::{Job, Planner};
use crate::catalog::{Contract, Count, Model};
use crate::contract::Rule;
use crate::machine::slug;
use crate::options::EngineKind;
use crate::schedule::CpuUse;

/// How a Job runs on a Slurm cluster.
#[derive(Clone, Debug, Default)]
pub struct SlurmSpec {
    /// Nodes that it has, at least one.
    pub nodes: u32,
    /// GPUs that it has on each of them.
    pub gpus_per_node: u32,
    /// Processes that a launcher starts on each of them.
    pub processes_per_node: u32,
    /// Options of `sbatch`, one word each, without those that the engine sets.
    pub options: Vec<String>,
    /// Environment modules that are loaded first, in order.
    pub modules: Vec<String>,
    /// What starts the processes: `torchrun`, `deepspeed`, …; empty if nothing is said.
    pub launcher: String,
    /// Port on the first node at which the processes find each other; `None`: one made of the
    /// job's id, so that two jobs on a node do not meet.
    pub master_port: Option<u16>,
    /// Network interface that the communication libraries are told to use.
    pub interface: Option<String>,
    /// The container it runs in on each node, if it does.
    pub container: Option<NodeContainer>,
    /// Whether the script itself spreads over the nodes: it runs once, on the first of them.
    pub self_managed: bool,
    /// How numbers of several nodes become one, by metric, where the metric's name is not to
    /// decide it.
    pub aggregate: BTreeMap<String, Rule>,
    /// Seconds that it may wait for its start; `None` is for ever.
    pub queue_timeout_s: Option<f64>,
    /// What tells the machines apart that its numbers come from.
    pub class: String,
}

impl SlurmSpec {
    /// Whether Slurm may start the job anew: when a node fails, or somebody says so.
    pub fn requeues(&self) -> bool {
        self.options.iter().any(|option| option == "--requeue")
    }
}

impl Planner<'_> {
    /// What the catalog, the entry and the user say about Slurm; the later wins.
    pub(super) fn slurm_section(&self, model: &Model) -> Map<String, Value> {
        let mut section = self.catalog.config.slurm.clone();
        section.extend(model.entry().slurm.clone().unwrap_or_default());
        let given = self.context.0.get("slurm").and_then(Value::as_object);
        section.extend(given.cloned().unwrap_or_default());
        section
    }

    /// The Job as Slurm runs it.
    ///
    /// # Errors
    /// When an option makes no sense, or no image for the nodes is known.
    pub(super) fn in_slurm(&self, mut job: Job) -> Result<Job, String> {
        let model = job.model.clone();
        let mut section = Section::read(&self.slurm_section(&model))?;
        job.warnings.append(&mut section.remarks);
        let mut distributed = model.entry().distributed.clone().unwrap_or_default();
        let given = self.context.0.get("distributed").and_then(Value::as_object);
        distributed.extend(given.cloned().unwrap_or_default());
        let number = |key: &str| distributed.get(key).and_then(text)?.parse::<u32>().ok();
        let of_entry = match model.entry().nnodes {
            Some(Count::Exactly(n)) => Some(n),
            _ => None,
        };
        let nodes = section.nodes.or_else(|| number("nnodes")).or(of_entry).unwrap_or(1).max(1);
        let gpus_per_node = match self.wanted_gpus(&model) {
            Count::Exactly(n) => n,
            Count::All => {
                return Err("the entry wants all GPUs of a node, and this host does not know how \
                            many there are: give `gpus_per_node` in `slurm` of the context"
                    .to_owned());
            }
        };
        let launcher = distributed.get("launcher").and_then(text).unwrap_or_default();
        let launcher = launcher.replace('_', "-");
        let exclusive = section.exclusive.unwrap_or(job.cpu == CpuUse::Exclusive);
        let mut options = section.options;
        if exclusive {
            options.push("--exclusive".to_owned());
        }
        if let CpuUse::Cores(n) = job.cpu
            && !options.iter().any(|o| o.starts_with("--cpus-per-task"))
        {
            options.push(format!("--cpus-per-task={n}"));
        }
        if gpus_per_node > 0 {
            let kind = section.gpu_type.as_ref().map(|t| format!("{t}:")).unwrap_or_default();
            options.push(format!("--gres=gpu:{kind}{gpus_per_node}"));
        }
        let per_execution = job.timeout_s.map(|s| s + job.grace_s);
        let executions = f64::from(job.warmup + job.samples);
        if let (false, Some(seconds)) = (section.has_time, per_execution) {
            options.push(format!("--time={}", minutes(seconds * executions)));
        }
        let self_managed = model.contract() == Contract::SelfManaged;
        let container =
            if self_managed { None } else { self.node_container(&job, &section.container)? };
        let class = class(&options, nodes, gpus_per_node);
        job.n_gpus = gpus_per_node * nodes;
        self.node_environment(&mut job, gpus_per_node);
        job.slurm = Some(SlurmSpec {
            nodes,
            gpus_per_node,
            processes_per_node: number("nproc_per_node").unwrap_or(gpus_per_node.max(1)),
            options,
            modules: section.modules,
            launcher,
            master_port: number("port")
                .or_else(|| number("master_port"))
                .and_then(|p| u16::try_from(p).ok()),
            interface: section.interface,
            container,
            self_managed,
            aggregate: section.aggregate,
            queue_timeout_s: self.options.queue_timeout.filter(|s| *s > 0.0),
            class,
        });
        Ok(job)
    }

    /// Variables about the hardware are those of the nodes.
    fn node_environment(&self, job: &mut Job, gpus_per_node: u32) {
        let given = |name: &str| {
            let context = ["env_vars", "docker_env_vars"];
            context.into_iter().any(|key| self.context.items(key).iter().any(|(n, _)| n == name))
        };
        for name in ["MAD_SYSTEM_GPU_ARCHITECTURE", "MAD_SYSTEM_GPU_PRODUCT_NAME"] {
            if !given(name) {
                job.env.remove(name);
            }
        }
        let vendor = match gpus_per_node {
            0 => "NONE".to_owned(),
            _ => self.image_vendor(&job.model),
        };
        let count = gpus_per_node.to_string();
        for (name, value) in [
            ("MAD_GPU_VENDOR", vendor),
            ("MAD_SYSTEM_NGPUS", count.clone()),
            ("MAD_RUNTIME_NGPUS", count),
        ] {
            if !given(name) {
                job.env.insert(name.to_owned(), value);
            }
        }
        job.env.extend(super::job::host_secrets());
    }

    /// Why Slurm cannot run the entry from here, if it cannot.
    pub(super) fn gate_slurm(&self) -> Option<String> {
        // A host that is described in a file is taken to have what it needs.
        if self.options.machine.is_some() {
            return None;
        }
        if self.options.skip_model_run {
            return Some("--skip-model-run leaves nothing to do in a Slurm job".to_owned());
        }
        let unusable = self.context.unusable_on_host();
        if !unusable.is_empty() {
            let keys = unusable.join("`, `");
            return Some(format!("the slurm engine cannot honour `{keys}` of the context"));
        }
        let missing = ["sbatch", "scancel"].into_iter().find(|p| !super::madengine::on_path(p));
        if let Some(program) = missing {
            return Some(format!("needs Slurm, and {program} is not on PATH"));
        }
        let asks = ["squeue", "sacct", "scontrol"];
        (!asks.into_iter().any(super::madengine::on_path))
            .then(|| "needs Slurm, and none of squeue, sacct and scontrol is on PATH".to_owned())
    }

    /// Whether Slurm runs the entry.
    pub fn is_for_slurm(&self, model: &Model) -> bool {
        self.engine(model) == EngineKind::Slurm
    }
}

/// Seconds as whole minutes for `--time`, with some for the copies before and after.
fn minutes(seconds: f64) -> u64 {
    // Longer than any job; a float this size is exact.
    (seconds / 60.0).ceil().min(5e6) as u64 + 2
}

/// The class of machines: what the user said to choose them.
fn class(options: &[String], nodes: u32, gpus_per_node: u32) -> String {
    let value = |name: &str| {
        options.iter().rev().find_map(|o| o.strip_prefix(name)).map(slug).unwrap_or_default()
    };
    let partition = value("--partition=");
    let partition = if partition.is_empty() { "default" } else { &partition };
    let constraint = value("--constraint=");
    let constraint = if constraint.is_empty() { constraint } else { format!("-{constraint}") };
    let hardware = match (gpus_per_node, value("--gres=gpu:")) {
        (0, _) => "cpu".to_owned(),
        (n, kind) => {
            let kind = kind.rsplit_once(|c: char| !c.is_ascii_alphanumeric()).map(|(k, _)| k);
            format!("{n}x-{}", kind.unwrap_or("gpu"))
        }
    };
    format!("slurm-{partition}{constraint}-{nodes}n-{hardware}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_name_what_chooses_the_nodes() {
        let class = |options: &[&str], nodes, gpus| {
            let options: Vec<String> = options.iter().map(|o| (*o).to_owned()).collect();
            super::class(&options, nodes, gpus)
        };
        assert_eq!(class(&[], 1, 0), "slurm-default-1n-cpu");
        assert_eq!(class(&["--partition=main", "--gres=gpu:2"], 2, 2), "slurm-main-2n-2x-gpu");
        let typed = ["--partition=a", "--constraint=big", "--gres=gpu:mi300x:8"];
        assert_eq!(class(&typed, 1, 8), "slurm-a-big-1n-8x-mi300x");
    }

    #[test]
    fn limits_are_whole_minutes_and_a_margin() {
        assert_eq!(minutes(1.0), 3);
        assert_eq!(minutes(7200.0), 122);
    }
}
