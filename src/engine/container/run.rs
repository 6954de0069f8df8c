//! The container of one Execution: what it sees, what it may do, what runs in it.
//!
//! It has the least that the entry needs: no capability beyond the engine's own set, no
//! host namespace, no device but the GPUs that were leased. The catalog is read-only in it;
//! only its own workspace can be written. What madengine gives every container and we do
//! not is listed, with the reasons, in the guide (`docs/containers.md`).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cli::MEANING;
use super::connection::{Containers, Kind};
use super::labels::labels;
use super::ownership;
use crate::engine::{Image, Slot, absolute, outside_name};
use crate::machine::Vendor;
use crate::plan::{ContainerSpec, ImageSource, Job};
use crate::slug::digest;

/// Where madengine mounts the catalog, and scripts expect it.
const WORKSPACE: &str = "/myworkspace";
/// Where the driver is, and what it writes.
const MAD: &str = "/mad";
/// What holds secrets for the harness, which a container does not see. Neither does it see
/// hidden files.
const CREDENTIALS: &str = "credential.json";
/// Variables, besides those that say which engine is meant, that steer the client and are
/// therefore never handed to the container through the client's own environment.
const CLIENTS_OWN: [&str; 6] =
    ["PATH", "HOME", "TMPDIR", "LD_PRELOAD", "LD_LIBRARY_PATH", "DOCKER_API_VERSION"];

/// One Execution in a container.
pub(super) struct Run<'a> {
    pub containers: &'a Containers,
    pub job: &'a Job,
    pub spec: &'a ContainerSpec,
    pub image: &'a Image,
    pub slot: &'a Slot,
}

impl Run<'_> {
    /// The container's name: no two Executions share one.
    pub(super) fn name(&self) -> String {
        let unique = format!("{}\0{}", absolute(&self.slot.dir).display(), std::process::id());
        outside_name(self.job, &digest(unique, 6))
    }

    /// The container's own catalog root: empty but for what is mounted into it.
    pub(super) fn workspace(&self) -> PathBuf {
        self.slot.dir.join("workspace")
    }

    /// What the driver reads and writes.
    pub(super) fn mad_dir(&self) -> PathBuf {
        self.slot.dir.join("mad")
    }

    fn times(&self) -> PathBuf {
        self.mad_dir().join("times")
    }

    /// Makes the directories that the container sees, with the points where others are
    /// mounted: the engine would make them, but as root.
    pub(super) fn make_ready(&self, driver: &str) -> Result<()> {
        let (workspace, mad) = (self.workspace(), self.mad_dir());
        fs::create_dir_all(workspace.join(&self.spec.work_name))?;
        fs::create_dir_all(&mad)?;
        fs::write(mad.join("driver.sh"), driver)?;
        for path in self.seen() {
            let point = workspace.join(path.file_name().unwrap_or_default());
            if path.is_dir() {
                fs::create_dir_all(&point)?;
            } else {
                fs::write(&point, "")?;
            }
        }
        for hook in self.spec.pre_scripts.iter().chain(&self.spec.post_scripts) {
            let name = hook.script.file_name().unwrap_or_default();
            let place =
                || format!("cannot copy the script {} of the context", hook.script.display());
            fs::copy(&hook.script, self.slot.work().join(name)).with_context(place)?;
        }
        if self.spec.has_option("--user") || self.spec.has_option("-u") {
            fs::write(self.times(), "")?;
            for place in [workspace, self.slot.work(), self.times()] {
                ownership::share(&place)?;
            }
        }
        Ok(())
    }

    /// What the container sees of the catalog, in order of names.
    fn seen(&self) -> Vec<PathBuf> {
        let root = &self.spec.root;
        let own = absolute(&self.slot.dir);
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        let mut seen: Vec<PathBuf> = entries
            .filter(|e| {
                let name = e.file_name();
                // A name that is no text cannot be told to the client.
                let Some(name) = name.to_str() else { return false };
                // What earlier runs left of the results file would be in the way, read-only.
                let results = self.job.results_csv.as_deref() == Some(name);
                !name.starts_with('.')
                    && !results
                    && name != CREDENTIALS
                    && name != self.spec.work_name
            })
            .map(|e| e.path())
            // Not the run directory, which the logs of others are in.
            .filter(|path| !own.starts_with(path) && (path.is_dir() || path.is_file()))
            .collect();
        seen.sort();
        seen
    }

    /// The whole command line.
    pub(super) fn argv(&self) -> Vec<String> {
        let mut argv = Argv(vec![self.containers.cli.program.clone(), "run".into()]);
        argv.pair("--name", self.name());
        for label in labels(&self.slot.run, &self.job.id) {
            argv.pair("--label", label);
        }
        argv.permissions(self.containers, self.job, self.spec, &self.slot.gpus, &self.slot.cores);
        argv.mount(&self.workspace(), WORKSPACE, true);
        for path in self.seen() {
            let inside =
                format!("{WORKSPACE}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            argv.mount(&path, &inside, false);
        }
        argv.mount(&self.slot.work(), &self.spec.work_path(), true);
        argv.mount(&self.mad_dir(), MAD, true);
        argv.environment(self.job);
        argv.0.extend(self.spec.options.iter().cloned());
        argv.0.push(self.image.id.clone());
        argv.driver(self.job, self.spec);
        argv.0
    }

    /// Variables of the client: values that are not in the command line, because they are
    /// secret.
    pub(super) fn client_environment(&self) -> Vec<(String, Option<String>)> {
        let secret = secret_names(self.job).into_iter();
        secret.map(|name| (name.to_owned(), self.job.env.get(name).cloned())).collect()
    }

    /// Seconds the model ran, if it came to its end.
    pub(super) fn model_seconds(&self) -> Option<f64> {
        let text = fs::read_to_string(self.times()).ok()?;
        let mut times = text.split_whitespace().map(|time| time.parse::<f64>().ok());
        let (start, end) = (times.next()??, times.next()??);
        Some((end - start).max(0.0))
    }
}

