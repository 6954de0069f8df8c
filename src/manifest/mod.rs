//! `build_manifest.json`: what was built, on its way to the host that runs it.
//!
//! The format is madengine's, and each program reads the other's file. What is written
//! here has a `schema` besides, and no secrets: those of the host that runs it are used.

mod read;
mod write;

use std::path::Path;

use anyhow::Result;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use read::ManifestFile;

use crate::record::write_json;

/// Format of the manifests that this program writes; madengine's have none.
pub const MANIFEST_SCHEMA: &str = "mad-manifest/1";

/// A manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "build manifest")]
pub struct Manifest {
    /// [`MANIFEST_SCHEMA`]; absent in a manifest of madengine.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schema: Option<String>,
    /// The images by key: their name, or the entry's where the image was not built.
    pub built_images: IndexMap<String, BuiltImage>,
    /// The entry of each image as the catalog has it, under the same key.
    pub built_models: IndexMap<String, Map<String, Value>>,
    /// The context it was built with: `docker_env_vars`, `docker_mounts`, `docker_build_arg`,
    /// `gpu_vendor`, `guest_os`, `docker_gpus`, and where they were given `tools`,
    /// `pre_scripts`, `post_scripts`, `encapsulate_script`.
    #[serde(default)]
    pub context: Map<String, Value>,
    /// Keys into `credential.json` that the entries name.
    #[serde(default)]
    pub credentials_required: Vec<String>,
    /// How the builds went.
    #[serde(default)]
    pub summary: Summary,
    /// Where it is to run: `target`, `slurm`, `k8s`, `env_vars`….
    #[serde(default)]
    pub deployment_config: Map<String, Value>,
    /// Keys that are not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuiltImage {
    /// The entry it is for.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub model: String,
    /// Name and tag.
    pub docker_image: String,
    /// Digest of its content on the host that built it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image_id: Option<String>,
    /// The Dockerfile, relative to the catalog.
    #[serde(default)]
    pub dockerfile: String,
    /// The image it is based on, as `BASE_DOCKER` names it.
    #[serde(default)]
    pub base_docker: String,
    /// Digest of that image, where it came from a registry.
    #[serde(default)]
    pub docker_sha: String,
    /// Seconds the build took.
    #[serde(default)]
    pub build_duration: f64,
    /// The command that built it, secrets as `***`.
    #[serde(default)]
    pub build_command: String,
    /// What the build printed; empty if nothing had to be done.
    #[serde(default)]
    pub log_file: String,
    /// `AMD`, `NVIDIA`, or nothing for an image that runs anywhere.
    #[serde(default)]
    pub gpu_vendor: String,
    /// The architecture it was built for, if for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gpu_architecture: Option<String>,
    /// Its name in a registry, from which another host can pull it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub registry_image: Option<String>,
    /// Whether `docker_image` was given and not built, and may be pulled by that name.
    /// madengine also writes a name here.
    #[serde(skip_serializing_if = "Value::is_null", default)]
    pub local_image: Value,
    /// Keys that are not known here.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How the builds went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Summary {
    /// The images, as in `built_images`, or their keys.
    pub successful_builds: Vec<Value>,
    /// What could not be built.
    pub failed_builds: Vec<FailedBuild>,
    /// Seconds of all builds.
    pub total_build_time: f64,
    /// Images that were pushed.
    pub successful_pushes: Vec<Value>,
    /// Images that could not be pushed.
    pub failed_pushes: Vec<Value>,
}

/// An entry, or one architecture of it, that could not be built.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FailedBuild {
    /// The entry.
    pub model: String,
    /// The architecture, where several were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Why.
    pub error: String,
}

impl BuiltImage {
    /// Whether the image was given and not built.
    pub fn is_given(&self) -> bool {
        match &self.local_image {
            Value::Bool(given) => *given,
            Value::String(name) => !name.is_empty(),
            _ => false,
        }
    }

    /// What another host pulls when it does not have the image; the name of one that was
    /// built means nothing there.
    pub fn pullable(&self) -> Option<&str> {
        let pushed = self.registry_image.as_deref().filter(|name| !name.is_empty());
        pushed.or_else(|| self.is_given().then_some(self.docker_image.as_str()))
    }
}

impl Manifest {
    /// Adds an image and its entry under `key`.
    pub fn add(&mut self, key: &str, image: BuiltImage, entry: Map<String, Value>) {
        self.summary.total_build_time += image.build_duration;
        self.summary.successful_builds.extend(serde_json::to_value(&image));
        self.built_images.insert(key.to_owned(), image);
        self.built_models.insert(key.to_owned(), entry);
    }

    /// Writes it to `path`, whole or not at all.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_json(path, self)
    }
}

#[cfg(test)]
mod tests;
