//! `mad build`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::Args;
use indexmap::IndexSet;
use serde_json::{Value, json};

use super::{Exit, Global, print, print_json, select, whole_catalog};
use crate::catalog::Model;
use crate::engine::Cancel;
use crate::engine::container::{Containers, build_command};
use crate::machine::Machine;
use crate::options::{Context, EngineKind, ImageOptions, RunOptions};
use crate::plan::{ImageSource, Planner};
use crate::results::Table;
use crate::run::{Builder, ImageOutcome};

/// Build images, and write down which for `mad benchmark --manifest`.
#[derive(Args, Debug)]
#[command(after_help = "\
Needs no GPU. Images are for AMD GPUs unless the context says otherwise (gpu_vendor).
The manifest is madengine's build_manifest.json, without secrets.

Examples:
  mad build                                  the images of all entries that have Dockerfiles
  mad build vllm -a gfx90a,gfx942            one image per architecture
  mad build -c '{\"gpu_vendor\": \"NVIDIA\"}'    for NVIDIA GPUs
  mad build vllm --plan                      the commands, and nothing is built
  mad benchmark --manifest build_manifest.json   on the host with the GPUs")]
pub(super) struct Build {
    /// Names, tags or `scope/tag`; all entries that have Dockerfiles without
    #[arg(value_name = "TAG")]
    words: Vec<String>,
    /// The same, comma-separated
    #[arg(long, short, value_name = "TAG", env = "MAD_TAGS", value_delimiter = ',')]
    tags: Vec<String>,
    /// Write the manifest to this file
    #[arg(long, short, value_name = "FILE", default_value = "build_manifest.json")]
    manifest_output: PathBuf,
    /// Build an image for each of these GPU architectures; repeatable, comma-separated
    #[arg(
        long,
        short = 'a',
        visible_alias = "target-archs",
        value_name = "ARCH",
        env = "MAD_TARGET_ARCH",
        value_delimiter = ',',
        conflicts_with = "use_image"
    )]
    target_arch: Vec<String>,
    /// Context as JSON or as a Python literal
    #[arg(
        long,
        short = 'c',
        value_name = "JSON",
        env = "MAD_ADDITIONAL_CONTEXT",
        hide_env_values = true
    )]
    additional_context: Option<String>,
    /// Context as a JSON file; --additional-context overlays it key by key
    #[arg(long, short = 'f', value_name = "FILE", env = "MAD_ADDITIONAL_CONTEXT_FILE")]
    additional_context_file: Option<PathBuf>,
    #[command(flatten)]
    images: ImageOptions,
    /// Show what the builds print
    #[arg(long, short = 'l')]
    live_output: bool,
    /// Print the commands; build nothing
    #[arg(long, visible_aliases = ["no-execute", "dry-run"])]
    plan: bool,
    /// Where logs and records go
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    run_dir: PathBuf,
}

