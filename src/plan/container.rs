//! What a [`Job`](super::Job) that runs in a container needs to know: its image, and what the container
//! may use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Planner;
use super::docker_options::DockerOptions;
use super::job::host_secrets;
use crate::catalog::Model;
use crate::contract::is_secret;
use crate::credentials::Credentials;
use crate::engine::absolute;
use crate::options::ContainerProgram;
use crate::source;
use crate::validate::{self, Context as Header};

/// Name of the work directory in the container of an entry without `url`.
const RUN_DIRECTORY: &str = "run_directory";
/// The build context of entries that name none.
const BUILD_CONTEXT: &str = "docker";

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

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageSource {
    /// It exists, here or in a registry.
    Existing(String),
    /// It is built.
    Build(Build),
}

/// An image to be built.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Build {
    /// Name of the image, `ci-<entry>_<dockerfile>`.
    pub name: String,
    /// The Dockerfile, relative to the catalog's root.
    pub dockerfile: PathBuf,
    /// The directory it is built from, on this host.
    pub context: PathBuf,
    /// Build arguments without secrets.
    pub args: BTreeMap<String, String>,
    /// Secrets by name, for `RUN --mount=type=secret,id=<name>`.
    pub secrets: BTreeMap<String, String>,
    /// Whether secrets are build arguments, too, which the image's history keeps.
    pub secrets_as_args: bool,
    /// Whether the cache is left aside and the base image pulled anew.
    pub clean: bool,
}