impl ContainerSpec {
    /// Whether the user's options have `flag`, with its value behind it or in the next word.
    fn has_option(&self, flag: &str) -> bool {
        let is =
            |o: &String| o.strip_prefix(flag).is_some_and(|r| r.is_empty() || r.starts_with('='));
        self.options.iter().any(is)
    }

    /// The work directory in the container.
    fn work_path(&self) -> String {
        format!("{WORKSPACE}/{}", self.work_name)
    }
}

/// The command of an Execution for people to read: what differs from one to the next is a
/// word.
pub(super) fn command(containers: &Containers, job: &Job, spec: &ContainerSpec) -> Option<String> {
    let mut argv = Argv(vec![containers.cli.program.clone(), "run".into()]);
    let gpus: Vec<usize> = job.gpus.iter().copied().take(job.n_gpus as usize).collect();
    argv.permissions(containers, job, spec, &gpus, &[]);
    argv.mount(Path::new("/WORK"), &spec.work_path(), true);
    argv.environment(job);
    argv.0.extend(spec.options.iter().cloned());
    argv.0.push(match &spec.image {
        ImageSource::Existing(image) => image.name.clone(),
        ImageSource::Build(build) => build.name.clone(),
    });
    argv.driver(job, spec);
    Some(shell_words::join(argv.0))
}

/// The variables that the container gets by name alone, their values from the client's
/// environment: a command line is for everybody to read.
fn secret_names(job: &Job) -> BTreeSet<&str> {
    let masker = job.masker();
    let steers = |name: &str| CLIENTS_OWN.contains(&name) || MEANING.contains(&name);
    let secret = |value: &str| matches!(masker.mask_str(value), Cow::Owned(_));
    let secrets = job.env.iter().filter(|(name, value)| secret(value) && !steers(name));
    secrets.map(|(name, _)| name.as_str()).collect()
}

/// The value of `--mount` that shows `host` as `inside`.
pub(super) fn bind(host: &Path, inside: &str) -> String {
    let source = csv_field(format!("source={}", absolute(host).display()));
    format!("type=bind,{source},{}", csv_field(format!("target={inside}")))
}

/// A field for those flags that are read as a line of CSV.
pub(super) fn csv_field(text: String) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// A command line in the making.
struct Argv(Vec<String>);

impl Argv {
    fn pair(&mut self, flag: &str, value: impl Into<String>) {
        self.0.extend([flag.to_owned(), value.into()]);
    }

