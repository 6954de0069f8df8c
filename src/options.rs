//! The flags of everything that runs, with their environment forms: one definition
//! for `mad` and for the test target.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use clap::builder::FalseyValueParser;
use clap::builder::Resettable;
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use crate::catalog::Count;
use crate::validate::python;

/// What runs the scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EngineKind {
    /// Picked per entry.
    #[default]
    Auto,
    /// On this host, without a container.
    Host,
    /// Docker or Podman.
    Container,
    /// A Slurm cluster.
    Slurm,
    /// The madengine program.
    Madengine,
}

impl std::fmt::Display for EngineKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            EngineKind::Auto => "auto",
            EngineKind::Host => "host",
            EngineKind::Container => "container",
            EngineKind::Slurm => "slurm",
            EngineKind::Madengine => "madengine",
        })
    }
}

/// Which program runs containers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ContainerProgram {
    /// Docker if it answers, else Podman.
    #[default]
    Auto,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

/// How entries are run and judged.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Benchmark options")]
pub struct RunOptions {
    /// Entries to select: names, tags, `scope/tag` or `name:arg=value`;
    /// repeatable, comma-separated
    #[arg(long = "tags", short = 't', value_name = "TAG", env = "MAD_TAGS", value_delimiter = ',')]
    pub tags: Vec<String>,

    /// Context as JSON or as a Python literal
    #[arg(
        long,
        short = 'c',
        value_name = "JSON",
        env = "MAD_ADDITIONAL_CONTEXT",
        hide_env_values = true
    )]
    pub additional_context: Option<String>,

    /// Context as a JSON file; --additional-context overlays it key by key
    #[arg(long, short = 'f', value_name = "FILE", env = "MAD_ADDITIONAL_CONTEXT_FILE")]
    pub additional_context_file: Option<PathBuf>,

    /// GPUs per entry, instead of what the entry says (-1: all)
    #[arg(long, value_name = "N", env = "MAD_NGPUS", allow_negative_numbers = true)]
    pub ngpus: Option<Count>,

    /// End an execution after S seconds (0: never; -1: what the entry says)
    #[arg(
        long,
        value_name = "S",
        env = "MAD_TIMEOUT",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    pub timeout: Option<f64>,

    /// Seconds between SIGTERM and SIGKILL for a script that is ended
    #[arg(long, value_name = "S", env = "MAD_KILL_GRACE", default_value = "10", value_parser = grace)]
    pub kill_grace: f64,

    /// Append result rows to this file
    #[arg(long, short = 'o', value_name = "FILE", env = "MAD_OUTPUT", default_value = "perf.csv")]
    pub output: PathBuf,

    /// Show what the scripts print while they run
    #[arg(long, short = 'l', env = "MAD_LIVE_OUTPUT", value_parser = flag())]
    pub live_output: bool,

    /// What runs the scripts
    #[arg(long, value_enum, env = "MAD_ENGINE", ignore_case = true)]
    pub engine: Option<EngineKind>,

    /// Executions per measurement, instead of what the entry says
    #[arg(long, value_name = "N", env = "MAD_SAMPLES", value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: Option<u32>,

    /// Executions thrown away first, instead of what the entry says
    #[arg(long, value_name = "N", env = "MAD_WARMUP")]
    pub warmup: Option<u32>,

    /// Resolve, gate and print the exact commands; run nothing
    #[arg(long, visible_aliases = ["no-execute", "dry-run"], env = "MAD_PLAN", value_parser = flag())]
    pub plan: bool,

    /// Plan for the host described in this file instead of this one
    #[arg(long, value_name = "FILE", env = "MAD_MACHINE")]
    pub machine: Option<PathBuf>,

    /// Keep the private work directory of every execution, and its container
    #[arg(long, env = "MAD_KEEP_ALIVE", value_parser = flag())]
    pub keep_alive: bool,

    /// Which container engine runs entries that have a Dockerfile
    #[arg(
        long,
        value_enum,
        env = "MAD_CONTAINER_ENGINE",
        default_value = "auto",
        ignore_case = true
    )]
    pub container_engine: ContainerProgram,

    /// Run in this image instead of building one (auto: the entry's DOCKER_IMAGE_NAME)
    #[arg(long, value_name = "IMAGE", env = "MAD_USE_IMAGE")]
    pub use_image: Option<String>,

    /// Where data sets are described, instead of data.json in the catalog
    #[arg(long, value_name = "FILE", env = "MAD_DATA_CONFIG")]
    pub data_config: Option<PathBuf>,

    /// Keep data sets below this directory, wherever their descriptions would have them
    #[arg(long, value_name = "DIR", env = "MAD_FORCE_MIRROR_LOCAL")]
    pub force_mirror_local: Option<PathBuf>,

    /// Build images from scratch and pull their base images anew
    #[arg(long, visible_alias = "clean-docker-cache", env = "MAD_CLEAN", value_parser = flag())]
    pub clean: bool,

    /// Build for this GPU architecture instead of this host's
    #[arg(long, value_name = "ARCH", env = "MAD_TARGET_ARCH")]
    pub target_arch: Option<String>,

    /// Hand secrets to Dockerfiles that take them as build arguments; the image's history
    /// keeps them
    #[arg(long, env = "MAD_SECRETS_AS_BUILD_ARGS", value_parser = flag())]
    pub secrets_as_build_args: bool,

    /// Run the scripts before and after the model's, and not the model
    #[arg(long, env = "MAD_SKIP_MODEL_RUN", value_parser = flag())]
    pub skip_model_run: bool,

    /// Run also where the entry's skip_gpu_arch names this host's GPUs
    #[arg(long, env = "MAD_DISABLE_SKIP_GPU_ARCH", value_parser = flag())]
    pub disable_skip_gpu_arch: bool,

    /// A skip for want of hardware is a failure
    #[arg(long, env = "MAD_REQUIRE_GPU", value_parser = flag())]
    pub require_gpu: bool,

    /// A skip for want of a container engine is a failure
    #[arg(long, env = "MAD_REQUIRE_CONTAINERS", value_parser = flag())]
    pub require_containers: bool,

    /// A missing baseline is a failure
    #[arg(long, env = "MAD_REQUIRE_BASELINE", value_parser = flag())]
    pub require_baseline: bool,

    /// Where runs, logs and records go
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    pub run_dir: PathBuf,
}

