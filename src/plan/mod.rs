//! [`Model`] × options × [`Machine`] → [`Plan`]: a [`Job`] to run, or a [`Skip`] with
//! its reason and the command for a host that could run it.

mod container;
mod docker_options;
mod gate;
mod images;
mod job;
mod madengine;
mod manifest;
mod slurm;

use std::path::Path;

pub use container::{ContainerSpec, Hook};
pub use gate::Skip;
pub use images::{Build, Existing, ImageSource};
pub(crate) use job::script_file;
pub use job::{Edit, Job};
pub(crate) use madengine::container_name;
pub use madengine::{MadengineSpec, Target};
pub use slurm::{NodeContainer, NodeProgram, SlurmSpec};

use crate::catalog::{Catalog, Contract, Count, Model};
use crate::contract::Masker;
use crate::credentials::Credentials;
use crate::data::{DataConfig, DataOptions, Resolver, Servers};
use crate::machine::Machine;
use crate::options::{Context, EngineKind, RunOptions};

/// What is to be done about one entry.
#[derive(Clone, Debug)]
pub enum Plan {
    /// It can run here: once, or once per image.
    Run(Vec<Job>),
    /// It cannot run as it is asked to: it has no image for this machine and context, or
    /// its `url` cannot be fetched.
    Impossible(String),
    /// It cannot run here, or must not.
    Skip(Skip),
}

/// Plans entries for one machine.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    /// Where the entries come from.
    pub catalog: &'a Catalog,
    /// The host they shall run on.
    pub machine: &'a Machine,
    /// What the user asked for.
    pub options: &'a RunOptions,
    /// What the user adds to every entry.
    pub context: &'a Context,
    /// Logins for registries, repositories and data.
    pub credentials: &'a Credentials,
    /// Where data sets come from.
    pub data: &'a Resolver<'a>,
    /// What a sweep varies in the context, as it is in the ids of Jobs; nothing otherwise.
    pub variation: &'a str,
}

impl Planner<'static> {
    /// A planner that lives as long as the process, and so does what it plans with.
    pub fn for_process(
        catalog: &'static Catalog,
        machine: Machine,
        options: RunOptions,
        context: Context,
        credentials: Credentials,
    ) -> Planner<'static> {
        let options: &'static RunOptions = Box::leak(Box::new(options));
        let context: &'static Context = Box::leak(Box::new(context));
        let credentials: &'static Credentials = Box::leak(Box::new(credentials));
        let config: &'static DataConfig =
            Box::leak(Box::new(data_config(&catalog.root, options, context)));
        let data = data_resolver(config, &catalog.root, options, credentials);
        Planner {
            catalog,
            machine: Box::leak(Box::new(machine)),
            options,
            context,
            credentials,
            data: Box::leak(Box::new(data)),
            variation: "",
        }
    }
}

/// Reads where the data sets of a catalog come from.
pub fn data_config(root: &Path, options: &RunOptions, context: &Context) -> DataConfig {
    let options = DataOptions {
        file: options.data_config.as_deref(),
        overlay: context.0.get("data"),
        force_mirror: options.force_mirror_local.as_deref(),
    };
    DataConfig::load(root, &options)
}

/// Picks where the data sets of `config` come from. A plan alone asks no server.
pub fn data_resolver<'a>(
    config: &'a DataConfig,
    root: &Path,
    options: &RunOptions,
    credentials: &'a Credentials,
) -> Resolver<'a> {
    let servers = if options.plan { Servers::Trust } else { Servers::Ask };
    Resolver::new(config, root, &options.run_dir.join("data"), credentials, servers)
}

impl Planner<'_> {
    /// Plans one entry. Reads the entry's Dockerfiles and script, never runs
    /// anything.
    pub fn plan(&self, model: &Model) -> Plan {
        match self.gate(model) {
            Some(skip) => Plan::Skip(skip),
            None => self.jobs(model).map_or_else(Plan::Impossible, Plan::Run),
        }
    }

    /// Which engine runs the entry.
    pub fn engine(&self, model: &Model) -> EngineKind {
        // Whoever hands over a manifest wants its images to run.
        let configured = self.catalog.config.defaults.engine.as_deref();
        let configured = configured.filter(|_| model.images().is_none());
        let configured = configured.and_then(|e| clap::ValueEnum::from_str(e, true).ok());
        match self.options.engine.or(configured).unwrap_or_default() {
            EngineKind::Auto => {
                let context = &self.context.0;
                if context.contains_key("k8s") || context.contains_key("kubernetes") {
                    EngineKind::Madengine
                } else if context.contains_key("slurm") || model.contract() == Contract::SelfManaged
                {
                    EngineKind::Slurm
                } else if model.dockerfile().is_none() && model.images().is_none() {
                    EngineKind::Host
                } else {
                    EngineKind::Container
                }
            }
            engine => engine,
        }
    }

    /// GPUs the entry shall have, before it is known whether the host has them.
    pub fn wanted_gpus(&self, model: &Model) -> Count {
        let entry = model.n_gpus();
        // A CPU entry stays one, whatever count is asked for the others.
        if entry == Count::Exactly(0) {
            return entry;
        }
        let asked = self.options.count().or_else(|| self.context.n_gpus());
        asked.or_else(|| self.cluster_gpus(model)).unwrap_or(entry)
    }

    /// What a schedule has to know of the entry: its Jobs, without what they need from
    /// elsewhere. None, if it does not run.
    pub fn runnable(&self, model: &Model) -> Vec<Job> {
        let jobs = self.gate(model).is_none().then(|| self.variants(model).ok()).flatten();
        jobs.unwrap_or_default()
    }

    /// Replaces the secrets of the host, of the context and of `credential.json`, which the command line can
    /// hold.
    pub fn masker(&self) -> Masker {
        let context = ["env_vars", "docker_env_vars"].into_iter();
        let context = context.flat_map(|key| self.context.items(key)).collect();
        Masker::new(self.secrets(&context))
    }

    /// The command that runs this entry elsewhere, with the options that matter; secrets
    /// in it are masked.
    pub fn command_for(&self, model: &Model) -> String {
        let mut words = vec!["mad".to_owned(), "benchmark".to_owned(), model.id()];
        let mut flag = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend([format!("--{name}"), value]);
            }
        };
        let o = self.options;
        let path = |p: &Path| p.display().to_string();
        flag("ngpus", o.count().map(|n| n.to_string()));
        flag("additional-context-file", o.additional_context_file.as_deref().map(path));
        flag("additional-context", o.additional_context.clone());
        flag("timeout", o.timeout.map(|t| t.to_string()));
        flag("queue-timeout", o.queue_timeout.map(|t| t.to_string()));
        flag("engine", o.engine.map(|e| e.to_string()));
        flag("samples", o.samples.map(|n| n.to_string()));
        flag("until", o.until.map(|until| until.to_string()));
        flag("max-samples", o.max_samples.map(|n| n.to_string()));
        flag("budget", o.budget.map(|b| b.as_secs_f64().to_string()));
        flag("warmup", o.warmup.map(|n| n.to_string()));
        flag("use-image", o.images.use_image.clone());
        flag("manifest", o.manifest.as_deref().map(path));
        let output = path(&o.output);
        flag("output", (output != "perf.csv").then_some(output));
        self.masker().mask_str(&shell_words::join(words)).into_owned()
    }
}
