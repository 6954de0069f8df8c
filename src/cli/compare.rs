//! `mad compare`.

use anyhow::{Result, bail, ensure};
use clap::{ArgGroup, Args, ValueEnum};
use serde_json::json;

use super::{Exit, Global, plan, print, print_json, select, whole};
use crate::catalog::{Catalog, Model};
use crate::compare::{self, Comparison, Entry, Origin, Outcome, Settings, Sides, Stop};
use crate::engine::Cancel;
use crate::machine::Machine;
use crate::options::{Context, EngineKind, RunOptions};
use crate::plan::Planner;
use crate::record::{self, RunDir};
use crate::run::inputs;
use crate::source::worktree::{Checkout, Worktree};

/// Executions of an entry on each side, where nobody says otherwise.
pub(super) const MAX_SAMPLES: u32 = 40;
/// Share of comparisons of equal sides that may call anything different, where nobody says
/// otherwise: the gate's.
pub(super) const FALSE_ALARMS: f64 = 0.01;

/// Measure two sides in turn, and say which is faster.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("side").required(true)
    .args(["base", "base_image", "base_entry", "base_context"])))]
#[command(after_help = "\
The candidate is what `mad benchmark` would run now, with the same flags; the base differs
from it in one thing. Both are executed in turn until it is clear which is faster, whatever
the machine does meanwhile. No perf.csv, baseline or history is written.

Exit status:
  0 faster or the same · 1 undecided, or nothing was compared · 2 build failure, or no such
  entry · 3 a run failed, or was interrupted · 4 invalid arguments · 5 slower

Examples:
  mad compare --base main rust_gemm           the working tree against a branch
  mad compare --base HEAD~3 cpu --budget 2h   all entries with a tag, for two hours at most
  mad compare --base-image rocm/vllm:old --use-image rocm/vllm:new pyt_vllm
  mad compare --base-entry rust_gemm rust_gemm_tiled
  mad compare --base-context \"{'env_vars': {'OMP_NUM_THREADS': '1'}}\" rust_gemm
  mad compare --base main cpu --format markdown >> \"$GITHUB_STEP_SUMMARY\"")]
pub(super) struct Compare {
    /// Names, tags, `scope/tag` or `name:arg=value`; all entries without
    #[arg(value_name = "TAG")]
    words: Vec<String>,
    /// The base is this revision of the catalog's git repository
    #[arg(long, value_name = "REV", help_heading = "Base")]
    base: Option<String>,
    /// The base runs in this image
    #[arg(long, value_name = "IMAGE", help_heading = "Base")]
    base_image: Option<String>,
    /// The base is this entry
    #[arg(long, value_name = "NAME", help_heading = "Base")]
    base_entry: Option<String>,
    /// The base has this context in place of --additional-context
    #[arg(long, value_name = "JSON", help_heading = "Base")]
    base_context: Option<String>,
    /// Relative change that nobody needs to hear of: `2%` or `0.02` [default: the tolerance of
    /// each metric]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_effect: Option<f64>,
    /// Order of the executions, to repeat an earlier one
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    options: RunOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Json,
}

