//! Building images.
//!
//! An image carries, as a label, a fingerprint of what it was built from. While that stays
//! the same, one question to the engine is all that a build costs; otherwise the engine's
//! own cache decides which layers are made anew.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::connection::{Containers, Kind};
use super::fingerprint::fingerprint;
use super::image::{inspect, named, tool};
use super::login::Login;
use super::run::csv_field;
use crate::engine::{Cancel, Image, Slot};
use crate::plan::{Build, Job};
use crate::validate::argument_default;

/// Label with the fingerprint.
pub(super) const FINGERPRINT: &str = "mad.build";
/// File that the client writes the id of a new image to.
const ID_FILE: &str = "image-id";

/// The image of `build`: the one that is there, or a new one.
pub(super) fn build(
    containers: &Containers,
    job: &Job,
    build: &Build,
    slot: &Slot,
    cancel: &Cancel,
) -> Result<Image> {
    let root = &super::spec(job)?.root;
    let path = root.join(&build.dockerfile);
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}", build.dockerfile.display()))?;
    let base = base_image(&text, build);
    let fingerprint = fingerprint(&text, build, &slot.dir)?;
    if !build.clean {
        let found = find(containers, &build.name, base.as_deref(), build)?;
        if let Some((image, found)) = found
            && found == fingerprint
        {
            return Ok(image);
        }
    }
    refuse_secret_arguments(containers, &text, build)?;
    let mut args = arguments(containers, root, build);
    let own = ["--label".to_owned(), format!("{FINGERPRINT}={fingerprint}")];
    args.splice(1..1, own.into_iter().chain(["--iidfile".to_owned(), ID_FILE.to_owned()]));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let login = match &base {
        Some(base) => Login::new(&super::spec(job)?.credentials, base, &slot.dir)?,
        None => Login::default(),
    };
    let env = [environment(containers, build), login.environment()].concat();
    tool(containers, job, &args, env, slot, cancel)
        .with_context(|| format!("cannot build {}", build.dockerfile.display()))?;
    // By its id: the name may be another image's already, built from another checkout.
    let id = std::fs::read_to_string(slot.dir.join(ID_FILE))
        .with_context(|| format!("{} did not say what it built", containers.cli.program))?;
    let image = find(containers, id.trim(), base.as_deref(), build)?;
    Ok(image.with_context(|| format!("{} was built and is not there", build.name))?.0)
}

/// The image `name` as one that was built, with its fingerprint, if it is there.
fn find(
    containers: &Containers,
    name: &str,
    base: Option<&str>,
    build: &Build,
) -> Result<Option<(Image, String)>> {
    let names: Vec<&str> = std::iter::once(name).chain(base).collect();
    let found = inspect(containers, &names)?;
    let Some(image) = named(&found, name) else { return Ok(None) };
    let fingerprint = image.label(FINGERPRINT).unwrap_or_default().to_owned();
    let base_digest = base.and_then(|base| named(&found, base)?.digest());
    let image = Image {
        name: build.name.clone(),
        id: image.id.clone(),
        digest: None,
        dockerfile: Some(build.dockerfile.clone()),
        base: base.map(str::to_owned),
        base_digest,
    };
    Ok(Some((image, fingerprint)))
}

/// Arguments of the client for a build.
pub(super) fn arguments(containers: &Containers, root: &Path, build: &Build) -> Vec<String> {
    // Without --force-rm the container of a step that failed is left behind.
    let mut args = vec!["build".to_owned(), "--force-rm".to_owned()];
    if build.clean {
        args.extend(["--no-cache".to_owned(), "--pull".to_owned()]);
    }
    // Packages come from where this host gets them; a build is not measured.
    args.push("--network=host".to_owned());
    let mut pair = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
    pair("-t", build.name.clone());
    let dockerfile = root.join(&build.dockerfile).display().to_string();
    // Podman reads this one as a line of CSV.
    let dockerfile =
        if containers.kind == Kind::Podman { csv_field(dockerfile) } else { dockerfile };
    pair("-f", dockerfile);
    for (name, value) in &build.args {
        pair("--build-arg", format!("{name}={value}"));
    }
    let common = root.join("docker/common");
    if containers.buildkit().is_some() {
        for name in build.secrets.keys() {
            pair("--secret", format!("id={name},env={name}"));
        }
        if common.is_dir() {
            pair("--build-context", format!("tools={}", common.display()));
        }
    }
    if build.secrets_as_args {
        for name in build.secrets.keys() {
            // Without a value: the client takes it from its environment.
            pair("--build-arg", name.clone());
        }
    }
    args.push(build.context.display().to_string());
    args
}

/// The client's environment: the secrets, and the builder that can keep them.
fn environment(containers: &Containers, build: &Build) -> Vec<(String, Option<String>)> {
    let secrets = build.secrets.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let builder = containers.buildkit().unwrap_or_default().iter().copied();
    secrets.chain(builder).map(|(n, v)| (n.to_owned(), Some(v.to_owned()))).collect()
}

/// A secret that the Dockerfile takes as a build argument would stay in the image's
/// history.
fn refuse_secret_arguments(containers: &Containers, text: &str, build: &Build) -> Result<()> {
    if build.secrets_as_args {
        return Ok(());
    }
    let file = build.dockerfile.display();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split_whitespace();
        let is_arg = words.next().is_some_and(|w| w.eq_ignore_ascii_case("ARG"));
        let name = words.next().map(|w| w.split('=').next().unwrap_or(w)).filter(|_| is_arg);
        if let Some(name) = name.filter(|name| build.secrets.contains_key(*name)) {
            bail!(
                "{file}:{number}: takes the secret {name} as a build argument, which stays in \
                 the image's history; write `RUN --mount=type=secret,id={name} …` instead, or \
                 allow it with --secrets-as-build-args"
            );
        }
        if line.contains("--mount=type=secret") && containers.buildkit().is_none() {
            bail!(
                "{file}:{number}: needs BuildKit, which this docker lacks: install its plug-in \
                 buildx, or use podman (--container-engine podman)"
            );
        }
    }
    Ok(())
}

/// The image that a Dockerfile builds on: `BASE_DOCKER`, else what its first `FROM` names.
fn base_image(text: &str, build: &Build) -> Option<String> {
    if let Some(base) = build.args.get("BASE_DOCKER") {
        return Some(base.clone());
    }
    let from = |line: &str| {
        let (first, rest) = line.trim_start().split_once(char::is_whitespace)?;
        first.eq_ignore_ascii_case("FROM").then(|| rest.to_owned())
    };
    let named = || {
        let from = text.lines().find_map(from)?;
        let image = from.split_whitespace().find(|word| !word.starts_with("--"))?.to_owned();
        Some(image).filter(|image| !image.contains('$') && image != "scratch")
    };
    argument_default(text, "BASE_DOCKER").or_else(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_an_image() {
        let base = |text: &str| base_image(text, &Build::default());
        assert_eq!(
            base("ARG BASE_DOCKER=rocm/pytorch:1\nFROM $BASE_DOCKER"),
            Some("rocm/pytorch:1".into())
        );
        assert_eq!(base("# x\nFROM --platform=linux/amd64 a:1 AS b"), Some("a:1".into()));
        assert_eq!(base("from a"), Some("a".into()));
        assert_eq!(base("FROM scratch"), None);
        assert_eq!(base("FROM ${X}"), None);
        let args = [("BASE_DOCKER".to_owned(), "given".to_owned())].into();
        let build = Build { args, ..Build::default() };
        assert_eq!(
            base_image("ARG BASE_DOCKER=b\nFROM $BASE_DOCKER", &build),
            Some("given".into())
        );
    }
}
