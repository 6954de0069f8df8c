//! Building: the images of entries, made as a measurement makes them, and written down
//! for the host that measures.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Session;
use crate::catalog::Model;
use crate::contract::is_secret;
use crate::engine::container::build_command;
use crate::engine::{Cancel, Image};
use crate::manifest::{BuiltImage, FailedBuild, MANIFEST_SCHEMA, Manifest};
use crate::plan::{ImageSource, Job, Planner};
use crate::progress::Progress;
use crate::record::{self, RunDir};
use crate::slug::slug;

/// What became of one image.
#[derive(Clone, Debug, Serialize)]
pub struct ImageOutcome {
    /// The entry, with the image's part behind `@` where it has several.
    pub entry: String,
    /// Name of the image; nothing if there is none for the entry.
    pub image: String,
    /// How it ended.
    pub state: ImageState,
    /// Digest of its content.
    pub id: Option<String>,
    /// Seconds it took.
    pub seconds: f64,
    /// What the engine printed, if it did anything.
    pub log: Option<PathBuf>,
    /// Why there is no image.
    pub reason: Option<String>,
}

/// How one image came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageState {
    /// It was built.
    Built,
    /// It was there, built from the same files.
    Cached,
    /// It was given, and pulled.
    Pulled,
    /// It was given, and there.
    Found,
    /// There is none.
    Failed,
}

impl std::fmt::Display for ImageState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ImageState::Built => "built",
            ImageState::Cached => "cached",
            ImageState::Pulled => "pulled",
            ImageState::Found => "found",
            ImageState::Failed => "FAILED",
        })
    }
}

/// Builds images one after the other, and gathers the manifest.
#[derive(Debug)]
pub struct Builder<'a> {
    session: Session<'a>,
    manifest: Manifest,
    outcomes: Vec<ImageOutcome>,
    left_out: Vec<String>,
    /// Which entry has which image.
    owners: HashMap<String, String>,
}

