//! The flags of everything that runs, with their environment forms: one definition
//! for `mad` and for the test target.

mod context;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::builder::Resettable;
use clap::{Args, FromArgMatches, ValueEnum};

pub(crate) use context::is_variable_name;
pub use context::{Context, text_items};
pub(crate) use context::{KNOWN_KEYS, NAMES};

use crate::catalog::{BASELINE_VARIABLE, Count, PYTHON_VARIABLE};
use crate::run::Reach;

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

/// How long to go on measuring an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// Until its verdict is settled.
    Decided,
}

impl std::fmt::Display for Until {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("decided")
    }
}

/// Where images come from.
#[derive(Args, Clone, Debug)]
pub struct ImageOptions {
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

    /// Build images from scratch and pull their base images anew
    #[arg(long, visible_alias = "clean-docker-cache", env = "MAD_CLEAN", value_parser = flag())]
    pub clean: bool,

    /// Hand secrets to Dockerfiles that take them as build arguments; the image's history
    /// keeps them
    #[arg(long, env = "MAD_SECRETS_AS_BUILD_ARGS", value_parser = flag())]
    pub secrets_as_build_args: bool,
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

    /// GPUs per entry, instead of what the entry says (-1: all); a sweep takes several
    #[arg(
        long,
        value_name = "N",
        env = "MAD_NGPUS",
        allow_negative_numbers = true,
        value_delimiter = ','
    )]
    pub ngpus: Vec<Count>,

    /// End an execution after S seconds (0: never; -1: what the entry says)
    #[arg(
        long,
        value_name = "S",
        env = "MAD_TIMEOUT",
        allow_negative_numbers = true,
        value_parser = seconds
    )]
    pub timeout: Option<f64>,

    /// End a Slurm job that has not started after S seconds (0: never)
    #[arg(long, value_name = "S", env = "MAD_QUEUE_TIMEOUT", value_parser = limit)]
    pub queue_timeout: Option<f64>,

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

    /// Go on measuring what is in doubt until it is decided, and what has no baseline until its
    /// spread is known
    #[arg(long, value_enum, env = "MAD_UNTIL", ignore_case = true)]
    pub until: Option<Until>,

    /// Most executions of an entry, on each side of a comparison [default: 20, comparing: 40]
    #[arg(long, value_name = "N", env = "MAD_MAX_SAMPLES", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_samples: Option<u32>,

    /// Begin nothing that only decides once the run is so old: `2h`, `90m`, `300` seconds
    #[arg(long, value_name = "TIME", env = "MAD_BUDGET", value_parser = duration)]
    pub budget: Option<Duration>,

    /// Executions thrown away first, instead of what the entry says
    #[arg(long, value_name = "N", env = "MAD_WARMUP")]
    pub warmup: Option<u32>,

    /// Cores of its own for each execution, with the others left to other executions
    #[arg(long, value_name = "N", env = "MAD_CPUS_PER_CELL", value_parser = clap::value_parser!(u32).range(1..))]
    pub cpus_per_cell: Option<u32>,

    /// Resolve, gate and print the exact commands; run nothing
    #[arg(long, visible_aliases = ["no-execute", "dry-run"], env = "MAD_PLAN", value_parser = flag())]
    pub plan: bool,

    /// Plan for the host described in this file instead of this one
    #[arg(long, value_name = "FILE", env = "MAD_MACHINE")]
    pub machine: Option<PathBuf>,

    /// Keep the private work directory of every execution, and its container
    #[arg(long, env = "MAD_KEEP_ALIVE", value_parser = flag())]
    pub keep_alive: bool,

    /// Where images come from
    #[command(flatten)]
    pub images: ImageOptions,

    /// Run the images of this manifest (`mad build`, `madengine build`); build none
    #[arg(
        long,
        short = 'm',
        visible_alias = "manifest-file",
        value_name = "FILE",
        env = "MAD_MANIFEST",
        conflicts_with_all = ["use_image", "target_arch"]
    )]
    pub manifest: Option<PathBuf>,

    /// Where data sets are described, instead of data.json in the catalog
    #[arg(long, value_name = "FILE", env = "MAD_DATA_CONFIG")]
    pub data_config: Option<PathBuf>,

    /// Keep data sets below this directory, wherever their descriptions would have them
    #[arg(long, value_name = "DIR", env = "MAD_FORCE_MIRROR_LOCAL")]
    pub force_mirror_local: Option<PathBuf>,

    /// Build for this GPU architecture instead of this host's
    #[arg(long, value_name = "ARCH", env = "MAD_TARGET_ARCH")]
    pub target_arch: Option<String>,

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

    /// How far from this machine accepted numbers may be that judge (else mad.toml's; product)
    #[arg(long, value_name = "REACH", env = "MAD_FALLBACK", value_enum)]
    pub fallback: Option<Reach>,

    /// Where runs, logs and records go
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    pub run_dir: PathBuf,
}

impl RunOptions {
    /// GPUs per entry that the user asks for, where only one count makes sense.
    pub fn count(&self) -> Option<Count> {
        self.ngpus.first().copied()
    }

    /// Executions of an entry at most when it is measured until it is decided; none when it is
    /// not.
    pub fn most_executions(&self) -> Option<u32> {
        self.until.map(|Until::Decided| self.max_samples.unwrap_or(MAX_SAMPLES))
    }
}

/// Executions of an entry that is measured until it is decided, where nobody says otherwise.
const MAX_SAMPLES: u32 = 20;

/// What holds without any flag and any variable.
impl Default for RunOptions {
    fn default() -> RunOptions {
        let command = RunOptions::augment_args(clap::Command::new("options"));
        let command = command.mut_args(|arg| arg.env(Resettable::Reset));
        let matches = command.get_matches_from(["options"]);
        RunOptions::from_arg_matches(&matches).expect("every option has a default")
    }
}

/// Variables that steer the harness and are no flag of a run.
const STEERING: [&str; 6] = [
    "MAD_ROOT",
    "MAD_LEASE_DIR",
    "MAD_ACCEPTED_BY",
    "MAD_AGREE",
    BASELINE_VARIABLE,
    PYTHON_VARIABLE,
];

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

fn limit(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(s) if s.is_finite() && s >= 0.0 => Ok(s),
        _ => Err("expected seconds, 0 for no limit".to_owned()),
    }
}

/// Reads `2h`, `90m`, `1h30m`, `45s`; a number alone is seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 2h, 90m, 1h30m or 300 (seconds)".to_owned();
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return positive(seconds).ok_or_else(wrong);
    }
    let (mut seconds, mut number) = (0.0, String::new());
    for c in text.chars() {
        let unit = match c {
            '0'..='9' | '.' => {
                number.push(c);
                continue;
            }
            'h' => 3600.0,
            'm' => 60.0,
            's' => 1.0,
            _ => return Err(wrong()),
        };
        seconds += unit * number.parse::<f64>().map_err(|_| wrong())?;
        number.clear();
    }
    positive(seconds).filter(|_| number.is_empty()).ok_or_else(wrong)
}

fn positive(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().filter(|d| !d.is_zero())
}

fn grace(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(s) if (0.0..=3600.0).contains(&s) => Ok(s),
        _ => Err("expected seconds from 0 to 3600".to_owned()),
    }
}
