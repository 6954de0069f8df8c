//! A [`Job`]: everything an engine needs to run an entry, decided.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::ContainerSpec;
use super::madengine::{MadengineSpec, Target, cluster_class};
use super::slurm::SlurmSpec;
use super::{ImageSource, Planner};
use crate::baseline::Key;
use crate::catalog::{Contract, Count, Model};
use crate::contract::{ErrorScan, Masker, is_secret, secrets};
use crate::credentials::Credential;
use crate::data::{DataPlan, container_homes};
use crate::edit::{self, Format};
use crate::engine::absolute;
use crate::machine::{Driver, Gpu, Machine, Resource, Vendor};
use crate::options::{EngineKind, text_items};
use crate::schedule::{CpuUse, Footprint};
use crate::source::Repository;

/// Seconds an execution may take when nobody says otherwise; madengine's default.
const DEFAULT_TIMEOUT_S: f64 = 7200.0;

/// Variables of the host that containers see: how processes find each other, and what the
/// communication libraries are told; madengine's list.
const FORWARDED: [&str; 19] = [
    "MASTER_ADDR",
    "MASTER_PORT",
    "WORLD_SIZE",
    "RANK",
    "NODE_RANK",
    "NNODES",
    "NPROC_PER_NODE",
    "MAD_MULTI_NODE_RUNNER",
    "MAD_COLLECT_METRICS",
    "NCCL_SOCKET_IFNAME",
    "GLOO_SOCKET_IFNAME",
    "NCCL_DEBUG",
    "NCCL_IB_DISABLE",
    "NCCL_NET_GDR_LEVEL",
    "PRIMUS_CONFIG_PATH",
    "PRIMUS_CLI_EXTRA",
    "TORCH_ELASTIC_RDZV_TIMEOUT",
    "MIOPEN_USER_DB_PATH",
    "HF_TOKEN",
];

/// What an engine runs.
#[derive(Clone, Debug)]
pub struct Job {
    /// The entry.
    pub model: Model,
    /// What keys records and baselines: the entry's id, with what a sweep varies behind `+`,
    /// and the image's part behind `@` where several images of it are measured.
    pub id: String,
    /// The repository of the entry's `url`.
    pub repository: Option<Arc<Repository>>,
    /// The data sets that it reads.
    pub data: Vec<DataPlan>,
    /// How it runs in a container, for engines that use one.
    pub container: Option<ContainerSpec>,
    /// How madengine runs it, if it does.
    pub madengine: Option<MadengineSpec>,
    /// How it runs on a Slurm cluster, if it does.
    pub slurm: Option<SlurmSpec>,
    /// Who runs it.
    pub engine: EngineKind,
    /// Directory that is copied for each Execution; the script is in it.
    pub script_dir: PathBuf,
    /// Program and arguments, relative to the copy.
    pub command: Vec<String>,
    /// GPUs to use.
    pub n_gpus: u32,
    /// GPUs to choose from, indices into the machine's; none for a CPU entry.
    pub gpus: Vec<usize>,
    /// The machine it was planned for.
    pub machine: Machine,
    /// Environment on top of the harness's own, without the devices.
    pub env: BTreeMap<String, String>,
    /// Values that must not appear in any output.
    pub secrets: Vec<String>,
    /// Seconds after which an Execution is ended; `None` is never.
    pub timeout_s: Option<f64>,
    /// Seconds between SIGTERM and SIGKILL when it is ended.
    pub grace_s: f64,
    /// Executions of a Measurement.
    pub samples: u32,
    /// Executions before it that do not count.
    pub warmup: u32,
    /// How the processors are used.
    pub cpu: CpuUse,
    /// The file of a `multiple_results` entry.
    pub results_csv: Option<String>,
    /// How the log is searched for errors.
    pub error_scan: ErrorScan,
    /// What is different in the copy of the script's directory, in this order.
    pub edits: Vec<Edit>,
    /// Files that go from the work directory of one Execution to that of the next: paths
    /// relative to it, with `*` for any characters.
    pub keep: Vec<String>,
    /// What the user should know before it runs.
    pub warnings: Vec<String>,
}

/// A value in a configuration file that is different in the copy of the script's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The file, relative to the script's directory: YAML, JSON or TOML by its name.
    pub file: PathBuf,
    /// The path of the value, with dots.
    pub path: String,
    /// What it is set to.
    pub value: String,
}

