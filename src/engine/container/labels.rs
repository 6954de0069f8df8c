//! Labels: every container says which Run it belongs to and which process watches it.

use serde_json::Value;

use super::cli::{ANSWER_LIMIT, CliError};
use super::connection::Containers;
use super::lifetime::Container;
use crate::engine::orphans::Watcher;

/// The Run of a container.
pub(super) const RUN: &str = "mad.run";
/// The entry it runs.
const MODEL: &str = "mad.model";
/// The process that watches it, as JSON.
const WATCHER: &str = "mad.watcher";

/// The labels of a container of this process.
pub(in crate::engine) fn labels(run: &str, model: &str) -> Vec<String> {
    // Plain strings and numbers serialise.
    let watcher = serde_json::to_string(&Watcher::this_process()).unwrap_or_default();
    vec![format!("{RUN}={run}"), format!("{MODEL}={model}"), format!("{WATCHER}={watcher}")]
}

/// A container of a Run.
#[derive(Clone, Debug)]
pub struct Leftover {
    /// The container.
    pub container: Container,
    /// The Run it belongs to.
    pub run: String,
    /// The entry it runs.
    pub model: String,
    /// Whether the process that watches it is still there. One on another host, which
    /// cannot be asked, counts as there.
    pub watched: bool,
}

/// The containers of all Runs that the engine has, running or not.
///
/// # Errors
/// When the engine does not answer.
pub fn leftovers(containers: &Containers) -> Result<Vec<Leftover>, CliError> {
    let filter = format!("label={RUN}");
    let args = ["ps", "-a", "-q", "--no-trunc", "--filter", &filter];
    let ids = containers.cli.ask(&args, ANSWER_LIMIT)?;
    let ids: Vec<&str> = ids.split_whitespace().collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let args = [&["container", "inspect"], ids.as_slice()].concat();
    let answer = containers.cli.ask_about(&args, ANSWER_LIMIT)?;
    let found: Vec<Value> = serde_json::from_str(&answer).unwrap_or_default();
    let leftover = |value: &Value| {
        let labels = &value["Config"]["Labels"];
        let text = |key: &str| labels[key].as_str().unwrap_or_default().to_owned();
        let name = value["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        let watcher = serde_json::from_str::<Watcher>(&text(WATCHER));
        Leftover {
            container: Container { cli: containers.cli.clone(), name, keep: false, run: None },
            run: text(RUN),
            model: text(MODEL),
            watched: watcher.is_ok_and(|w| w.is_there()),
        }
    };
    Ok(found.iter().map(leftover).collect())
}
