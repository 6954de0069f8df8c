//! Images: finding, pulling, and what is recorded of them.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::cli::{ANSWER_LIMIT, CliError, PASSING, TRIES, is_passing};
use super::connection::Containers;
use super::login::Login;
use super::{build, supervised};
use crate::contract::Exit;
use crate::credentials::Credentials;
use crate::engine::supervised::Launch;
use crate::engine::{Cancel, Image, Slot};
use crate::plan::{ContainerSpec, Existing, ImageSource, Job};

/// What the engine says of an image.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub id: String,
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
    #[serde(default)]
    config: Value,
}

impl Inspected {
    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.config["Labels"][name].as_str()
    }

    /// Name and digest in a registry.
    pub(super) fn digest(&self) -> Option<String> {
        self.repo_digests.as_ref()?.first().cloned()
    }

    fn is(&self, name: &str) -> bool {
        if let Some(id) = name.strip_prefix("sha256:") {
            return self.id.trim_start_matches("sha256:") == id;
        }
        let last = name.rsplit('/').next().unwrap_or(name);
        let (full, names) = match last {
            _ if last.contains('@') => (name.to_owned(), &self.repo_digests),
            _ if last.contains(':') => (name.to_owned(), &self.repo_tags),
            _ => (format!("{name}:latest"), &self.repo_tags),
        };
        // The engine may know it by a longer name: `localhost/x:1`, `docker.io/library/x:1`.
        let ends = |known: &String| *known == full || known.ends_with(&format!("/{full}"));
        names.as_ref().is_some_and(|names| names.iter().any(ends))
    }
}

/// Looks at all of `names` in one go. An image that is not there is missing in the answer.
pub(super) fn inspect(containers: &Containers, names: &[&str]) -> Result<Vec<Inspected>, CliError> {
    let args = [&["image", "inspect"], names].concat();
    let text = containers.cli.ask_about(&args, ANSWER_LIMIT)?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// The image `name` among `found`; an id is spelled out, with `sha256:` before it.
pub(super) fn named<'i>(found: &'i [Inspected], name: &str) -> Option<&'i Inspected> {
    found.iter().find(|image| image.is(name))
}

/// An image that exists, here or in a registry.
pub(in crate::engine) fn find_or_pull(
    containers: &Containers,
    credentials: &Credentials,
    job: &Job,
    wanted: &Existing,
    slot: &Slot,
    cancel: &Cancel,
) -> Result<Image> {
    let image = |name: &str, found: &Inspected| Image {
        name: name.to_owned(),
        id: found.id.clone(),
        digest: found.digest(),
        dockerfile: wanted.dockerfile.clone(),
        base: wanted.base.clone(),
        base_digest: wanted.base_digest.clone(),
    };
    let name = wanted.name.as_str();
    let mut places: Vec<(&str, &str)> = vec![(name, name)];
    // The very image that is meant, should its name mean another one by now.
    places.splice(..0, wanted.id.as_deref().map(|id| (id, name)));
    places.extend(wanted.pull.as_deref().filter(|pull| *pull != name).map(|pull| (pull, pull)));
    let asked: Vec<&str> = places.iter().map(|(asked, _)| *asked).collect();
    let found = inspect(containers, &asked)?;
    let mut here = places.iter().filter_map(|(asked, name)| Some((name, named(&found, asked)?)));
    if let Some((name, found)) = here.next() {
        return Ok(image(name, found));
    }
    let Some(pull) = wanted.pull.as_deref() else {
        bail!(
            "the image {name} is not on this host, and the manifest has no `registry_image` to \
             pull it from: push it there, or build it here (mad build)"
        );
    };
    let login = Login::new(credentials, pull, &slot.dir)?;
    tool(containers, job, &["pull", pull], login.environment(), slot, cancel)
        .with_context(|| format!("cannot pull the image {pull}"))?;
    let found = inspect(containers, &[pull])?;
    let found = found.first().with_context(|| format!("{pull} was pulled and is not there"))?;
    Ok(image(pull, found))
}

/// Runs the engine's client for as long as it takes; what it prints goes to the log.
pub(super) fn tool(
    containers: &Containers,
    job: &Job,
    args: &[&str],
    env: Vec<(String, Option<String>)>,
    slot: &Slot,
    cancel: &Cancel,
) -> Result<()> {
    std::fs::create_dir_all(&slot.dir)?;
    let command = [&[containers.cli.program.as_str()], args].concat();
    let command: Vec<String> = command.into_iter().map(str::to_owned).collect();
    let mut left = TRIES;
    loop {
        let mut launch = Launch::new(command.clone(), slot.dir.clone());
        launch.env.clone_from(&env);
        let ended = supervised::run(launch, job, slot, cancel)?;
        match ended.status.exit {
            Exit::Code(0) => return Ok(()),
            Exit::Cancelled => bail!("cancelled"),
            _ => {}
        }
        let last = super::engines_word(&slot.log()).or(ended.log.last_line);
        let last = last.map(|line| line.text).unwrap_or_default();
        left -= 1;
        if left == 0 || !is_passing(&last) {
            bail!("{last}\nlog: {}", slot.log().display());
        }
        std::thread::sleep(PASSING);
    }
}

/// The command that makes the image of `spec`, if one is made.
pub(super) fn command(containers: &Containers, spec: &ContainerSpec) -> Option<String> {
    let ImageSource::Build(build) = &spec.image else { return None };
    let mut words = vec![containers.cli.program.clone()];
    words.extend(build::arguments(containers, &spec.root, build));
    Some(shell_words::join(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_several_names() {
        let found: Vec<Inspected> = serde_json::from_value(serde_json::json!([
            { "Id": "sha256:bb11", "RepoTags": ["ci-m_m:latest"], "RepoDigests": null },
            {
                "Id": "cc22",
                "RepoTags": ["localhost/base:1", "reg.example:5000/bb:latest"],
                "RepoDigests": ["reg.example:5000/bb@sha256:dd33"],
            },
        ]))
        .unwrap();
        let id = |name: &str| named(&found, name).map(|i| i.id.as_str());
        assert_eq!(id("ci-m_m"), Some("sha256:bb11"));
        assert_eq!(id("sha256:bb11"), Some("sha256:bb11"));
        assert_eq!(id("base:1"), Some("cc22"));
        assert_eq!(id("sha256:cc22"), Some("cc22"));
        // No beginning of an id, and no name without a tag because of the port.
        assert_eq!(id("bb"), Some("cc22"));
        assert_eq!(id("reg.example:5000/bb"), Some("cc22"));
        assert_eq!(id("reg.example:5000/bb@sha256:dd33"), Some("cc22"));
        assert_eq!(id("base"), None);
    }
}
