//! The end of a container: how the supervisor and those who clean up bring it about.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::cli::{ANSWER_LIMIT, Cli, CliError};
use super::labels::RUN;

/// A container that somebody must end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The engine it is in.
    pub cli: Cli,
    /// Its name.
    pub name: String,
    /// Whether it is left for the user to look into (`--keep-alive`).
    #[serde(default)]
    pub keep: bool,
    /// The Run it must belong to, where another one may have given it the same name.
    #[serde(default)]
    pub run: Option<String>,
}

/// What the engine says of a container that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ContainerEnd {
    /// It ran.
    Ran {
        /// Seconds from its start to its end, as the engine saw them.
        duration_s: f64,
        /// Whether the kernel ended a process in it for want of memory.
        out_of_memory: bool,
    },
    /// It was made and never started; the engine's reason is in the log.
    NeverStarted,
    /// There is none: the engine did not make it, or somebody else removed it.
    Gone,
    /// The engine does not know how it ended.
    Lost {
        /// What the engine said.
        why: String,
    },
}

/// `State` of `docker inspect` and `podman inspect`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: String,
    #[serde(rename = "OOMKilled", default)]
    oom_killed: bool,
    #[serde(default)]
    started_at: String,
    #[serde(default)]
    finished_at: String,
}

impl Container {
    /// Asks the processes of the container to end, and ends them after `grace_s` seconds.
    pub(crate) fn stop(&self, grace_s: f64) -> Result<(), CliError> {
        // The engines count whole seconds.
        let grace = grace_s.ceil().max(0.0);
        let limit = ANSWER_LIMIT + Duration::from_secs_f64(grace);
        self.cli.ask(&["stop", "-t", &format!("{grace}"), &self.name], limit).map(drop)
    }

    /// Removes the container, running or not, with its anonymous volumes.
    pub(crate) fn remove(&self) -> Result<(), CliError> {
        match self.cli.ask(&["rm", "-f", "-v", &self.name], ANSWER_LIMIT) {
            Err(e) if !e.is_missing() => Err(e),
            _ => Ok(()),
        }
    }

    /// Starts a container that ended, for the user to look into: the driver idles then.
    /// Says how.
    pub(crate) fn keep_alive(&self) -> String {
        let (program, name) = (&self.cli.program, &self.name);
        match self.cli.ask(&["start", name], ANSWER_LIMIT) {
            Ok(_) => format!(
                "kept: `{program} exec -it {name} bash` looks into the container, \
                 `{program} rm -f {name}` or `mad clean` ends it"
            ),
            Err(e) => format!("the container {name} cannot be kept: {e}"),
        }
    }

    /// Whether there is such a container, and it is the one that is meant.
    pub(crate) fn exists(&self) -> Result<bool, CliError> {
        let format = format!("{{{{index .Config.Labels \"{RUN}\"}}}}");
        let args = ["container", "inspect", "--format", &format, &self.name];
        match self.cli.ask(&args, ANSWER_LIMIT) {
            Err(e) if e.is_missing() => Ok(false),
            answer => answer.map(|run| self.run.as_ref().is_none_or(|meant| *meant == run.trim())),
        }
    }

    /// How the container ended, once its client is gone.
    pub(crate) fn end(&self) -> ContainerEnd {
        let args = ["container", "inspect", "--format", "{{json .State}}", &self.name];
        let state = match self.cli.ask(&args, ANSWER_LIMIT) {
            Ok(text) => match serde_json::from_str::<State>(&text) {
                Ok(state) => state,
                Err(e) => return ContainerEnd::Lost { why: format!("{text}: {e}") },
            },
            Err(e) if e.is_missing() => return ContainerEnd::Gone,
            Err(e) => return ContainerEnd::Lost { why: e.to_string() },
        };
        match state.status.as_str() {
            "exited" | "stopped" | "dead" => ContainerEnd::Ran {
                duration_s: seconds_between(&state.started_at, &state.finished_at),
                out_of_memory: state.oom_killed,
            },
            "removing" => ContainerEnd::Gone,
            "created" | "configured" | "initialized" => ContainerEnd::NeverStarted,
            other => ContainerEnd::Lost { why: format!("it is still {other}") },
        }
    }
}

/// Seconds between two times as the engines print them; 0 if one of them is no time.
fn seconds_between(from: &str, to: &str) -> f64 {
    let time = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    match (time(from), time(to)) {
        (Some(from), Some(to)) => (to - from).as_seconds_f64().max(0.0),
        _ => 0.0,
    }
}