impl Compare {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let options = &self.options;
        ensure!(!options.skip_model_run, "--skip-model-run leaves nothing to compare");
        ensure!(
            options.manifest.is_none() || self.base.is_none() && self.base_image.is_none(),
            "--manifest says which images run: there is no other base than an entry or a context"
        );
        let cancel = Cancel::default();
        cancel.on_signals()?;
        let (catalog, context) = inputs(&global.root, options)?;
        // For the rest of the process, as in `load`.
        let catalog = match whole(Box::leak(Box::new(catalog))) {
            Ok(catalog) => catalog,
            Err(exit) => return Ok(exit),
        };
        let models = select(catalog, &self.words, &options.tags)?;
        let run = record::run_id();
        let revision = match &self.base {
            Some(revision) => Some(self.check_out(global, revision, &run, &cancel)?),
            None => None,
        };
        let base_catalog = match &revision {
            Some((worktree, _)) => match whole(Box::leak(Box::new(Catalog::load(worktree.root()))))
            {
                Ok(catalog) => catalog,
                Err(exit) => {
                    eprintln!("error: that is the catalog of the base");
                    return Ok(exit);
                }
            },
            None => catalog,
        };
        let base_options = self.base_options();
        let base_context = match &self.base_context {
            Some(_) => Context::load(&base_options)?,
            None => context.clone(),
        };
        let cache = options.run_dir.join("cache");
        let machine = Machine::described_or_here(options.machine.as_deref(), &cache)?;
        let credentials = super::credentials(global)?;
        let planner = |catalog, options, context| {
            Planner::for_process(catalog, machine.clone(), options, context, credentials.clone())
        };
        let sides = Sides {
            base: planner(base_catalog, base_options, base_context),
            candidate: planner(catalog, options.clone(), context),
        };
        let entries = self.entries(&sides, models)?;
        if entries.iter().all(|e| e.base.is_none()) {
            let names: Vec<String> = entries.iter().map(|e| e.candidate.id()).collect();
            eprintln!("error: the base has no entry {}", names.join(", "));
            return Ok(Exit::NoMatch);
        }
        let (base, candidate, mut notes) = self.origins(revision.as_ref());
        notes.extend(self.only_in_base(&sides, &entries));
        let settings = self.settings(catalog, &run, global);
        if options.plan {
            return plan(global, &sides, &entries, &settings, &base, &candidate);
        }
        let dir = RunDir::open_comparison(&options.run_dir, &run)?;
        let done =
            compare::compare(&dir, sides, (base, candidate), notes, &entries, &settings, &cancel)?;
        self.print(global, &done)?;
        if !global.json && self.format == Format::Text {
            print(&format!("records: {}\n", dir.path().display()))?;
        }
        Ok(exit_of(&done))
    }

    fn print(&self, global: &Global, done: &Comparison) -> Result<()> {
        match self.format {
            _ if global.json => print_json(&serde_json::to_value(done)?),
            Format::Json => print_json(&serde_json::to_value(done)?),
            Format::Markdown => print(&compare::markdown(done)),
            Format::Text => print(&compare::text(done)),
        }
    }

    /// The base of `--base`, and what both sides are.
    fn check_out(
        &self,
        global: &Global,
        revision: &str,
        run: &str,
        cancel: &Cancel,
    ) -> Result<(Worktree, [Origin; 2])> {
        let checkout = Checkout::around(&global.root)?;
        let commit = checkout.commit(revision)?;
        let head = checkout.commit("HEAD")?;
        let uncommitted = checkout.uncommitted()?;
        let cancelled = || cancel.is_cancelled();
        let worktree = checkout.worktree(&commit, &self.options.run_dir, run, &cancelled)?;
        let base = Origin {
            what: format!("{revision} ({} {})", commit.short, commit.subject),
            commit: Some(commit.id),
            dirty: false,
        };
        let (changed, untracked) = (uncommitted.changed, uncommitted.untracked);
        let state = match changed + untracked {
            0 => "nothing uncommitted".to_owned(),
            _ => format!("uncommitted: {changed} changed, {untracked} untracked"),
        };
        let candidate = Origin {
            what: format!("the working tree at {} ({state})", head.short),
            commit: Some(head.id),
            dirty: changed + untracked > 0,
        };
        Ok((worktree, [base, candidate]))
    }

    /// What both sides are, and what to say about that.
    fn origins(&self, revision: Option<&(Worktree, [Origin; 2])>) -> (Origin, Origin, Vec<String>) {
        let origin = |what: String| Origin { what, ..Origin::default() };
        if let Some((worktree, [base, candidate])) = revision {
            let mut notes = worktree.notes().to_vec();
            if base.commit == candidate.commit && !candidate.dirty {
                notes.push("both sides are the same commit".to_owned());
            }
            return (base.clone(), candidate.clone(), notes);
        }
        let (base, candidate) = match (&self.base_image, &self.base_entry) {
            (Some(image), _) => {
                let own = || "the image of the entry".to_owned();
                let used = self.options.images.use_image.as_ref();
                (format!("the image {image}"), used.map_or_else(own, |i| format!("the image {i}")))
            }
            (_, Some(entry)) => (format!("the entry {entry}"), "the entry below".to_owned()),
            _ => ("with the context of --base-context".to_owned(), "without it".to_owned()),
        };
        (origin(base), origin(candidate), Vec::new())
    }

    fn base_options(&self) -> RunOptions {
        let mut options = self.options.clone();
        if let Some(image) = &self.base_image {
            options.images.use_image = Some(image.clone());
        }
        if let Some(context) = &self.base_context {
            options.additional_context = Some(context.clone());
        }
        options
    }

    /// The entries with their counterparts.
    fn entries(&self, sides: &Sides<'_>, models: Vec<Model>) -> Result<Vec<Entry>> {
        if let Some(name) = &self.base_entry {
            let base = sides.base.catalog.select(&[name])?;
            let ([base], [candidate]) = (&base[..], &models[..]) else {
                bail!(
                    "--base-entry compares one entry with one other: {name} means {}, the \
                     candidate {}",
                    base.len(),
                    models.len()
                );
            };
            return Ok(vec![Entry { base: Some(base.clone()), candidate: candidate.clone() }]);
        }
        if self.base_image.is_some() {
            let on_host = models.iter().find(|m| {
                let engine = sides.candidate.engine(m);
                !matches!(engine, EngineKind::Container | EngineKind::Madengine)
            });
            if let Some(model) = on_host {
                bail!("{} runs without a container: --base-image changes nothing", model.id());
            }
        }
        let with_base = |candidate: Model| {
            let found = sides.base.catalog.models.iter().find(|m| m.name == candidate.name);
            // The same arguments as were asked for.
            let mut base = found.cloned();
            if let Some(base) = &mut base {
                base.extra_args.clone_from(&candidate.extra_args);
            }
            Entry { base, candidate }
        };
        Ok(models.into_iter().map(with_base).collect())
    }

    /// Entries that were selected and are gone.
    fn only_in_base(&self, sides: &Sides<'_>, entries: &[Entry]) -> Vec<String> {
        let words: Vec<&String> = self.words.iter().chain(&self.options.tags).collect();
        let kept = |m: &Model| sides.candidate.catalog.models.iter().any(|c| c.name == m.name);
        let known = |m: &Model| entries.iter().any(|e| e.candidate.name == m.name);
        let gone = sides.base.catalog.select_present(&words).into_iter();
        gone.filter(|m| !known(m) && !kept(m))
            .map(|m| format!("only the base has the entry {}", m.name))
            .collect()
    }

    fn settings(&self, catalog: &Catalog, run: &str, global: &Global) -> Settings {
        Settings {
            seed: self.seed.unwrap_or_else(|| compare::seed_of(run)),
            min_effect: self.min_effect,
            max_samples: self.options.max_samples.unwrap_or(MAX_SAMPLES),
            budget: self.options.budget,
            false_alarms: catalog.config.gate.false_alarms.unwrap_or(FALSE_ALARMS),
            progress: super::progress(global, self.options.live_output),
            watched: Vec::new(),
        }
    }
}

