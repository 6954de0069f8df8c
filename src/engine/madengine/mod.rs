//! The madengine engine: drives the real `madengine` program.
//!
//! `madengine build` makes the image, once per Measurement; each Execution is one
//! `madengine run` of its manifest, so that all Executions run the same image. Each works
//! in a private catalog that holds one entry (`root`).

mod manifest;
mod root;

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::container::{Cli, Containers, image, ownership};
use super::supervised::{self, Launch};
use super::{Cancel, Container, Engine, Execution, Image, Prepared, Slot, work};
use crate::contract::{Exit, Recorded, read_recorded};
use crate::options::ContainerProgram;
use crate::plan::{Existing, ImageSource, Job, MadengineSpec, Target, container_name};

/// The program.
const PROGRAM: &str = "madengine";
/// Its result file.
const PERF: &str = "perf.csv";

/// Has madengine run Jobs.
#[derive(Clone, Copy, Debug, Default)]
pub struct MadengineEngine;

impl Engine for MadengineEngine {
    fn name(&self) -> &'static str {
        "madengine"
    }

    fn prepare(&self, job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Prepared> {
        let spec = spec(job)?;
        let manifest = match &spec.image {
            ImageSource::Existing(image) => manifest::of_image(spec, image),
            ImageSource::Build(_) => build(job, spec, slot, cancel)?,
        };
        let mut image = manifest::image(&manifest).context("no image in the manifest")?;
        if spec.target == Target::Local {
            image = identify(spec, job, image, slot, cancel)?;
        }
        Ok(Prepared { image: Some(image), manifest: Some(manifest), ..Prepared::default() })
    }

    fn execute(
        &self,
        job: &Job,
        prepared: &Prepared,
        slot: &Slot,
        cancel: &Cancel,
    ) -> Result<Execution> {
        let spec = spec(job)?;
        let manifest = prepared.manifest.as_ref().context("the Job has no manifest")?;
        let image = prepared.image.as_ref().context("the Job has no image")?;
        let stale_results = root::make(job, spec, slot)?;
        let root = slot.work();
        manifest::put(manifest, &root)?;
        let mut launch = launch(run_command(job, spec, slot.keep_work), spec, slot);
        launch.timeout_s = spec.limit_s;
        if spec.target == Target::Local {
            let (cli, name) = (Cli::new("docker"), container_name(&image.name));
            let (keep, run) = (slot.keep_work, Some(slot.run.clone()));
            launch.container = Some(Container { cli, name, keep, run });
        }
        let mut execution = Execution::supervised(supervised::run(launch, job, slot, cancel)?);
        execution.stale_results = stale_results;
        if spec.target == Target::Local
            && let Ok(containers) = Containers::here(ContainerProgram::Docker)
        {
            execution.trouble.extend(ownership::take(containers, image, &root));
        }
        let recorded = recorded(job, slot)?;
        execution.duration_s = recorded.duration_s().unwrap_or(execution.duration_s);
        execution.recorded = Some(recorded);
        let results: Vec<_> = job.results_csv.iter().map(|name| root.join(name)).collect();
        execution.results = work::keep_results(job, slot, &results)?;
        execution.trouble.extend(root::remove(slot));
        Ok(execution)
    }
}

/// The commands that make the image of `job` and run it, as a person would type them in a
/// catalog with this entry alone, and the context they are given.
pub fn commands(job: &Job) -> Vec<String> {
    let Some(spec) = &job.madengine else { return Vec::new() };
    let build = match &spec.image {
        ImageSource::Existing(_) => None,
        ImageSource::Build(build) => Some(build_command(job, build.clean)),
    };
    let context = serde_json::Value::Object(spec.context.clone()).to_string();
    let context = format!("{}: {}", root::CONTEXT, job.masker().mask_str(&context));
    let lines = build.into_iter().chain([run_command(job, spec, false)]);
    lines.map(shell_words::join).chain([context]).collect()
}

fn build_command(job: &Job, clean: bool) -> Vec<String> {
    let mut words = vec![PROGRAM, "build", "--tags"];
    let name = job.model.name.as_str();
    // Its tags have a grammar of their own, and it sees no other entry.
    let plain = !name.contains([':', ',']) && name.matches('/').count() < 2 && name.trim() == name;
    words.push(if plain { name } else { "all" });
    words.extend(["--live-output", "--additional-context-file", root::CONTEXT]);
    if clean {
        words.push("--clean-docker-cache");
    }
    words.into_iter().map(str::to_owned).collect()
}