impl Planner<'_> {
    /// The images of an entry, one per Measurement, each with what tells it from the others: nothing
    /// if there is one.
    ///
    /// # Errors
    /// When no Dockerfile fits; the message says of each file why it does not.
    pub(super) fn images(&self, model: &Model) -> Result<Vec<(String, ImageSource)>, String> {
        if let Some(image) = self.given_image(model)? {
            return Ok(vec![(String::new(), ImageSource::Existing(image))]);
        }
        let Some(prefix) = model.dockerfile() else {
            return Err(
                "the entry has no `dockerfile`, and no image is given (--use-image)".to_owned()
            );
        };
        let files = self.fitting_dockerfiles(model)?;
        let several = files.len() > 1;
        let stem = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(files
            .into_iter()
            .map(|file| {
                let base = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let base = base.trim_end_matches(".Dockerfile").to_owned();
                let variant = base.strip_prefix(&stem).unwrap_or(&base).trim_start_matches('.');
                let variant = if several { variant.to_owned() } else { String::new() };
                (variant, ImageSource::Build(self.build(model, &file, &base)))
            })
            .collect())
    }

    /// The image that the user or the context names instead of a build.
    pub(super) fn given_image(&self, model: &Model) -> Result<Option<String>, String> {
        match self.options.use_image.as_deref() {
            Some("auto") => {
                let variables = model.entry().env_vars.as_ref();
                let image = variables.and_then(|v| v.get("DOCKER_IMAGE_NAME")?.as_str());
                let image = image.filter(|name| !name.trim().is_empty()).map(str::to_owned);
                image.map(Some).ok_or_else(|| {
                    "the entry's env_vars have no DOCKER_IMAGE_NAME (--use-image auto)".to_owned()
                })
            }
            Some(image) => Ok(Some(image.to_owned())),
            None => Ok(self.context.text("MAD_CONTAINER_IMAGE").filter(|i| !i.trim().is_empty())),
        }
    }

    /// The Dockerfiles of the entry whose header does not contradict this machine and the
    /// context: a key of the header counts only where the other side knows it, too.
    fn fitting_dockerfiles(&self, model: &Model) -> Result<Vec<PathBuf>, String> {
        let prefix = model.dockerfile().unwrap_or(Path::new(""));
        let known = self.known_facts(model);
        let mut fitting = Vec::new();
        let mut refused = Vec::new();
        for (path, header) in validate::dockerfiles(&self.catalog.root, prefix) {
            match header {
                Ok(header) => match contradiction(&header, &known) {
                    None => fitting.push(path),
                    Some(why) => refused.push(format!("{}: {why}", path.display())),
                },
                Err(e) => refused.push(format!("{}: {}", path.display(), e.message)),
            }
        }
        match (fitting.is_empty(), refused.is_empty()) {
            (false, _) => Ok(fitting),
            (true, true) => Err(format!("no file matches `{}.*`", prefix.display())),
            (true, false) => {
                Err(format!("no Dockerfile fits this machine and context: {}", refused.join("; ")))
            }
        }
    }

    /// What headers are compared with, as madengine knows it.
    fn known_facts(&self, model: &Model) -> BTreeMap<String, Value> {
        let mut known: BTreeMap<String, Value> = BTreeMap::new();
        let ctx_test = std::fs::read_to_string(self.catalog.root.join("ctx_test"));
        known.insert("ctx_test".into(), ctx_test.unwrap_or_else(|_| "None".into()).trim().into());
        known.insert("host_os".into(), host_os(&self.machine.os).into());
        known.extend(self.context.0.iter().map(|(k, v)| (k.clone(), v.clone())));
        known.insert("gpu_vendor".into(), self.image_vendor(model).into());
        known.insert("guest_os".into(), self.guest_os().into());
        known
    }

    /// `gpu_vendor` of the images: the context's, this machine's, and without GPUs madengine's default.
    pub(super) fn image_vendor(&self, model: &Model) -> String {
        let usable = self.usable_gpus(&self.vendors(model));
        let here = usable.first().map(|&i| &self.machine.gpus[i]).or(self.machine.gpus.first());
        let given = self.context.text("gpu_vendor").map(|v| v.to_uppercase());
        given.unwrap_or_else(|| here.map_or("AMD".to_owned(), |g| g.vendor.to_string()))
    }

    /// `guest_os`: the context's, or madengine's default.
    pub(super) fn guest_os(&self) -> String {
        self.context.text("guest_os").map_or("UBUNTU".to_owned(), |os| os.to_uppercase())
    }

    fn build(&self, model: &Model, dockerfile: &Path, base: &str) -> Build {
        let given = model.entry().dockercontext.clone().filter(|c| !c.trim().is_empty());
        let primus = dockerfile.to_string_lossy().to_lowercase().contains("primus");
        let context = given.unwrap_or_else(|| if primus { "." } else { BUILD_CONTEXT }.to_owned());
        let (secret_args, mut args): (BTreeMap<String, String>, BTreeMap<String, String>) =
            self.context.items("docker_build_arg").into_iter().partition(|(n, _)| is_secret(n));
        let arch = self.machine.gpus.first().map(|g| g.arch.clone());
        if let Some(arch) = self.options.target_arch.clone().or(arch) {
            args.entry("MAD_SYSTEM_GPU_ARCHITECTURE".to_owned()).or_insert(arch);
        }
        let name = model.name.to_lowercase().replace('/', "_");
        let suffix = self.options.target_arch.as_ref().map(|a| format!("_{a}")).unwrap_or_default();
        Build {
            name: format!("ci-{name}_{}{suffix}", base.to_lowercase()),
            dockerfile: dockerfile.to_owned(),
            context: absolute(&self.catalog.root.join(context)),
            args,
            secrets: host_secrets()
                .chain(self.credential_fields(model))
                .chain(secret_args)
                .collect(),
            secrets_as_args: self.options.secrets_as_build_args,
            clean: self.options.clean,
        }
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
            program: self.options.container_engine,
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

/// Why `header` does not fit, if it does not.
fn contradiction(header: &Header, known: &BTreeMap<String, Value>) -> Option<String> {
    header.iter().find_map(|(key, wanted)| {
        let here = known.get(key).filter(|here| *here != wanted)?;
        Some(format!("it is for {key} {wanted}, here it is {here}"))
    })
}

/// The word for a distribution in CONTEXT headers.
fn host_os(os: &str) -> &'static str {
    let os = os.to_lowercase();
    match () {
        () if os.contains("ubuntu") => "HOST_UBUNTU",
        () if os.contains("centos") => "HOST_CENTOS",
        () if os.contains("sles") || os.contains("suse") => "HOST_SLES",
        () if os.contains("azure") || os.contains("mariner") => "HOST_AZURE",
        () => "Unable to detect Host OS",
    }
}
