//! Reading a manifest, and what of it holds on the host that runs it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};

use super::{MANIFEST_SCHEMA, Manifest};
use crate::contract::{Masker, is_secret};
use crate::diagnostic::Place;
use crate::options::text_items;

/// A manifest as it was read.
#[derive(Clone, Debug)]
pub struct ManifestFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// What it says.
    pub manifest: Manifest,
}

/// Keys of the context that hold on another host, too.
const RESTORED: [&str; 7] = [
    "docker_mounts",
    "docker_gpus",
    "guest_os",
    "tools",
    "pre_scripts",
    "post_scripts",
    "encapsulate_script",
];
/// Keys of `deployment_config` that say what is to run it.
const DEPLOYED: [&str; 4] = ["slurm", "k8s", "kubernetes", "env_vars"];

impl ManifestFile {
    /// Reads a manifest of this program or of madengine.
    ///
    /// # Errors
    /// When there is none, it is of another version, half written or holds no image; the
    /// message says where.
    pub fn read(path: &Path) -> Result<ManifestFile> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the manifest {shown}; `mad build` writes one"))?;
        ManifestFile::parse(path, text)
    }

    pub(super) fn parse(path: &Path, text: String) -> Result<ManifestFile> {
        let shown = path.display();
        let value: Value = serde_json::from_str(&text).map_err(|e| {
            anyhow::anyhow!("{} (this is not valid JSON: build again)", plain(path, &e))
        })?;
        let version = match value.get("schema") {
            None | Some(Value::Null) => None,
            Some(version) => {
                Some(version.as_str().map_or_else(|| version.to_string(), str::to_owned))
            }
        };
        if let Some(version) = version.filter(|v| v != MANIFEST_SCHEMA) {
            bail!(
                "{shown} has the format {version:?}, this version reads {MANIFEST_SCHEMA} and \
                 madengine's; build again, or use the version that wrote it"
            );
        }
        let manifest: Manifest = serde_json::from_str(&text)
            .map_err(|e| anyhow::anyhow!("{} (no build manifest)", plain(path, &e)))?;
        let file = ManifestFile { path: path.to_owned(), text, manifest };
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        let Manifest { built_images, built_models, summary, .. } = &self.manifest;
        if let Some(key) = built_images.keys().find(|key| !built_models.contains_key(*key)) {
            let place = self.place("built_images", key);
            bail!("{place}: the image {key} has no entry in `built_models`: build again");
        }
        if let Some((key, _)) = built_images.iter().find(|(_, i)| i.docker_image.trim().is_empty())
        {
            bail!("{}: `docker_image` is empty: build again", self.place("built_images", key));
        }
        if built_models.is_empty() {
            let failed = summary.failed_builds.iter().map(|f| format!("{} ({})", f.model, f.error));
            let failed = failed.collect::<Vec<_>>().join("; ");
            let why = if failed.is_empty() { "nothing was built" } else { &failed };
            let why = Masker::new(self.secrets()).mask_str(why).into_owned();
            bail!("{} holds no image: {why}", self.path.display());
        }
        Ok(())
    }

    /// Where `key` of the object `object` stands.
    fn place(&self, object: &str, key: &str) -> Place {
        let pointer = format!("/{object}/{}", crate::catalog::escape(key));
        let span = crate::catalog::locate(&self.text, &pointer);
        Place::span(&self.path, &self.text, span)
    }

    /// The entries that were to be built and were not, with the reason.
    pub fn not_built(&self) -> impl Iterator<Item = String> {
        let failed = self.manifest.summary.failed_builds.iter();
        failed.map(|f| match &f.architecture {
            Some(arch) => format!("{} for {arch} was not built: {}", f.model, f.error),
            None => format!("{} was not built: {}", f.model, f.error),
        })
    }

    /// The context that a run restores: the user's wishes, and not what was found out
    /// about the host that built.
    pub fn restored_context(&self) -> Map<String, Value> {
        let given = |value: &Value| match value {
            Value::Null => false,
            Value::String(text) => !text.trim().is_empty(),
            Value::Object(object) => !object.is_empty(),
            Value::Array(array) => !array.is_empty(),
            _ => true,
        };
        let from = |object: &Map<String, Value>, keys: &[&str]| {
            let items =
                keys.iter().filter_map(|k| Some(((*k).to_owned(), object.get(*k)?.clone())));
            items.filter(|(_, value)| given(value)).collect::<Vec<_>>()
        };
        let mut context: Map<String, Value> =
            from(&self.manifest.context, &RESTORED).into_iter().collect();
        context.extend(from(&self.manifest.deployment_config, &DEPLOYED));
        if let Some(variables) = self.manifest.context.get("docker_env_vars").filter(|v| given(v)) {
            let mut variables = variables.clone();
            if let Some(variables) = variables.as_object_mut() {
                variables.retain(|name, _| !is_about_host(name));
            }
            context.extend(given(&variables).then(|| ("docker_env_vars".to_owned(), variables)));
        }
        context
    }

    /// Values in it that must not appear in any output.
    pub fn secrets(&self) -> Vec<String> {
        let context = &self.manifest.context;
        let objects = ["docker_env_vars", "docker_build_arg"].into_iter();
        let objects = objects
            .filter_map(|key| context.get(key))
            .chain(self.manifest.built_models.values().filter_map(|entry| entry.get("env_vars")));
        let items = objects.filter_map(Value::as_object).flat_map(text_items);
        items.filter(|(name, _)| is_secret(name)).map(|(_, value)| value).collect()
    }
}

/// Whether a variable says what some host is: that of the build is not that of the run.
fn is_about_host(name: &str) -> bool {
    name.starts_with("MAD_SYSTEM_") || name == "MAD_GPU_VENDOR" || name == "MAD_RUNTIME_NGPUS"
}

/// The message of `error` behind its place.
fn plain(path: &Path, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    format!("{}:{}:{}: {message}", path.display(), error.line(), error.column())
}