impl Edit {
    /// `text`, which the file holds, with the value.
    ///
    /// # Errors
    /// When it has no such value, or it cannot be set.
    pub fn of(&self, text: &str) -> Result<String, String> {
        let format = Format::of(&self.file).ok_or("not YAML, JSON or TOML by its name")?;
        let replaced = edit::replace(text, format, &self.path, &self.value);
        replaced.map(|r| r.text).map_err(|why| format!("{}: {why}", self.file.display()))
    }
}

impl Job {
    /// The environment of an Execution on this host that was leased `gpus`: variables to
    /// set, and with `None` variables to remove.
    pub fn environment(&self, gpus: &[usize]) -> BTreeMap<String, Option<String>> {
        let env = self.env.iter();
        let mut env: BTreeMap<String, Option<String>> =
            env.map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        let chosen: Vec<&Gpu> = gpus.iter().map(|&i| &self.machine.gpus[i]).collect();
        // Also for a CPU entry: GPUs that it did not lease must not be seen.
        match chosen.first().copied().or(self.machine.gpus.first()).map(|g| g.vendor) {
            Some(Vendor::Nvidia) => {
                let id = |g: &&Gpu| g.uuid.clone().unwrap_or_else(|| g.index.to_string());
                let list: Vec<String> = chosen.iter().map(id).collect();
                env.insert("CUDA_VISIBLE_DEVICES".to_owned(), Some(list.join(",")));
            }
            Some(Vendor::Amd) => {
                // ROCR's list counts GPUs of the host; HIP's would count those in ROCR's.
                let list: Vec<String> = chosen.iter().map(|g| g.index.to_string()).collect();
                env.insert("ROCR_VISIBLE_DEVICES".to_owned(), Some(list.join(",")));
                env.insert("HIP_VISIBLE_DEVICES".to_owned(), None);
            }
            None => {}
        }
        env
    }

    /// Adds the data sets, and the variables that say where they are; what the user says in
    /// the context wins.
    fn add_data(&mut self, data: &[DataPlan]) {
        if data.is_empty() {
            return;
        }
        let names: Vec<&str> = data.iter().map(|d| d.name.as_str()).collect();
        let homes = match self.container {
            Some(_) => container_homes(data),
            None => {
                let mounts = data.iter().filter_map(|d| d.mount.as_ref());
                mounts.map(|m| m.host.display().to_string()).collect::<Vec<_>>().join(",")
            }
        };
        for (name, value) in [("MAD_DATANAME", names.join(",")), ("MAD_DATAHOME", homes)] {
            self.env.entry(name.to_owned()).or_insert(value);
        }
        self.data = data.to_vec();
    }

    /// The class of machines that the numbers of this Job may be compared with.
    pub fn machine_class(&self) -> String {
        if let Some(spec) = &self.slurm {
            return spec.class.clone();
        }
        if let Some(spec) = self.madengine.as_ref().filter(|spec| spec.target != Target::Local) {
            return cluster_class(spec, self.n_gpus);
        }
        let used = self.gpus.iter().take(self.n_gpus as usize);
        let used: Vec<&Gpu> = used.map(|&i| &self.machine.gpus[i]).collect();
        self.machine.class(&used).to_string()
    }

    /// What the classes begin with of machines that have as many GPUs of the same architecture,
    /// whatever product they are. None without GPUs, for GPUs of several kinds, and for a
    /// cluster.
    pub fn same_architecture(&self) -> Option<String> {
        let used = self.gpus.iter().take(self.n_gpus as usize);
        let used: Vec<&Gpu> = used.map(|&i| &self.machine.gpus[i]).collect();
        self.machine.architecture(&used).filter(|_| !self.runs_elsewhere())
    }

    /// Where the accepted numbers of this Job are.
    pub fn baseline_key(&self) -> Key {
        Key {
            machine_class: self.machine_class(),
            model: self.id.clone(),
            n_gpus: self.n_gpus,
            precision: self.model.precision().to_owned(),
        }
    }

    /// Whether it runs on machines of which this host is none.
    pub fn runs_elsewhere(&self) -> bool {
        self.slurm.is_some()
            || self.madengine.as_ref().is_some_and(|spec| spec.target != Target::Local)
    }

    /// Nodes that it runs on.
    pub fn nodes(&self) -> u32 {
        self.slurm.as_ref().map_or(1, |spec| spec.nodes)
    }

