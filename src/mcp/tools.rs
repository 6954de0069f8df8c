//! The tools: what each takes, and the command line it becomes.
//!
//! An option and its value are one word (`--samples=3`), and what comes after `--` is never an
//! option; so no argument of a tool can become one.

use anyhow::{Result, ensure};
use rmcp::model::ToolAnnotations;
use schemars::{JsonSchema, schema_for};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::bounds::{Bounds, word};

type Object = Map<String, Value>;

/// A command as a tool.
pub(super) struct Tool {
    /// Name of the tool, and of the command.
    pub(super) name: &'static str,
    about: &'static str,
    effect: Effect,
    schema: fn() -> Value,
    line: fn(Object, &Bounds) -> Result<Vec<String>>,
}

/// What a tool may do, as a client asks its user for permission by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Reads; of what is written, nothing but indexes that can be made anew.
    Reads,
    /// Runs entries, or adds files.
    Adds,
}

impl Tool {
    /// As a client lists it.
    pub(super) fn described(&self) -> rmcp::model::Tool {
        let schema = match (self.schema)() {
            Value::Object(schema) => schema,
            _ => Object::new(),
        };
        let hints = ToolAnnotations::new()
            .read_only(self.effect == Effect::Reads)
            .destructive(false)
            .open_world(false);
        let mut tool = rmcp::model::Tool::new(self.name, self.about, schema);
        tool.annotations = Some(hints);
        tool
    }

    /// The arguments of `mad` for a call.
    ///
    /// # Errors
    /// When an argument is unknown, of the wrong type, or names what is out of bounds.
    pub(super) fn argv(&self, args: Object, bounds: &Bounds) -> Result<Vec<String>> {
        for (name, value) in &args {
            let nul = value.as_str().is_some_and(|text| text.contains('\0'));
            ensure!(!nul, "{name} contains a NUL character");
        }
        let mut argv = vec![self.name.to_owned()];
        argv.extend((self.line)(args, bounds)?);
        Ok(argv)
    }
}

/// Arguments of a tool.
trait Arguments: DeserializeOwned + JsonSchema {
    const NAME: &'static str;
    const ABOUT: &'static str;
    const EFFECT: Effect;

    /// As words of the command line.
    fn line(self, bounds: &Bounds) -> Result<Line>;
}

fn tool<A: Arguments>() -> Tool {
    Tool {
        name: A::NAME,
        about: A::ABOUT,
        effect: A::EFFECT,
        schema: || schema_for!(A).to_value(),
        line: |args, bounds| {
            let args: A = serde_path_to_error::deserialize(Value::Object(args))?;
            Ok(args.line(bounds)?.words())
        },
    }
}

/// All of them.
pub(super) fn all() -> Vec<Tool> {
    vec![
        tool::<Discover>(),
        tool::<Validate>(),
        tool::<Benchmark>(),
        tool::<Profile>(),
        tool::<Diagnose>(),
        tool::<Report>(),
        tool::<Compare>(),
        tool::<TuneSearch>(),
        tool::<AddModel>(),
        tool::<History>(),
    ]
}

/// Words of a command line.
#[derive(Default)]
struct Line {
    options: Vec<String>,
    words: Vec<String>,
}

impl Line {
    fn option(mut self, name: &str, value: Option<impl ToString>) -> Line {
        if let Some(value) = value {
            self.options.push(format!("--{name}={}", value.to_string()));
        }
        self
    }

    fn flag(mut self, name: &str, set: bool) -> Line {
        if set {
            self.options.push(format!("--{name}"));
        }
        self
    }

    fn context(self, name: &str, value: Option<&Object>, bounds: &Bounds) -> Result<Line> {
        Ok(self.option(name, value.map(|context| bounds.context(context)).transpose()?))
    }

    fn word(mut self, word: impl Into<String>) -> Line {
        self.words.push(word.into());
        self
    }

    /// Names and tags; behind a colon they have arguments for scripts.
    fn tags(mut self, tags: Vec<String>) -> Result<Line> {
        tags.iter().try_for_each(|tag| word(tag))?;
        self.words.extend(tags);
        Ok(self)
    }

    fn run_dir(self, bounds: &Bounds) -> Line {
        self.option("run-dir", Some(bounds.run_dir.display()))
    }

    fn words(self) -> Vec<String> {
        let mut all = self.options;
        all.push("--".to_owned());
        all.extend(self.words);
        all
    }
}

