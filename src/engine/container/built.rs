//! Images that were built here, for those who clean up.

use std::collections::BTreeSet;
use std::time::Duration;

use super::build::FINGERPRINT;
use super::cli::{ANSWER_LIMIT, CliError};
use super::connection::Containers;
use super::image::{Inspected, inspect};

/// What the names of images that are built here begin with; madengine's.
const NAME_PREFIX: &str = "ci-";
/// Large images take a while to go.
const REMOVAL_LIMIT: Duration = Duration::from_secs(600);

/// A name of an image that was built here, as those who clean up see it.
pub struct BuiltHere {
    /// The name; the id of an image that has none any more.
    pub name: String,
    /// What the engine knows the image by.
    pub id: String,
    /// Whether a container, running or not, is made of it.
    pub used: bool,
}

impl BuiltHere {
    /// Takes the name away, and with the last one removes the image.
    ///
    /// # Errors
    /// When the engine does not.
    pub fn remove(&self, containers: &Containers) -> Result<(), CliError> {
        match containers.cli.ask(&["rmi", &self.name], REMOVAL_LIMIT) {
            Err(e) if !e.is_missing() => Err(e),
            _ => Ok(()),
        }
    }
}

/// The images that were built here. What somebody made of one, or calls by a name that is
/// none of ours, is not among them. The containers `gone` count as removed.
///
/// # Errors
/// When the engine does not answer.
pub fn images_to_remove(
    containers: &Containers,
    gone: &BTreeSet<&str>,
) -> Result<Vec<BuiltHere>, CliError> {
    let filter = format!("label={}", FINGERPRINT);
    let args = ["images", "-q", "--no-trunc", "--filter", &filter];
    let listed = containers.cli.ask(&args, ANSWER_LIMIT)?;
    let ids: BTreeSet<&str> = listed.split_whitespace().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let used = used_images(containers, gone)?;
    let found = inspect(containers, &ids.into_iter().collect::<Vec<_>>())?;
    let names = |image: Inspected| {
        let tags = image.repo_tags.unwrap_or_default();
        let nameless = tags.is_empty().then(|| image.id.clone());
        let used = used.contains(bare(&image.id));
        let is_ours =
            |tag: &String| tag.strip_prefix("localhost/").unwrap_or(tag).starts_with(NAME_PREFIX);
        let names: Vec<String> = tags.into_iter().filter(is_ours).chain(nameless).collect();
        names.into_iter().map(move |name| BuiltHere { name, id: image.id.clone(), used })
    };
    let mut images: Vec<BuiltHere> = found.into_iter().flat_map(names).collect();
    images.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(images)
}

/// Ids of the images that containers are made of, those `gone` not counted.
fn used_images(
    containers: &Containers,
    gone: &BTreeSet<&str>,
) -> Result<BTreeSet<String>, CliError> {
    let listed = containers.cli.ask(&["ps", "-a", "-q", "--no-trunc"], ANSWER_LIMIT)?;
    let ids: Vec<&str> = listed.split_whitespace().collect();
    if ids.is_empty() {
        return Ok(BTreeSet::new());
    }
    let format = "{{.Image}} {{.Name}}";
    let args = [&["container", "inspect", "--format", format], ids.as_slice()].concat();
    let answer = containers.cli.ask_about(&args, ANSWER_LIMIT)?;
    let of = answer.lines().filter_map(|line| line.split_once(' '));
    let of = of.filter(|(_, name)| !gone.contains(name.trim_start_matches('/')));
    Ok(of.map(|(image, _)| bare(image).to_owned()).collect())
}

/// The id without the name of its hash, which Podman leaves out.
fn bare(id: &str) -> &str {
    id.trim_start_matches("sha256:")
}