    /// The image's part of the id, `@` included; nothing where only one is measured.
    pub fn image_part(&self) -> &str {
        self.id.rfind('@').map_or("", |at| &self.id[at..])
    }

    /// What it needs of the machine while it is measured.
    pub fn footprint(&self) -> Footprint {
        if self.runs_elsewhere() {
            return Footprint { elsewhere: true, ..Footprint::default() };
        }
        // madengine gives all runs of an image the same container.
        let container = self.madengine.as_ref().map(|s| Resource::Container(s.container_name()));
        Footprint {
            n_gpus: self.n_gpus as usize,
            gpus: self.gpus.clone(),
            cpu: self.cpu,
            elsewhere: false,
            also: container.into_iter().collect(),
        }
    }

    /// Whether everything but the model runs (`--skip-model-run`).
    pub fn skips_model(&self) -> bool {
        self.container.as_ref().is_some_and(|spec| spec.skip_model)
            || self.madengine.as_ref().is_some_and(|spec| spec.skip_model)
    }

    /// Replaces the secrets that the script may know.
    pub fn masker(&self) -> Masker {
        Masker::new(self.secrets.iter().cloned())
    }

    /// The command as a person would type it in the script's directory.
    pub fn command_line(&self) -> String {
        shell_words::join(&self.command)
    }
}