/// Variables that steer the harness and are no flag of a run.
const STEERING: [&str; 3] = ["MAD_ROOT", "MAD_LEASE_DIR", "MAD_ACCEPTED_BY"];

/// Parses `args` by the command line of `P`. A variable that is set to nothing, as CI
/// systems do with what was left blank, counts as not set.
///
/// # Errors
/// clap's, help and version texts included.
pub fn parse<P: clap::Parser>(args: impl Iterator<Item = OsString>) -> Result<P, clap::Error> {
    let mut command = without_blank_variables(P::command());
    let mut matches = command.try_get_matches_from_mut(args)?;
    P::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command))
}

fn without_blank_variables(command: clap::Command) -> clap::Command {
    let blank = |arg: &clap::Arg| {
        arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty())
    };
    command
        .mut_args(|arg| if blank(&arg) { arg.env(Resettable::Reset) } else { arg })
        .mut_subcommands(without_blank_variables)
}

/// Names of the variables that steer the harness: the environment forms of the flags,
/// and a few more. Scripts do not see them.
pub fn variables() -> &'static [String] {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let command = RunOptions::augment_args(clap::Command::new("options"));
        let names = command.get_arguments().filter_map(|a| a.get_env()?.to_str());
        names.chain(STEERING).map(str::to_owned).collect()
    })
}

/// How the environment form of a flag is read: `1`, `yes`, `true`… set it; `0`, `no`,
/// `false`, `off` and nothing do not.
fn flag() -> FalseyValueParser {
    FalseyValueParser::new()
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(s) if s.is_finite() && (s >= 0.0 || s == -1.0) => Ok(s),
        _ => Err("expected seconds: 0 or more, or -1 for the entry's own limit".to_owned()),
    }
}

fn grace(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(s) if (0.0..=3600.0).contains(&s) => Ok(s),
        _ => Err("expected seconds from 0 to 3600".to_owned()),
    }
}

/// `additional_context`: what the user adds to every entry.
#[derive(Clone, Debug, Default)]
pub struct Context(pub Map<String, Value>);

/// Keys that change what is executed and that only later engines can honour.
const NOT_ON_HOST: [&str; 4] = ["tools", "pre_scripts", "post_scripts", "encapsulate_script"];

impl Context {
    /// Reads the context of `options`: the file first, the text over it.
    ///
    /// # Errors
    /// When one of them cannot be read, is not an object, or holds a value of the
    /// wrong type.
    pub fn load(options: &RunOptions) -> Result<Context> {
        let mut map = Map::new();
        if let Some(file) = &options.additional_context_file {
            let place = || format!("--additional-context-file {}", file.display());
            let text = std::fs::read_to_string(file).with_context(place)?;
            let value: Value = serde_json::from_str(&text).with_context(place)?;
            overlay(&mut map, value).with_context(place)?;
        }
        if let Some(text) = options.additional_context.as_deref().filter(|t| !t.trim().is_empty()) {
            let value = match serde_json::from_str(text) {
                Ok(value) => value,
                Err(json) => match python::parse_literal(text) {
                    Ok(value) => value,
                    Err(python) => bail!(
                        "--additional-context is neither JSON ({json}) nor a Python literal ({python})"
                    ),
                },
            };
            overlay(&mut map, value).context("--additional-context")?;
        }
        let context = Context(map);
        context.check()?;
        Ok(context)
    }

    /// The value of `key` as text, numbers included.
    pub fn text(&self, key: &str) -> Option<String> {
        scalar_text(self.0.get(key)?)
    }

    /// Items of the object `key`, values as text.
    pub fn items(&self, key: &str) -> Vec<(String, String)> {
        let object = self.0.get(key).and_then(Value::as_object);
        object.map(|o| text_items(o).collect()).unwrap_or_default()
    }

