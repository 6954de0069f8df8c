//! What runs a [`Job`]: the trait, and one file per engine.

pub mod clean;
pub mod container;
mod environment;
pub mod host;
pub mod madengine;
pub(crate) mod orphans;
mod pin;
pub mod slurm;
pub mod supervise;
mod supervised;
mod work;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub(crate) use container::{CliError, Container, ContainerEnd};

use crate::contract::{Exit, LogFindings, Recorded};
use crate::data::Provided;
use crate::plan::Job;
use crate::progress::{self, Activity};
use crate::source::Source;

/// Longest part of the entry's name in a name that others see.
const NAME_MAX: usize = 40;

/// Runs Jobs. One Execution is one start of the script.
pub trait Engine: Sync {
    /// Name in records and result files.
    fn name(&self) -> &'static str;

    /// Builds or finds what the Job needs; the time it takes is the build duration. Logs
    /// go to `slot`, which no Execution has.
    ///
    /// # Errors
    /// When the Job cannot be made ready; the message says why.
    fn prepare(&self, job: &Job, slot: &Slot, cancel: &Cancel) -> Result<Prepared>;

    /// Starts the script once, in `slot`, and waits for its end.
    ///
    /// # Errors
    /// When the script could not be started or watched. A script that fails is not
    /// an error but an [`Execution`] that says so.
    fn execute(
        &self,
        job: &Job,
        prepared: &Prepared,
        slot: &Slot,
        cancel: &Cancel,
    ) -> Result<Execution>;

    /// What was made ready for an attempt that a process left, of which something still goes on
    /// or waits to be collected; `None` if there is nothing of that kind.
    ///
    /// # Errors
    /// When its notes cannot be read.
    fn left_in(&self, _attempt: &Path) -> Result<Option<Prepared>> {
        Ok(None)
    }

    /// Removes what was only kept until the Measurement of `attempt` was written.
    fn tidy(&self, _attempt: &Path, _keep_work: bool) {}
}

/// What an engine made ready for a Job. Part of the Measurement, so that Executions that
/// confirm it run the very same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prepared {
    /// The image, for engines that have one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image: Option<Image>,
    /// madengine's build manifest, without its context.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub manifest: Option<serde_json::Value>,
    /// What was cloned, for an entry with `url`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source: Option<Source>,
    /// The data sets that were provided.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<Provided>,
    /// What the user should know about it; the Measurement keeps it.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

impl Prepared {
    /// Whether nothing had to be made ready.
    pub fn is_empty(&self) -> bool {
        *self == Prepared::default()
    }
}

/// An image that Executions run in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// Name and tag.
    pub name: String,
    /// What the engine knows it by, a digest of its content.
    pub id: String,
    /// Name and digest in a registry, for an image that came from one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<String>,
    /// The Dockerfile it was built from, relative to the catalog.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dockerfile: Option<PathBuf>,
    /// The image it was built on, as the build arguments or the Dockerfile name it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base: Option<String>,
    /// Name and digest of that image in a registry, if it came from one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub base_digest: Option<String>,
}

/// Where one Execution, or the preparation before it, may write, and which devices it has.
#[derive(Clone, Debug)]
pub struct Slot {
    /// Directory of this Execution alone.
    pub dir: PathBuf,
    /// Id of the Run.
    pub run: String,
    /// Where clones and downloads are kept from Run to Run.
    pub cache: PathBuf,
    /// Its number, and that of the last one that is sure to follow it.
    pub executions: (u32, u32),
    /// Where it is noted what runs, for those who come after a kill.
    pub running: PathBuf,
    /// GPUs leased to it, indices into [`crate::machine::Machine::gpus`].
    pub gpus: Vec<usize>,
    /// Cores leased to it; none where it shares them.
    pub cores: Vec<u32>,
    /// Whether the script's output is shown while it runs.
    pub live_output: bool,
    /// Who passes on its last line to people who wait.
    pub activity: Activity,
    /// Whether the private copy of the script's directory outlives the Execution.
    pub keep_work: bool,
    /// Whether the container outlives it, and goes on.
    pub keep_container: bool,
}

impl Slot {
    /// Everything the script printed, in order, secrets replaced.
    pub fn log(&self) -> PathBuf {
        self.dir.join("run.log")
    }