impl Planner<'_> {
    /// Decides how the entry runs, once per image, whether or not it can run here.
    ///
    /// # Errors
    /// When there is no image for it, its `url` is none, or its data cannot be had.
    pub fn jobs(&self, model: &Model) -> Result<Vec<Job>, String> {
        let repository = self.repository(model).map_err(|e| format!("{e:#}"))?.map(Arc::new);
        let names = model.entry().data.as_deref().unwrap_or_default();
        let data = self.data.resolve(names).map_err(|e| e.to_string())?;
        let mut jobs = self.variants(model)?;
        if let Some(scripted) = data.iter().find(|d| d.script.is_some())
            && jobs.iter().any(|job| job.container.is_none() && job.madengine.is_none())
        {
            let name = &scripted.name;
            return Err(format!("the data `{name}` comes from a script that runs in a container"));
        }
        for job in &mut jobs {
            job.secrets.extend(repository.iter().flat_map(|r| r.secrets()));
            job.secrets.extend(data.iter().flat_map(DataPlan::secrets));
            // madengine clones, and gets the data, by itself.
            if job.madengine.is_none() {
                job.repository.clone_from(&repository);
                job.add_data(&data);
            }
        }
        Ok(jobs)
    }

    /// The Jobs of an entry apart from what they need from elsewhere: one per image.
    ///
    /// # Errors
    /// When there is no image for it.
    pub fn variants(&self, model: &Model) -> Result<Vec<Job>, String> {
        let mut job = self.job(model);
        job.warnings.extend(self.left_out(model));
        let with_image = |(variant, image): (String, ImageSource)| match job.engine {
            EngineKind::Madengine => self.in_madengine(job.clone(), &variant, image),
            _ => self.in_container(job.clone(), &variant, image),
        };
        match job.engine {
            EngineKind::Container | EngineKind::Madengine => {
                Ok(self.images(model)?.into_iter().map(with_image).collect())
            }
            EngineKind::Slurm => Ok(vec![self.in_slurm(job)?]),
            _ => Ok(vec![job]),
        }
    }

    fn in_container(&self, mut job: Job, variant: &str, image: ImageSource) -> Job {
        if !variant.is_empty() {
            job.id = format!("{}@{variant}", job.id);
        }
        job.container = Some(self.container(&job.model, image, &mut job.warnings));
        let mut env: BTreeMap<String, String> = FORWARDED
            .iter()
            .filter_map(|n| Some(((*n).to_owned(), std::env::var(n).ok()?)))
            .collect();
        env.extend(host_secrets());
        if job.model.url().is_some() {
            // git does not trust a work tree that belongs to somebody else, as the user's
            // does to the container's root.
            let trust = [("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")];
            env.extend(trust.map(|(name, value)| (format!("GIT_CONFIG_{name}"), value.into())));
        }
        env.insert("MAD_GUEST_OS".to_owned(), self.guest_os());
        env.extend(std::mem::take(&mut job.env));
        job.secrets.extend(self.secrets(&env));
        job.env = env;
        job
    }

    fn repository(&self, model: &Model) -> anyhow::Result<Option<Repository>> {
        let Some(url) = model.url() else { return Ok(None) };
        let login = match model.cred() {
            Some(name) => self.credentials.of_entry(name)?,
            None => None,
        };
        Repository::new(url, login).map(Some)
    }

    /// Decides how the entry runs, apart from its image.
    fn job(&self, model: &Model) -> Job {
        let entry = model.entry();
        let defaults = &self.catalog.config.defaults;
        let bench = entry.bench.clone().unwrap_or_default();
        let mut warnings = Vec::new();

        let vendors = self.vendors(model);
        let (n_gpus, gpus) = self.choose_gpus(model, &vendors);
        let (dir, file) = script_file(&self.catalog.root, model.script().unwrap_or(Path::new(".")));
        let interpreter = if file.ends_with(".py") { "python3" } else { "bash" };
        let args = self.context.text("model_args").unwrap_or_else(|| model.args());
        let args = shell_words::split(&args).unwrap_or_else(|e| {
            warnings.push(format!("args {args:?}: {e}; split at blanks instead"));
            args.split_whitespace().map(str::to_owned).collect()
        });
        let mut command = vec![interpreter.to_owned(), file];
        command.extend(args);

        let (error_scan, scan_warnings) = ErrorScan::resolve(model.raw(), &self.context.0);
        warnings.extend(scan_warnings);
        // Those of a pretended machine are not there to be had.
        let cores = self.options.cpus_per_cell.or(bench.cpus).filter(|_| !self.machine.simulated);
        let engine = self.engine(model);
        if !matches!(engine, EngineKind::Container | EngineKind::Madengine | EngineKind::Slurm) {
            for key in self.context.without_meaning_on_host() {
                warnings.push(format!("`{key}` of the context means nothing without a container"));
            }
        }
        let env = self.job_environment(model, n_gpus);
        let timeout = entry.timeout.map(|s| s.0).filter(|s| *s > 0.0);
        let timeout_s = match self.options.timeout.filter(|t| *t >= 0.0) {
            Some(s) => Some(s),
            None => timeout.or(defaults.timeout).or(Some(DEFAULT_TIMEOUT_S)),
        };
        Job {
            engine,
            id: format!("{}{}", model.id(), self.variation),
            container: None,
            repository: None,
            data: Vec::new(),
            madengine: None,
            slurm: None,
            script_dir: absolute(&dir),
            command,
            n_gpus,
            gpus,
            machine: self.machine.clone(),
            secrets: self.secrets(&env),
            env,
            timeout_s: timeout_s.filter(|s| *s > 0.0),
            grace_s: self.options.kill_grace,
            samples: self
                .options
                .samples
                .or(bench.samples)
                .or(defaults.samples)
                .unwrap_or(1)
                .max(1),
            warmup: self.options.warmup.or(bench.warmup).or(defaults.warmup).unwrap_or(0),
            cpu: match (cores, bench.exclusive.or(defaults.exclusive)) {
                (Some(n), _) => CpuUse::Cores(n),
                (None, Some(true)) => CpuUse::Exclusive,
                (None, Some(false)) => CpuUse::Shared,
                // Next to a measurement on GPUs there is room for another.
                (None, None) if n_gpus > 0 => CpuUse::Shared,
                (None, None) => CpuUse::Exclusive,
            },
            results_csv: match model.contract() {
                Contract::Csv(file) => Some(file),
                _ => None,
            },
            error_scan,
            edits: Vec::new(),
            keep: Vec::new(),
            warnings,
            model: model.clone(),
        }
    }

    /// Values that must not appear in any output: those of `credential.json`, of the host
    /// and of `env`.
    pub(super) fn secrets(&self, env: &BTreeMap<String, String>) -> Vec<String> {
        let named = secrets(env).into_iter();
        let build = self.context.items("docker_build_arg").into_iter();
        let build = build.filter(|(name, _)| is_secret(name)).map(|(_, value)| value);
        named.chain(build).chain(self.credentials.secrets().map(str::to_owned)).collect()
    }

    /// `<cred>_<FIELD>` of the login that the entry names.
    pub(super) fn credential_fields(&self, model: &Model) -> Vec<(String, String)> {
        let Some(name) = model.cred() else { return Vec::new() };
        // The gate is closed for a login that is not there.
        let login = self.credentials.of_entry(name).ok().flatten();
        let fields = login.into_iter().flat_map(Credential::fields);
        fields.map(|(field, value)| (format!("{name}_{field}"), value.to_owned())).collect()
    }

    pub(super) fn choose_gpus(
        &self,
        model: &Model,
        vendors: &BTreeSet<Vendor>,
    ) -> (u32, Vec<usize>) {
        let mut usable = self.usable_gpus(vendors);
        if self.runs_elsewhere(model) {
            let count = match self.wanted_gpus(model) {
                Count::Exactly(n) => n,
                Count::All => 0,
            };
            return (count, Vec::new());
        }
        // GPUs of two vendors are never used together.
        if let Some(vendor) = usable.first().map(|&i| self.machine.gpus[i].vendor) {
            usable.retain(|&i| self.machine.gpus[i].vendor == vendor);
        }
        match self.wanted_gpus(model) {
            Count::Exactly(0) => (0, Vec::new()),
            Count::Exactly(n) => (n, usable),
            Count::All => (u32::try_from(usable.len()).unwrap_or(u32::MAX), usable),
        }
    }

    fn job_environment(&self, model: &Model, n_gpus: u32) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: String| {
            env.insert(name.to_owned(), value);
        };
        let gpus = &self.machine.gpus;
        let vendor = gpus.first().map_or("NONE".to_owned(), |g| g.vendor.to_string());
        set("MAD_MODEL_NAME", model.name.clone());
        set("JENKINS_BUILD_NUMBER", std::env::var("BUILD_NUMBER").unwrap_or_else(|_| "0".into()));
        set("MAD_GPU_VENDOR", vendor);
        set("MAD_SYSTEM_NGPUS", gpus.len().to_string());
        set("MAD_RUNTIME_NGPUS", n_gpus.to_string());
        if let Some(gpu) = gpus.first() {
            set("MAD_SYSTEM_GPU_ARCHITECTURE", gpu.arch.clone());
            set("MAD_SYSTEM_GPU_PRODUCT_NAME", gpu.product.clone());
        }
        if let Some(version) = self.machine.driver.as_ref().and_then(hip_version) {
            set("MAD_SYSTEM_HIP_VERSION", version);
        }
        // Where Slurm runs it, the runner is known on the nodes.
        let local = self.engine(model) != EngineKind::Slurm;
        if local && n_gpus > 0 && std::env::var_os("MAD_MULTI_NODE_RUNNER").is_none() {
            set("MAD_MULTI_NODE_RUNNER", multi_node_runner(model.launcher().as_deref(), n_gpus));
        }
        if let Contract::Csv(file) = model.contract() {
            set("MAD_OUTPUT_CSV", file);
        }
        let entry_env = model.entry().env_vars.iter().flat_map(text_items);
        env.extend(self.credential_fields(model));
        // Low to high: what the entry wants, what the user wants.
        env.extend(entry_env);
        env.extend(self.context.items("env_vars"));
        env.extend(self.context.items("docker_env_vars"));
        env
    }
}