/// List entries of the catalog.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Discover {
    /// Names, tags, `scope/tag` or `name:arg=value`; all entries without
    #[serde(default)]
    tags: Vec<String>,
}

impl Arguments for Discover {
    const NAME: &'static str = "discover";
    const ABOUT: &'static str = "List the entries of the catalog, as they are resolved.";
    const EFFECT: Effect = Effect::Reads;

    fn line(self, _: &Bounds) -> Result<Line> {
        Line::default().tags(self.tags)
    }
}

/// Check entries without running them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Validate {
    /// Names, tags, `scope/tag` or `name:arg=value`; all entries without
    #[serde(default)]
    tags: Vec<String>,
    /// Warnings are errors
    #[serde(default)]
    deny_warnings: bool,
}

impl Arguments for Validate {
    const NAME: &'static str = "validate";
    const ABOUT: &'static str = "Check entries, their scripts and Dockerfiles without running \
                                 them: would each report a number? Exit status 1: findings.";
    const EFFECT: Effect = Effect::Reads;

    fn line(self, _: &Bounds) -> Result<Line> {
        Line::default().flag("deny-warnings", self.deny_warnings).tags(self.tags)
    }
}

/// Show what would run, or run entries and judge them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Benchmark {
    /// Names, tags, `scope/tag` or `name:arg=value`; needed to run (`all`: every entry)
    #[serde(default)]
    tags: Vec<String>,
    /// Run the entries; without, only show what would run
    #[serde(default)]
    run: bool,
    /// Go on measuring what is in doubt until it is decided
    #[serde(default)]
    until_decided: bool,
    /// Measure entries at the same time where they cannot disturb each other
    #[serde(default)]
    parallel: bool,
    /// Plan for the host that this file of the catalog describes
    machine: Option<String>,
    /// Executions per measurement, instead of what the entry says
    samples: Option<u32>,
    /// Executions thrown away first, instead of what the entry says
    warmup: Option<u32>,
    /// Most executions of an entry, where it is measured until it is decided
    max_samples: Option<u32>,
    /// Begin nothing that only decides once the run is so old: `2h`, `90m`, `300` seconds
    budget: Option<String>,
    /// GPUs per entry, instead of what the entry says (-1: all)
    ngpus: Option<i32>,
    /// End an execution after so many seconds (0: never)
    timeout: Option<f64>,
    /// Settings: `env_vars`, `docker_env_vars`, `model_args`, `gpu_vendor`, `guest_os`,
    /// `docker_gpus`, `docker_cpus`
    additional_context: Option<Object>,
}

impl Arguments for Benchmark {
    const NAME: &'static str = "benchmark";
    const ABOUT: &'static str = "Show what would run, with the exact commands; with `run: true` \
                                 run the entries, judge them against accepted baselines and \
                                 write the results. Exit status 5: a performance regression, \
                                 which is an answer.";
    const EFFECT: Effect = Effect::Adds;

    fn line(self, bounds: &Bounds) -> Result<Line> {
        ensure!(
            !self.run || !self.tags.is_empty(),
            "tags: say what to run; [\"all\"] is every entry"
        );
        let machine = self.machine.map(|path| bounds.inside(&path)).transpose()?;
        Line::default()
            .flag("plan", !self.run)
            .option("until", self.until_decided.then_some("decided"))
            .flag("parallel", self.parallel)
            .option("machine", machine)
            .option("samples", self.samples)
            .option("warmup", self.warmup)
            .option("max-samples", self.max_samples)
            .option("budget", self.budget)
            .option("ngpus", self.ngpus)
            .option("timeout", self.timeout)
            .context("additional-context", self.additional_context.as_ref(), bounds)?
            .run_dir(bounds)
            .tags(self.tags)
    }
}

/// Run an entry once with a profiler attached.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Profile {
    /// The entry
    model: String,
    /// Names of tools of `mad profile --list`; by the entry's GPUs without
    #[serde(default)]
    tools: Vec<String>,
    /// End the execution after so many seconds (0: never)
    timeout: Option<f64>,
}

impl Arguments for Profile {
    const NAME: &'static str = "profile";
    const ABOUT: &'static str = "Run an entry once with a profiler attached, and say what holds \
                                 it back. Its number is no measurement.";
    const EFFECT: Effect = Effect::Adds;