fn run_command(job: &Job, spec: &MadengineSpec, keep: bool) -> Vec<String> {
    // Whole seconds, 0 for none; -1 would be its own default.
    let timeout = job.timeout_s.map_or(0.0, f64::ceil).to_string();
    let mut words = vec![PROGRAM, "run", "--manifest-file", manifest::MANIFEST, "--live-output"];
    words.extend(["--timeout", &timeout, "--additional-context-file", root::CONTEXT]);
    words.extend(["--output", PERF]);
    for (flag, on) in [
        ("--disable-skip-gpu-arch", spec.any_arch),
        ("--skip-model-run", spec.skip_model),
        ("--keep-alive", keep),
    ] {
        if on {
            words.push(flag);
        }
    }
    words.into_iter().map(str::to_owned).collect()
}

fn spec(job: &Job) -> Result<&MadengineSpec> {
    job.madengine.as_ref().context("the Job was not planned for madengine")
}

/// madengine in the private catalog of `slot`.
fn launch(command: Vec<String>, spec: &MadengineSpec, slot: &Slot) -> Launch {
    let mut launch = Launch::new(command, slot.work());
    // On SIGTERM it leaves its container, or its job in the cluster, behind.
    launch.interrupt = true;
    let mut set = |name: &str, value: Option<&str>| {
        launch.env.push((name.to_owned(), value.map(str::to_owned)));
    };
    // Its output must not be lost in a buffer when it is ended, nor be folded.
    set("PYTHONUNBUFFERED", Some("1"));
    set("COLUMNS", Some("200"));
    // The private catalog is the one to use.
    set("MODEL_DIR", None);
    if spec.target == Target::Local {
        // It would hand them to the container, where the leased GPUs have other numbers.
        for name in ["HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"] {
            set(name, None);
        }
    }
    launch
}

/// Has madengine build the image; returns its manifest.
fn build(job: &Job, spec: &MadengineSpec, slot: &Slot, cancel: &Cancel) -> Result<Value> {
    let ImageSource::Build(build) = &spec.image else { bail!("the image is not built") };
    root::make(job, spec, slot)?;
    let launch = launch(build_command(job, build.clean), spec, slot);
    let ended = supervised::run(launch, job, slot, cancel)?;
    let built = match ended.status.exit {
        Exit::Cancelled => bail!("cancelled"),
        Exit::Code(127) => bail!("{PROGRAM} was not found"),
        exit => manifest::of_build(spec, &slot.work()).and_then(|manifest| match exit {
            Exit::Code(0) => Ok(manifest),
            other => bail!("madengine build ended with {other:?}"),
        }),
    };
    let removed = root::remove(slot);
    let manifest = built.map_err(|e| {
        let why = docker_said(&slot.log()).unwrap_or_else(|| format!("{e:#}"));
        let why = job.masker().mask_str(&why).into_owned();
        anyhow::anyhow!("madengine built no image: {why}\nlog: {}", slot.log().display())
    })?;
    match removed {
        Some(trouble) => bail!("{trouble}"),
        None => Ok(manifest),
    }
}

/// The last words of a docker build that failed.
fn docker_said(log: &Path) -> Option<String> {
    let text = std::fs::read(log).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (before, _) = text.split_once("DOCKER BUILD FAILED")?;
    let line = before.lines().rev().skip(1).find(|line| !line.trim().is_empty())?;
    Some(line.trim().to_owned())
}

/// The image with what Docker knows it by; pulled, if it is not there.
fn identify(
    spec: &MadengineSpec,
    job: &Job,
    image: Image,
    slot: &Slot,
    cancel: &Cancel,
) -> Result<Image> {
    let containers = match Containers::here(ContainerProgram::Docker) {
        Ok(containers) => containers,
        Err(why) => bail!("Docker does not answer: {why}"),
    };
    let logins = &spec.credentials;
    let wanted = match &spec.image {
        ImageSource::Existing(wanted) => wanted.clone(),
        ImageSource::Build(_) => Existing::named(image.name.clone()),
    };
    let found = image::find_or_pull(containers, logins, job, &wanted, slot, cancel)?;
    Ok(Image { name: found.name, id: found.id, digest: found.digest, ..image })
}

/// What madengine recorded; its perf.csv is kept beside the log.
fn recorded(job: &Job, slot: &Slot) -> Result<Recorded> {
    let kept = slot.dir.join(PERF);
    let written = slot.work().join(PERF);
    if written.is_file() {
        work::copy_masked(&written, &kept, job.masker())
            .with_context(|| format!("cannot keep {}", written.display()))?;
    }
    Ok(Recorded {
        model: job.model.name.clone(),
        rows: read_recorded(&kept),
        remark: manifest::remark(&slot.work()),
    })
}