/// Prints what would be executed.
fn plan(
    global: &Global,
    sides: &Sides<'_>,
    entries: &[Entry],
    settings: &Settings,
    base: &Origin,
    candidate: &Origin,
) -> Result<Exit> {
    let bases: Vec<Model> = entries.iter().filter_map(|e| e.base.clone()).collect();
    let candidates: Vec<Model> = entries.iter().map(|e| e.candidate.clone()).collect();
    let (base_exit, base_text, base_plans) = plan::plans(&sides.base, &bases);
    let (exit, text, plans) = plan::plans(&sides.candidate, &candidates);
    if global.json {
        print_json(&json!({
            "schema": "mad-compare-plan/1",
            "base": { "origin": base, "plans": base_plans },
            "candidate": { "origin": candidate, "plans": plans },
            "max_samples": settings.max_samples,
            "budget_s": settings.budget.map(|b| b.as_secs_f64()),
            "seed": settings.seed,
        }))?;
    } else {
        let budget = settings.budget.map(|b| format!(", for {} s", b.as_secs_f64()));
        print(&format!(
            "base: {}\n{base_text}candidate: {}\n{text}\
             in turn, in blocks of two executions of each side, until it is decided: 6 to {} on \
             each side{} (seed {})\n",
            base.what,
            candidate.what,
            settings.max_samples.max(6),
            budget.unwrap_or_default(),
            settings.seed
        ))?;
    }
    Ok(base_exit.max(exit))
}

/// The exit status. An open question is no "yes": a pipeline that asked whether something
/// became slower must not go on as if the answer was no.
fn exit_of(done: &Comparison) -> Exit {
    let failures = done.entries.iter().filter_map(|e| e.failure.as_ref());
    let failed = failures.map(|f| if f.build { Exit::NoMatch } else { Exit::RunFailed }).max();
    let mut exit = failed.unwrap_or_default();
    if done.stopped == Some(Stop::Interrupted) {
        exit = exit.max(Exit::RunFailed);
    }
    if done.count(Outcome::Slower) > 0 {
        exit = exit.max(Exit::Regression);
    }
    if done.is_open() || !done.compared() {
        exit = exit.max(Exit::Findings);
    }
    exit
}

/// Reads `2%` or `0.02`.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let text = text.trim();
    let (number, unit) = match text.strip_suffix('%') {
        Some(number) => (number.trim_end(), 100.0),
        None => (text, 1.0),
    };
    match number.parse::<f64>().map(|n| n / unit) {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share such as 2% or 0.02, from 0 to below 1".to_owned()),
    }
}