    fn line(self, bounds: &Bounds) -> Result<Line> {
        let tools = (!self.tools.is_empty()).then(|| self.tools.join(","));
        Line::default()
            .option("tool", tools)
            .option("timeout", self.timeout)
            .run_dir(bounds)
            .tags(vec![self.model])
    }
}

/// Say what holds a workload back, from traces that exist.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Diagnose {
    /// A file that a profiler wrote, or a directory with such files, in the catalog or the run
    /// directory
    path: String,
    /// The entry that was profiled: its stack and its own levers count
    model: Option<String>,
}

impl Arguments for Diagnose {
    const NAME: &'static str = "diagnose";
    const ABOUT: &'static str = "Say what holds a workload back, from traces that exist; runs \
                                 nothing.";
    const EFFECT: Effect = Effect::Reads;

    fn line(self, bounds: &Bounds) -> Result<Line> {
        let path = bounds.inside(&self.path)?;
        Ok(Line::default().option("model", self.model).word(path))
    }
}

/// Summarise results, or compare them with earlier ones.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Report {
    /// `latest`, `latest-tuning`, the id of a run or a search, or a perf.csv in the catalog or the
    /// run directory
    #[serde(default = "latest")]
    results: String,
    /// Earlier results to compare them with, likewise
    compare_to: Option<String>,
}

fn latest() -> String {
    "latest".to_owned()
}

impl Arguments for Report {
    const NAME: &'static str = "report";
    const ABOUT: &'static str = "Summarise the results of a run, or compare them with earlier \
                                 ones.";
    const EFFECT: Effect = Effect::Reads;

    fn line(self, bounds: &Bounds) -> Result<Line> {
        let line = Line::default().run_dir(bounds).word(bounds.results(&self.results)?);
        Ok(match self.compare_to {
            Some(earlier) => line.word(bounds.results(&earlier)?),
            None => line,
        })
    }
}

/// Measure two sides in turn, and say which is faster.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Compare {
    /// Names, tags, `scope/tag` or `name:arg=value`
    tags: Vec<String>,
    /// The base is this revision of the catalog's git repository
    base: Option<String>,
    /// The base is this entry
    base_entry: Option<String>,
    /// The base has this context in place of `additional_context`
    base_context: Option<Object>,
    /// Relative change that nobody needs to hear of: `2%` or `0.02`
    min_effect: Option<String>,
    /// Executions thrown away first, instead of what the entry says
    warmup: Option<u32>,
    /// Most executions of an entry on each side [default: 40]
    max_samples: Option<u32>,
    /// Begin nothing that only decides once the run is so old: `2h`, `90m`, `300` seconds
    budget: Option<String>,
    /// GPUs per entry, instead of what the entry says (-1: all)
    ngpus: Option<i32>,
    /// End an execution after so many seconds (0: never)
    timeout: Option<f64>,
    /// Settings: `env_vars`, `docker_env_vars`, `model_args`, `gpu_vendor`, `guest_os`,
    /// `docker_gpus`, `docker_cpus`
    additional_context: Option<Object>,
}

impl Arguments for Compare {
    const NAME: &'static str = "compare";
    const ABOUT: &'static str = "Run the entries on two sides in turn until it is clear which is \
                                 faster. The base differs in one thing: give one of `base`, \
                                 `base_entry`, `base_context`. Exit status 5: slower, which is \
                                 an answer; 1: undecided.";
    const EFFECT: Effect = Effect::Adds;

    fn line(self, bounds: &Bounds) -> Result<Line> {
        ensure!(!self.tags.is_empty(), "tags: say what to compare; [\"all\"] is every entry");
        Line::default()
            .option("base", self.base)
            .option("base-entry", self.base_entry)
            .context("base-context", self.base_context.as_ref(), bounds)?
            .option("min-effect", self.min_effect)
            .option("warmup", self.warmup)
            .option("max-samples", self.max_samples)
            .option("budget", self.budget)
            .option("ngpus", self.ngpus)
            .option("timeout", self.timeout)
            .context("additional-context", self.additional_context.as_ref(), bounds)?
            .run_dir(bounds)
            .tags(self.tags)
    }
}

