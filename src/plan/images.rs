//! The images of an entry: which Dockerfiles fit, what is built from them, and which
//! images are there already.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Planner;
use super::job::host_secrets;
use crate::catalog::Model;
use crate::contract::is_secret;
use crate::engine::absolute;
use crate::validate::{self, Context as Header, argument_default};

/// The build context of entries that name none.
const BUILD_CONTEXT: &str = "docker";
/// The build argument that says which GPUs an image is for.
pub(super) const ARCHITECTURE: &str = "MAD_SYSTEM_GPU_ARCHITECTURE";

/// Where an image comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageSource {
    /// It exists, here or in a registry.
    Existing(Existing),
    /// It is built.
    Build(Build),
}

/// An image that exists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Existing {
    /// Its name and tag.
    pub name: String,
    /// Digest of its content, where it is known which one is meant.
    pub id: Option<String>,
    /// What is pulled when it is not on this host; `None` for an image that was built
    /// and not pushed.
    pub pull: Option<String>,
    /// The Dockerfile it was built from, where it is known.
    pub dockerfile: Option<PathBuf>,
    /// The image it was built on, where it is known.
    pub base: Option<String>,
    /// Name and digest of that image in a registry.
    pub base_digest: Option<String>,
}

impl Existing {
    /// The image that a user names.
    pub fn named(name: String) -> Existing {
        Existing { pull: Some(name.clone()), name, ..Existing::default() }
    }
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
    /// Vendor of the GPUs it is for; nothing if any will do.
    pub gpu_vendor: String,
    /// Architecture of the GPUs it is built for, if for one.
    pub gpu_architecture: Option<String>,
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
            return Ok(vec![(String::new(), ImageSource::Existing(Existing::named(image)))]);
        }
        if let Some(images) = model.images() {
            return self.manifest_images(model, images);
        }
        if model.dockerfile().is_none() {
            return Err(
                "the entry has no `dockerfile`, and no image is given (--use-image)".to_owned()
            );
        }
        let files = self.fitting_dockerfiles(model)?;
        let several = files.len() > 1;
        Ok(files
            .into_iter()
            .map(|(file, header)| {
                let variant = if several { variant(model, &file) } else { String::new() };
                (variant, ImageSource::Build(self.build(model, file, &header)))
            })
            .collect())
    }

    /// The image that the user or the context names instead of a build.
    pub(super) fn given_image(&self, model: &Model) -> Result<Option<String>, String> {
        match self.options.images.use_image.as_deref() {
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
    fn fitting_dockerfiles(&self, model: &Model) -> Result<Vec<(PathBuf, Header)>, String> {
        let prefix = model.dockerfile().unwrap_or(Path::new(""));
        let known = self.known_facts(model);
        let mut fitting = Vec::new();
        let mut refused = Vec::new();
        for (path, header) in validate::dockerfiles(&self.catalog.root, prefix) {
            match header {
                Ok(header) => match contradiction(&header, &known) {
                    None => fitting.push((path, header)),
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

    fn build(&self, model: &Model, dockerfile: PathBuf, header: &Header) -> Build {
        let given = model.entry().dockercontext.clone().filter(|c| !c.trim().is_empty());
        let primus = dockerfile.to_string_lossy().to_lowercase().contains("primus");
        let context = given.unwrap_or_else(|| if primus { "." } else { BUILD_CONTEXT }.to_owned());
        let given = self.context.items("docker_build_arg").into_iter();
        let (secret_args, mut args): (BTreeMap<_, _>, BTreeMap<_, _>) =
            given.partition(|(name, _)| is_secret(name));
        if let Some(arch) = &self.options.target_arch {
            args.insert(ARCHITECTURE.to_owned(), arch.clone());
        } else if let Some(gpu) = self.machine.gpus.first() {
            args.entry(ARCHITECTURE.to_owned()).or_insert_with(|| gpu.arch.clone());
        }
        let text = std::fs::read_to_string(self.catalog.root.join(&dockerfile));
        let default = || argument_default(&text.unwrap_or_default(), ARCHITECTURE);
        let name = model.name.to_lowercase().replace('/', "_");
        let suffix = self.options.target_arch.as_ref().map(|a| format!("_{a}")).unwrap_or_default();
        Build {
            name: format!("ci-{name}_{}{suffix}", base_name(&dockerfile).to_lowercase()),
            gpu_vendor: vendor(&dockerfile, header),
            gpu_architecture: args.get(ARCHITECTURE).cloned().or_else(default),
            dockerfile,
            context: absolute(&self.catalog.root.join(context)),
            args,
            secrets: host_secrets()
                .chain(self.credential_fields(model))
                .chain(secret_args)
                .collect(),
            secrets_as_args: self.options.images.secrets_as_build_args,
            clean: self.options.images.clean,
        }
    }
}

/// The name of a Dockerfile without its ending.
fn base_name(dockerfile: &Path) -> String {
    let name = dockerfile.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(".Dockerfile").to_owned()
}

/// What tells the image of this Dockerfile from the others of the entry.
pub(super) fn variant(model: &Model, dockerfile: &Path) -> String {
    let base = base_name(dockerfile);
    let stem = model.dockerfile().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    base.strip_prefix(&*stem).unwrap_or(&base).trim_start_matches('.').to_owned()
}

/// Vendor of the GPUs that a Dockerfile is for, as it says itself or is named.
fn vendor(dockerfile: &Path, header: &Header) -> String {
    if let Some(vendor) = header.get("gpu_vendor").and_then(Value::as_str) {
        return vendor.to_uppercase();
    }
    let named = |vendor: &str| base_name(dockerfile).to_lowercase().split('.').any(|w| w == vendor);
    match () {
        () if named("amd") => "AMD".to_owned(),
        () if named("nvidia") => "NVIDIA".to_owned(),
        () => String::new(),
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