    /// The private copy of the script's directory.
    pub fn work(&self) -> PathBuf {
        self.dir.join("work")
    }
}

/// How one start of a script ended, before anything is concluded from it.
#[derive(Debug)]
pub struct Execution {
    /// How the script ended.
    pub exit: Exit,
    /// Seconds from its start to its end.
    pub duration_s: f64,
    /// What its output holds.
    pub log: LogFindings,
    /// The results file, if the Job has one and the script wrote it.
    pub results: Option<PathBuf>,
    /// A results file was there before the script started (and was removed).
    pub stale_results: bool,
    /// What madengine recorded, if it ran the script.
    pub recorded: Option<Recorded>,
    /// What the scheduler of a cluster says about its end.
    pub scheduler: Option<String>,
    /// The nodes of a cluster that it ran on.
    pub nodes: Vec<NodeEnd>,
    /// Trouble of the harness's own, such as a full disk.
    pub trouble: Vec<String>,
}

impl Execution {
    /// One that ended like this, of which nothing else is known.
    fn new(exit: Exit, duration_s: f64, log: LogFindings) -> Execution {
        Execution {
            exit,
            duration_s,
            log,
            results: None,
            stale_results: false,
            recorded: None,
            scheduler: None,
            nodes: Vec::new(),
            trouble: Vec::new(),
        }
    }

    /// One that a supervisor watched.
    fn supervised(ended: supervised::Ended) -> Execution {
        let supervised::Ended { status, log, trouble } = ended;
        Execution { trouble, ..Execution::new(status.exit, status.duration_s, log) }
    }
}

/// How a script ended on one node of a cluster.
#[derive(Debug)]
pub struct NodeEnd {
    /// The node's name.
    pub name: String,
    /// How the script ended there.
    pub exit: Exit,
    /// Seconds from its start to its end.
    pub duration_s: f64,
    /// What its output holds; nothing where there is one node, whose output is all.
    pub log: LogFindings,
    /// The results file, if the script wrote it there.
    pub results: Option<PathBuf>,
}

/// How a supervised script ended, as its supervisor wrote it down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// How it ended.
    pub exit: Exit,
    /// Seconds it ran.
    pub duration_s: f64,
    /// What became of its container, if it ran in one.
    #[serde(default)]
    pub container: Option<ContainerEnd>,
}

/// Tells every running Execution to end. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<watch::Sender<bool>>);

impl Default for Cancel {
    fn default() -> Self {
        Cancel(Arc::new(watch::channel(false).0))
    }
}

impl Cancel {
    /// Ends what runs and lets nothing start any more.
    pub fn cancel(&self) {
        self.0.send_replace(true);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once [`Cancel::cancel`] was called.
    pub async fn cancelled(&self) {
        // An error means that the sender is gone, which `self` prevents.
        let _ = self.0.subscribe().wait_for(|cancelled| *cancelled).await;
    }

    /// Cancels on Ctrl-C, SIGTERM and SIGHUP, in a thread of its own. A second
    /// signal ends this process at once (what runs ends with it).
    ///
    /// # Errors
    /// When the handlers cannot be installed.
    pub fn on_signals(&self) -> Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut int, mut term, mut hup) = {
            let _inside = runtime.enter();
            (
                signal(SignalKind::interrupt())?,
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
            )
        };
        let cancel = self.clone();
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async move {
                loop {
                    let status = tokio::select! {
                        _ = int.recv() => 130,
                        _ = term.recv() => 143,
                        _ = hup.recv() => 129,
                    };
                    if cancel.is_cancelled() {
                        progress::leave();
                        std::process::exit(status);
                    }
                    cancel.cancel();
                    // Whoever listened may have gone as well: that keeps nothing running.
                    let said = "\ninterrupted: ending what runs (again: at once)";
                    progress::aside(|| drop(writeln!(std::io::stderr(), "{said}")));
                }
            });
        })?;
        Ok(())
    }
}

/// The name of something outside of this program (a container, a job of a cluster) that runs
/// `job`: a part for people, and the word that tells it from others.
fn outside_name(job: &Job, unique: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let model: String =
        job.id.chars().take(NAME_MAX).map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("mad-{model}-{unique}")
}

/// `path` as an absolute path, whether it exists or not.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