/// Find a better configuration of an entry.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TuneSearch {
    /// The entry
    model: String,
    /// Measure; without, only show the candidates
    #[serde(default)]
    run: bool,
    /// Candidates at most, 1 to 8 [default: 4]
    candidates: Option<u8>,
    /// What shall become better: `throughput` or `latency` [default: the entry's primary metric]
    target: Option<String>,
    /// Names of tools of `mad profile --list` to find out what holds the entry back
    #[serde(default)]
    profile_tools: Vec<String>,
    /// A trace in the catalog or the run directory to read instead of profiling
    trace: Option<String>,
    /// Try what may change the answer although no metric shows it
    #[serde(default)]
    allow_numerics: bool,
    /// Smallest gain that counts: `2%` or `0.02` [default: 2%]
    min_effect: Option<String>,
    /// Most executions of each side of a comparison
    max_samples: Option<u32>,
    /// Begin nothing further once the search is so old: `2h`, `90m`, `300` seconds
    budget: Option<String>,
    /// Go on with this search, which ended early
    resume: Option<String>,
    /// GPUs of an execution, instead of what the entry says (-1: all)
    ngpus: Option<i32>,
    /// End an execution after so many seconds (0: never)
    timeout: Option<f64>,
    /// Settings: `env_vars`, `docker_env_vars`, `model_args`, `gpu_vendor`, `guest_os`,
    /// `docker_gpus`, `docker_cpus`
    additional_context: Option<Object>,
}

impl Arguments for TuneSearch {
    const NAME: &'static str = "tune-search";
    const ABOUT: &'static str = "Show which changes may make an entry better, and why; with \
                                 `run: true` measure each in turn with the entry as it is, and \
                                 again what looks better. Nothing is edited. Recommends only \
                                 what holds; that nothing does is an answer.";
    const EFFECT: Effect = Effect::Adds;

    fn line(self, bounds: &Bounds) -> Result<Line> {
        let tools = (!self.profile_tools.is_empty()).then(|| self.profile_tools.join(","));
        let trace = self.trace.map(|path| bounds.inside(&path)).transpose()?;
        let resume = self.resume.as_deref().map(|id| bounds.search(id)).transpose()?;
        Line::default()
            .flag("plan", !self.run)
            .option("candidates", self.candidates)
            .option("target", self.target)
            .option("profile-tool", tools)
            .option("trace", trace)
            .flag("allow-numerics", self.allow_numerics)
            .option("min-effect", self.min_effect)
            .option("max-samples", self.max_samples)
            .option("budget", self.budget)
            .option("resume", resume)
            .option("ngpus", self.ngpus)
            .option("timeout", self.timeout)
            .context("additional-context", self.additional_context.as_ref(), bounds)?
            .run_dir(bounds)
            .tags(vec![self.model])
    }
}

/// Add an entry, with a Dockerfile and a script that runs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AddModel {
    /// Name, by convention framework_project_workload
    name: String,
    /// Repository to clone before the script runs, or the page of a model on huggingface.co;
    /// begins with `https://`
    url: Option<String>,
    /// Make it after this entry instead of the nearest one
    from: Option<String>,
    /// What to write at the head of the script
    notes: Option<String>,
    /// Write the files; without, only show them
    #[serde(default)]
    write: bool,
}

impl Arguments for AddModel {
    const NAME: &'static str = "add-model";
    const ABOUT: &'static str = "Show a new entry after the nearest one, with a Dockerfile and a \
                                 script that runs; with `write: true` write it, all or nothing.";
    const EFFECT: Effect = Effect::Adds;

    fn line(self, _: &Bounds) -> Result<Line> {
        let url = self.url.as_deref().unwrap_or("https://");
        ensure!(url.starts_with("https://"), "url: it must begin with https://");
        Ok(Line::default()
            .option("url", self.url)
            .option("from", self.from)
            .option("notes", self.notes)
            .flag("dry-run", !self.write)
            .word(self.name))
    }
}

/// Past runs, and what changed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct History {
    /// The entry, or one variant of it (`name:arg=value`); all without
    model: Option<String>,
    /// Measurements to show one by one, the newest
    last: Option<u32>,
}

impl Arguments for History {
    const NAME: &'static str = "history";
    const ABOUT: &'static str = "Past runs of an entry: level, trend, and when it changed.";
    const EFFECT: Effect = Effect::Reads;

    fn line(self, bounds: &Bounds) -> Result<Line> {
        let line = Line::default().option("last", self.last).run_dir(bounds);
        Ok(self.model.into_iter().fold(line, Line::word))
    }
}