impl<'a> Builder<'a> {
    /// Opens a Run that only builds.
    ///
    /// # Errors
    /// When its directory cannot be made.
    pub fn open(planner: Planner<'a>, cancel: Cancel, progress: Progress) -> Result<Builder<'a>> {
        let dir = RunDir::open_build(&planner.options.run_dir, &record::run_id())?;
        let session = Session::in_dir(dir, planner, cancel, progress)?;
        let mut manifest =
            Manifest { schema: Some(MANIFEST_SCHEMA.to_owned()), ..Manifest::default() };
        let left_out = manifest.set_context(planner.context, &planner.masker());
        let (outcomes, owners) = (Vec::new(), HashMap::new());
        Ok(Builder { session, manifest, outcomes, left_out, owners })
    }

    /// Builds the images of an entry as `planner` plans them: all of them, whatever this
    /// host could run.
    pub fn entry(&mut self, planner: &Planner<'_>, model: &Model) {
        let arch = planner.options.target_arch.as_ref();
        let login = model.cred().map_or(Ok(None), |name| planner.credentials.of_entry(name));
        // What its script needs from elsewhere is fetched where it runs.
        let jobs = login.map_err(|e| e.to_string()).and_then(|_| planner.variants(model));
        match jobs {
            Ok(jobs) => jobs.iter().for_each(|job| self.image(job, arch)),
            Err(why) => self.push(failed(model.id(), String::new(), why), &model.name, arch),
        }
    }

    fn image(&mut self, job: &Job, arch: Option<&String>) {
        let Some(spec) = job.container.as_ref() else { return };
        if self.session.cancel.is_cancelled() {
            return;
        }
        let (name, key) = match &spec.image {
            ImageSource::Build(build) => (build.name.clone(), build.name.clone()),
            // madengine's key of an image that it did not build.
            ImageSource::Existing(given) => (given.name.clone(), job.model.name.clone()),
        };
        if let Some(owner) = self.owners.insert(key.clone(), job.id.clone()) {
            let why = format!("{owner} has an image of the same name: rename one of the entries");
            self.push(failed(job.id.clone(), name, why), &job.model.name, arch);
            return;
        }
        let activity = self.session.progress.activity(&job.id, None);
        activity.step(&format!("image {name}"));
        let session = self.session.of(activity.output_only());
        let clock = Instant::now();
        let dir = self.session.dir.path().join(slug(&key));
        let log = dir.join("run.log");
        let prepared = session.engine(job).and_then(|e| session.prepare(job, e, dir));
        let image = prepared.map(|prepared| prepared.image);
        let log = Some(log).filter(|log| log.is_file());
        let seconds = clock.elapsed().as_secs_f64();
        let state = match (&spec.image, &log) {
            (ImageSource::Build(_), Some(_)) => ImageState::Built,
            (ImageSource::Build(_), None) => ImageState::Cached,
            (ImageSource::Existing(_), Some(_)) => ImageState::Pulled,
            (ImageSource::Existing(_), None) => ImageState::Found,
        };
        let outcome = match image {
            Ok(Some(image)) => {
                let id = Some(image.id.clone());
                let built = built_image(job, &image, seconds, log.as_deref());
                let entry = self.entry_of(&job.model);
                self.manifest.add(&key, built, entry);
                ImageOutcome {
                    entry: job.id.clone(),
                    image: name,
                    state,
                    id,
                    seconds,
                    log,
                    reason: None,
                }
            }
            Ok(None) => failed(job.id.clone(), name, "the engine made no image".to_owned()),
            Err(e) => {
                let why = job.masker().mask_str(&format!("{e:#}")).into_owned();
                ImageOutcome { seconds, log, ..failed(job.id.clone(), name, why) }
            }
        };
        match outcome.reason.is_some() {
            true if self.session.cancel.is_cancelled() => activity.end("interrupted", false),
            true => activity.end("failed", true),
            false => activity.end(&outcome.state.to_string(), false),
        }
        self.push(outcome, &job.model.name, arch);
    }

    /// The entry as it goes into the manifest: resolved, without secrets.
    fn entry_of(&mut self, model: &Model) -> Map<String, Value> {
        let mut entry = match model.resolved() {
            Value::Object(entry) => entry,
            _ => Map::new(),
        };
        // Where it stands in this catalog is of no use elsewhere.
        entry.remove("mad");
        if let Some(variables) = entry.get_mut("env_vars").and_then(Value::as_object_mut) {
            let secret: Vec<String> = variables.keys().filter(|n| is_secret(n)).cloned().collect();
            for name in secret {
                variables.shift_remove(&name);
                let note = format!("env_vars.{name} of {}", model.name);
                if !self.left_out.contains(&note) {
                    self.left_out.push(note);
                }
            }
        }
        let required = &mut self.manifest.credentials_required;
        if let Some(cred) = model.cred().filter(|cred| !required.iter().any(|r| r == cred)) {
            required.push(cred.to_owned());
        }
        entry
    }

    fn push(&mut self, outcome: ImageOutcome, model: &str, arch: Option<&String>) {
        if let Some(error) = &outcome.reason {
            self.manifest.summary.failed_builds.push(FailedBuild {
                model: model.to_owned(),
                architecture: arch.cloned(),
                error: error.clone(),
            });
        }
        self.outcomes.push(outcome);
    }

    /// What became of each image so far.
    pub fn outcomes(&self) -> &[ImageOutcome] {
        &self.outcomes
    }

    /// What is not in the manifest because it holds a secret.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// The Run's directory, which the logs are in.
    pub fn dir(&self) -> &RunDir {
        &self.session.dir
    }

    /// Whether it was interrupted.
    pub fn is_cancelled(&self) -> bool {
        self.session.cancel.is_cancelled()
    }

    /// Writes the manifest, if it holds an image. Says whether it did.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<bool> {
        if self.is_cancelled() || self.manifest.built_images.is_empty() {
            return Ok(false);
        }
        self.manifest.write(path).map(|()| true)
    }
}

fn failed(entry: String, image: String, why: String) -> ImageOutcome {
    let reason = Some(why);
    ImageOutcome {
        entry,
        image,
        state: ImageState::Failed,
        id: None,
        seconds: 0.0,
        log: None,
        reason,
    }
}

/// The record of an image.
fn built_image(job: &Job, image: &Image, seconds: f64, log: Option<&Path>) -> BuiltImage {
    let path = |path: &Path| path.display().to_string();
    let digest = image.base_digest.as_deref().and_then(|base| base.split_once('@'));
    let mut built = BuiltImage {
        model: job.model.name.clone(),
        docker_image: image.name.clone(),
        // Podman leaves the name of the hash out.
        image_id: Some(format!("sha256:{}", image.id.trim_start_matches("sha256:"))),
        dockerfile: image.dockerfile.as_deref().map(path).unwrap_or_default(),
        base_docker: image.base.clone().unwrap_or_default(),
        docker_sha: digest.map(|(_, sha)| sha.to_owned()).unwrap_or_default(),
        build_duration: seconds,
        build_command: build_command(job).unwrap_or_default(),
        log_file: log.map(path).unwrap_or_default(),
        ..BuiltImage::default()
    };
    match job.container.as_ref().map(|spec| &spec.image) {
        Some(ImageSource::Build(build)) => {
            built.gpu_vendor.clone_from(&build.gpu_vendor);
            built.gpu_architecture.clone_from(&build.gpu_architecture);
        }
        _ => {
            built.local_image = json!(true);
            built.rest = Map::from_iter([
                ("image_name".to_owned(), json!(image.name)),
                ("build_time".to_owned(), json!(0)),
                ("prebuilt".to_owned(), json!(true)),
            ]);
        }
    }
    built
}