    /// GPUs the context asks for, by any of the names madengine knows.
    pub fn n_gpus(&self) -> Option<Count> {
        ["gpus_per_node", "gpu_count", "n_gpus", "num_gpus", "ngpus"]
            .iter()
            .find_map(|key| self.text(key)?.parse().ok())
    }

    /// `docker_gpus`: the GPUs to choose from, by index.
    pub fn gpus(&self) -> Option<BTreeSet<u32>> {
        gpu_list(&self.text("docker_gpus")?).ok()
    }

    /// Keys that mean nothing without a container, and are left out on the host.
    pub fn without_meaning_on_host(&self) -> Vec<&str> {
        let keys = ["docker_mounts", "docker_build_arg", "docker_cpus", "MAD_CONTAINER_IMAGE"];
        keys.into_iter().filter(|key| self.0.contains_key(*key)).collect()
    }

    /// Keys that the host engine cannot honour.
    pub fn unusable_on_host(&self) -> Vec<&str> {
        NOT_ON_HOST.into_iter().filter(|key| self.0.contains_key(*key)).collect()
    }

    fn check(&self) -> Result<()> {
        let mut wrong = Vec::new();
        for key in ["docker_env_vars", "docker_build_arg", "docker_mounts", "env_vars"] {
            match self.0.get(key) {
                None => {}
                Some(Value::Object(object)) => {
                    for (name, value) in object {
                        if scalar_text(value).is_none() {
                            wrong.push(format!("`{key}.{name}` must be a word or a number"));
                        }
                        if key.ends_with("env_vars") && !is_variable_name(name) {
                            wrong.push(format!("`{key}.{name}` is no name of a variable"));
                        }
                    }
                }
                Some(_) => wrong.push(format!("`{key}` must be an object")),
            }
        }
        for key in ["gpus_per_node", "gpu_count", "n_gpus", "num_gpus", "ngpus"] {
            if let Some(value) = self.0.get(key)
                && scalar_text(value).is_none_or(|t| t.parse::<Count>().is_err())
            {
                wrong.push(format!("`{key}` must be a count, or -1 for all"));
            }
        }
        for key in ["pre_scripts", "post_scripts"] {
            for problem in hook_problems(self.0.get(key)) {
                wrong.push(format!("`{key}`{problem}"));
            }
        }
        for key in ["encapsulate_script", "docker_cpus", "MAD_CONTAINER_IMAGE", "guest_os"] {
            if self.0.get(key).is_some_and(|v| !v.is_string()) {
                wrong.push(format!("`{key}` must be text"));
            }
        }
        if let Some(value) = self.0.get("docker_gpus") {
            match scalar_text(value).as_deref().map(gpu_list) {
                Some(Ok(_)) => {}
                _ => wrong.push("`docker_gpus` must be a list such as \"0,2-4\"".to_owned()),
            }
        }
        if self.0.contains_key("slurm")
            && (self.0.contains_key("k8s") || self.0.contains_key("kubernetes"))
        {
            wrong.push("`slurm` and `kubernetes` exclude each other".to_owned());
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => bail!("additional context: {}", wrong.join("; ")),
        }
    }
}

/// What is wrong with an array of `{"path": …, "args": …}`.
fn hook_problems(value: Option<&Value>) -> Vec<String> {
    let Some(value) = value else { return Vec::new() };
    let Some(items) = value.as_array() else {
        return vec![" must be an array of {\"path\": …, \"args\": …}".to_owned()];
    };
    let problem = |item: &Value| {
        let args = item.get("args").map_or(Some(""), Value::as_str);
        match (item.get("path").and_then(Value::as_str), args) {
            (None, _) => Some("needs a `path`".to_owned()),
            (_, None) => Some("`args` must be text".to_owned()),
            (_, Some(args)) => shell_words::split(args).err().map(|e| format!("`args`: {e}")),
        }
    };
    let numbered = items.iter().enumerate();
    numbered.filter_map(|(i, item)| Some(format!("[{i}]: {}", problem(item)?))).collect()
}

/// `0,2-4` as a set.
fn gpu_list(text: &str) -> Result<BTreeSet<u32>, std::num::ParseIntError> {
    let mut list = BTreeSet::new();
    for part in crate::catalog::split_commas(text) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        // A host has fewer GPUs than this; a typo must not fill the memory.
        let last: u32 = last.trim().parse()?;
        list.extend(first.trim().parse()?..=last.min(4096));
    }
    Ok(list)
}

fn overlay(map: &mut Map<String, Value>, value: Value) -> Result<()> {
    match value {
        Value::Object(object) => {
            map.extend(object);
            Ok(())
        }
        other => bail!("the context must be an object, this is {other}"),
    }
}

/// Items of `object` whose values are scalars, as text.
pub fn text_items(object: &Map<String, Value>) -> impl Iterator<Item = (String, String)> {
    object.iter().filter_map(|(k, v)| Some((k.clone(), scalar_text(v)?)))
}

fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn is_variable_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}