impl Build {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let options = RunOptions {
            additional_context: self.additional_context.clone(),
            additional_context_file: self.additional_context_file.clone(),
            images: self.images.clone(),
            live_output: self.live_output,
            run_dir: self.run_dir.clone(),
            // Images are built whatever is to run them.
            engine: Some(EngineKind::Container),
            ..RunOptions::default()
        };
        let context = Context::load(&options)?;
        let catalog = match whole_catalog(global)? {
            Ok(catalog) => catalog,
            Err(exit) => return Ok(exit),
        };
        let models = self.models(select(catalog, &self.words, &self.tags)?)?;
        // What this host has is no reason to build one image rather than another.
        let mut machine = Machine::cached(&self.run_dir.join("cache"));
        machine.gpus.clear();
        let variants = self.variants(options.clone());
        let credentials = super::credentials(global)?;
        let planner = Planner::for_process(catalog, machine, options, context, credentials);
        let planners: Vec<Planner<'_>> =
            variants.iter().map(|options| Planner { options, ..planner }).collect();
        if models.is_empty() {
            eprintln!("error: nothing to build: no entry has a `dockerfile`");
            return Ok(Exit::NoMatch);
        }
        if self.plan {
            return print_plan(global, &planners, &models);
        }
        self.build(global, &planners, &models)
    }

    /// The options for each architecture that is asked for, once.
    fn variants(&self, options: RunOptions) -> Vec<RunOptions> {
        let archs = self.target_arch.iter().map(|arch| arch.trim()).filter(|a| !a.is_empty());
        let archs: IndexSet<&str> = archs.collect();
        if archs.is_empty() {
            return vec![options];
        }
        let variant =
            |arch: &str| RunOptions { target_arch: Some(arch.to_owned()), ..options.clone() };
        archs.into_iter().map(variant).collect()
    }

    /// The entries to build images of.
    fn models(&self, mut models: Vec<Model>) -> Result<Vec<Model>> {
        if let Some(model) = models.iter().find(|m| !m.extra_args.is_empty()) {
            let (id, name) = (model.id(), &model.name);
            bail!(
                "{id}: arguments are for the run, not for the image: `mad build {name}`, then \
                 `mad benchmark --manifest {} {id}`",
                self.manifest_output.display()
            );
        }
        // Who asks for an entry by tag shall hear that it has no image; of a whole catalog,
        // those that run without one are nobody's mistake.
        if self.words.is_empty() && self.tags.is_empty() && self.images.use_image.is_none() {
            models.retain(|model| model.dockerfile().is_some());
        }
        Ok(models)
    }

    fn build(&self, global: &Global, planners: &[Planner<'_>], models: &[Model]) -> Result<Exit> {
        check_writable(&self.manifest_output)?;
        if let Err(why) = Containers::here(self.images.container_engine) {
            eprintln!("error: no container engine answers: {why}");
            return Ok(Exit::NoMatch);
        }
        let cancel = Cancel::default();
        cancel.on_signals()?;
        let progress = super::progress(global, self.live_output);
        let mut builder = Builder::open(planners[0], cancel, progress.clone())?;
        let both = || models.iter().flat_map(|m| planners.iter().map(move |p| (m, p)));
        let images = both().map(|(m, p)| p.variants(m).map_or(0, |jobs| jobs.len())).sum();
        let whole = progress.whole(images);
        both().for_each(|(model, planner)| builder.entry(planner, model));
        drop(whole);
        let written = builder.write(&self.manifest_output)?;
        let complete = builder.outcomes().iter().all(|o| o.reason.is_none());
        let exit = if complete && written { Exit::Ok } else { Exit::NoMatch };
        if builder.is_cancelled() {
            eprintln!("error: interrupted");
        }
        if !builder.left_out().is_empty() {
            eprintln!(
                "warning: not in the manifest, because they hold secrets: {}; set them where it runs",
                builder.left_out().join(", ")
            );
        }
        let manifest = written.then_some(&self.manifest_output);
        if global.json {
            print_json(&json!({
                "schema": "mad-build/1",
                "run": builder.dir().id,
                "exit": exit.code(),
                "manifest": manifest,
                "images": builder.outcomes(),
                "left_out": builder.left_out(),
            }))?;
        } else {
            print(&text(builder.outcomes()))?;
            match manifest {
                Some(path) => print(&format!("\nmanifest: {}\n", path.display()))?,
                None => print("\nno manifest was written\n")?,
            }
            print(&format!("logs: {}\n", builder.dir().path().display()))?;
        }
        Ok(exit)
    }
}

/// Before hours are spent on images that nobody could be told of.
fn check_writable(path: &Path) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(
        dir.is_dir(),
        "--manifest-output {}: there is no directory {}",
        path.display(),
        dir.display()
    );
    ensure!(!path.is_dir(), "--manifest-output {} is a directory", path.display());
    Ok(())
}

fn text(outcomes: &[ImageOutcome]) -> String {
    let mut table = Table::new(["ENTRY", "IMAGE", "ID", "SECONDS", "STATE", "LOG"]);
    let mut words = String::new();
    for outcome in outcomes {
        let id = outcome.id.as_deref().unwrap_or("-");
        let log = outcome.log.as_ref().map_or("-".to_owned(), |log| log.display().to_string());
        table.row([
            outcome.entry.clone(),
            if outcome.image.is_empty() { "-".to_owned() } else { outcome.image.clone() },
            // As the engines' own tables show it.
            id.trim_start_matches("sha256:").chars().take(12).collect(),
            format!("{:.1}", outcome.seconds),
            outcome.state.to_string(),
            log,
        ]);
        if let Some(reason) = &outcome.reason {
            let reason = reason.replace('\n', "\n    ");
            words.push_str(&format!("\n{}\n    {reason}\n", outcome.entry));
        }
    }
    format!("{table}{words}")
}

/// `--plan`: the image of each entry and the command that builds it.
fn print_plan(global: &Global, planners: &[Planner<'_>], models: &[Model]) -> Result<Exit> {
    let mut exit = Exit::Ok;
    let (mut text, mut plans) = (String::new(), Vec::new());
    for (model, planner) in models.iter().flat_map(|m| planners.iter().map(move |p| (m, p))) {
        let jobs = planner.variants(model).unwrap_or_else(|why| {
            exit = Exit::NoMatch;
            text.push_str(&format!("no image {}\n           {why}\n", model.id()));
            plans.push(json!({ "entry": model.id(), "image": Value::Null, "reason": why }));
            Vec::new()
        });
        for job in jobs {
            let Some(spec) = &job.container else { continue };
            let (verb, image) = match &spec.image {
                ImageSource::Build(build) => ("build", &build.name),
                ImageSource::Existing(given) => ("use", &given.name),
            };
            let command = build_command(&job);
            text.push_str(&format!("{verb:<8} {image}  ({})\n", job.id));
            if let Some(line) = &command {
                text.push_str(&format!("           {line}\n"));
            }
            plans.push(json!({ "entry": job.id, "image": image, "command": command }));
        }
    }
    if global.json {
        print_json(&json!({ "schema": "mad-build-plan/1", "images": plans }))?;
    } else {
        print(&text)?;
    }
    Ok(exit)
}
