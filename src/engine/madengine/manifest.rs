//! madengine's `build_manifest.json`: which images there are, and what they run.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::root;
use crate::engine::Image;
use crate::plan::{Existing, MadengineSpec, Target};

/// Name of the file.
pub(super) const MANIFEST: &str = "build_manifest.json";

/// The manifest of an image that is not built, as madengine would write it for one, but
/// with the whole entry (its own leaves out `multiple_results` and more).
pub(super) fn of_image(spec: &MadengineSpec, image: &Existing) -> Value {
    // A cluster has what is in a registry.
    let registry_image = image.pull.as_ref().filter(|_| spec.target == Target::Kubernetes);
    let name = registry_image.unwrap_or(&image.name);
    json!({
        "built_images": {
            name: {
                "docker_image": name,
                "dockerfile": "",
                "build_duration": 0,
                "local_image": true,
                "registry_image": registry_image,
            }
        },
        "built_models": { name: spec.entry },
        "context": {},
    })
}

/// The manifest that `madengine build` left in `root`, without what may be secret: the
/// context is given again when it runs.
pub(super) fn of_build(spec: &MadengineSpec, root: &Path) -> Result<Value> {
    let mut manifest = read(root)?;
    let failed = manifest["summary"]["failed_builds"].as_array().into_iter().flatten();
    if let Some(error) = failed.filter_map(|build| build["error"].as_str()).next() {
        bail!("{error}");
    }
    match images(&manifest) {
        1 => {}
        0 => bail!(
            "madengine ended with status 0 but built no image: the Dockerfile's CONTEXT header \
             does not fit what madengine knows of this host"
        ),
        n => bail!("madengine built {n} images instead of one"),
    }
    for image in manifest["built_images"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        if let Some(image) = image.as_object_mut() {
            image.remove("build_command");
        }
    }
    for model in manifest["built_models"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        *model = Value::Object(spec.entry.clone());
    }
    let kept = ["built_images", "built_models", "deployment_config"];
    if let Some(manifest) = manifest.as_object_mut() {
        manifest.retain(|key, _| kept.contains(&key.as_str()));
        manifest.insert("context".to_owned(), json!({}));
        if let Some(Value::Object(deployment)) = manifest.get_mut("deployment_config") {
            deployment.remove("env_vars");
        }
    }
    Ok(manifest)
}

/// Puts `manifest` into the private catalog `root`, with the entry as it is there.
pub(super) fn put(manifest: &Value, root: &Path) -> Result<()> {
    let mut manifest = manifest.clone();
    let models = std::fs::read(root.join("models.json"))
        .map_err(anyhow::Error::from)
        .and_then(|bytes| Ok(serde_json::from_slice::<Value>(&bytes)?))
        .context("cannot read the private models.json")?;
    for model in manifest["built_models"].as_object_mut().into_iter().flat_map(Map::values_mut) {
        *model = models[0].clone();
    }
    root::write_json(root, MANIFEST, &manifest)
}

/// What of the manifest in `root` explains that nothing was recorded.
pub(super) fn remark(root: &Path) -> Option<String> {
    let manifest = read(root).ok()?;
    // It takes images out that must not run, and says so in passing.
    (images(&manifest) == 0).then(|| {
        "it skipped the entry, whose skip_gpu_arch names the GPU that madengine found \
         (--disable-skip-gpu-arch overrides)"
            .to_owned()
    })
}

/// The image of `manifest`.
pub(super) fn image(manifest: &Value) -> Option<Image> {
    let (name, image) = manifest["built_images"].as_object()?.iter().next()?;
    let text = |key: &str| image[key].as_str().filter(|t| !t.is_empty());
    let base = text("base_docker");
    // Without an answer, what docker complained of stands there.
    let digest = text("docker_sha").filter(|sha| sha.starts_with("sha256:"));
    Some(Image {
        name: text("docker_image").unwrap_or(name).to_owned(),
        dockerfile: text("dockerfile").map(Into::into),
        base: base.map(str::to_owned),
        base_digest: base.zip(digest).map(|(base, digest)| format!("{base}@{digest}")),
        ..Image::default()
    })
}

fn images(manifest: &Value) -> usize {
    manifest["built_images"].as_object().map_or(0, Map::len)
}

fn read(root: &Path) -> Result<Value> {
    let path = root.join(MANIFEST);
    let bytes = std::fs::read(&path).context("madengine wrote no build_manifest.json")?;
    serde_json::from_slice(&bytes).with_context(|| format!("cannot read {}", path.display()))
}