/// Directory and file name of what is run: the script, or `run.sh` of a directory.
pub(crate) fn script_file(root: &Path, script: &Path) -> (PathBuf, String) {
    let path = root.join(script);
    let is_file = path
        .extension()
        .is_some_and(|e| ["sh", "slurm", "sbatch", "py"].iter().any(|known| e == *known));
    if is_file {
        let dir = path.parent().map_or_else(|| root.to_owned(), Path::to_owned);
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (dir, file)
    } else {
        (path, "run.sh".to_owned())
    }
}

/// Major and minor version of HIP, which are those of the ROCm it is part of.
fn hip_version(driver: &Driver) -> Option<String> {
    let version = driver.runtime.as_deref()?.strip_prefix("ROCm ")?;
    Some(version.split('.').take(2).collect::<Vec<_>>().join("."))
}

/// madengine's command prefix for a launcher on one node.
fn multi_node_runner(launcher: Option<&str>, n_gpus: u32) -> String {
    match launcher {
        Some("deepspeed") => format!("deepspeed --num_gpus={n_gpus}"),
        Some("vllm" | "sglang" | "sglang-disagg" | "sglang_disagg" | "primus") => String::new(),
        _ => format!("torchrun --standalone --nproc_per_node={n_gpus}"),
    }
}

/// The secrets of the host that every container and build gets.
pub(super) fn host_secrets() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, value)| name.starts_with("MAD_SECRETS") && !value.is_empty())
}