    /// What the container may do and which devices it has.
    fn permissions(
        &mut self,
        containers: &Containers,
        job: &Job,
        spec: &ContainerSpec,
        gpus: &[usize],
        cores: &[u32],
    ) {
        // MAD's images are made to be root in: they install packages when they run.
        self.pair("--user", "0:0");
        self.pair("--entrypoint", "bash");
        self.pair("--workdir", spec.work_path());
        // The image may ask for a signal that the driver does not pass on.
        self.pair("--stop-signal", "SIGTERM");
        // Podman would ask it to end, and wait, also where it is removed by force.
        if containers.kind == Kind::Podman {
            self.pair("--stop-timeout", "0");
        }
        // The engine's own copy of the output costs time while it is measured, and disk.
        self.pair("--log-driver", "none");
        // The engines' 64 MiB are too few for data loaders and collectives; as much as a
        // host has itself, and gone with the container.
        if !spec.has_option("--shm-size") && !spec.has_option("--ipc") {
            self.pair("--shm-size", (job.machine.memory_bytes / 2).to_string());
        }
        let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
        let cores = (!cores.is_empty()).then(|| cores.join(","));
        if let Some(cpus) = spec.cpus.clone().or(cores) {
            self.pair("--cpuset-cpus", cpus);
        }
        let gpus: Vec<_> = gpus.iter().map(|&i| &job.machine.gpus[i]).collect();
        let Some(first) = gpus.first() else { return };
        // Placing memory on NUMA nodes and reading a neighbour rank's memory are what the
        // default profile forbids and collectives need.
        self.pair("--security-opt", "seccomp=unconfined");
        self.pair("--cap-add", "SYS_PTRACE");
        match first.vendor {
            Vendor::Amd => {
                self.pair("--device", "/dev/kfd");
                for minor in gpus.iter().filter_map(|g| g.render_node) {
                    self.pair("--device", format!("/dev/dri/renderD{minor}"));
                }
                if containers.kind == Kind::Podman {
                    // Without privileges, access to the devices comes with the user's groups.
                    self.pair("--group-add", "keep-groups");
                }
            }
            Vendor::Nvidia => {
                let ids: Vec<String> = gpus
                    .iter()
                    .map(|g| g.uuid.clone().unwrap_or_else(|| g.index.to_string()))
                    .collect();
                match containers.kind {
                    // The quotes are for the flag's own reader, to which a comma ends a field.
                    Kind::Docker => self.pair("--gpus", format!("\"device={}\"", ids.join(","))),
                    // Podman passes over --gpus; it knows devices of the CDI.
                    Kind::Podman => {
                        for id in ids {
                            self.pair("--device", format!("nvidia.com/gpu={id}"));
                        }
                    }
                }
            }
        }
    }

    fn mount(&mut self, host: &Path, inside: &str, writable: bool) {
        let readonly = if writable { "" } else { ",readonly" };
        self.pair("--mount", format!("{}{readonly}", bind(host, inside)));
    }

    /// The entry's variables, and where its data are. The devices need none: the container
    /// has no others.
    fn environment(&mut self, job: &Job) {
        let secret = secret_names(job);
        for (name, value) in &job.env {
            match secret.contains(name.as_str()) {
                true => self.pair("--env", name),
                false => self.pair("--env", format!("{name}={value}")),
            }
        }
        for data in &job.data {
            if let Some(mount) = &data.mount {
                self.mount(&mount.host, &data.home, mount.writable);
            }
        }
        for (inside, host) in job.container.iter().flat_map(|spec| &spec.mounts) {
            self.mount(host, inside, true);
        }
    }

    fn driver(&mut self, job: &Job, spec: &ContainerSpec) {
        self.0.extend([format!("{MAD}/driver.sh"), format!("{MAD}/times")]);
        for data in &job.data {
            if let Some(script) = &data.script {
                let path = format!("{WORKSPACE}/{}", script.path.display());
                let limit = script.limit.as_secs().to_string();
                let command = ["timeout".to_owned(), limit, "bash".to_owned(), path];
                self.step("pre", &data.home, [command.as_slice(), &script.args].concat());
            }
        }
        for (kind, hooks) in [("pre", &spec.pre_scripts), ("post", &spec.post_scripts)] {
            for hook in hooks {
                let name = hook.script.file_name().unwrap_or_default().to_string_lossy();
                let command = ["bash".to_owned(), name.into_owned()];
                let words = [command.as_slice(), &hook.args].concat();
                self.step(kind, &spec.work_path(), words);
            }
        }
        if let Some(text) = &spec.encapsulate {
            self.pair("wrap", text);
        }
        self.0.push("run".to_owned());
        match spec.skip_model {
            true => self.0.push("true".to_owned()),
            false => self.0.extend(job.command.iter().cloned()),
        }
    }

    fn step(&mut self, kind: &str, dir: &str, words: Vec<String>) {
        self.0.extend([kind.to_owned(), dir.to_owned(), words.len().to_string()]);
        self.0.extend(words);
    }
}
