//! `mad clean`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::{Exit, Global, print, print_json};
use crate::engine::clean::{Clean, Remnant, RemnantKind, RemnantState};
use crate::results::Table;

/// Remove what earlier runs left behind.
#[derive(Args, Debug)]
#[command(after_help = "\
Removed are containers that no process watches any more (those of --keep-alive, too), the
scripts of runs that were killed, their worktrees, and files that were half written. Docker and
Podman are both asked. Results, logs and records stay, and so do Slurm jobs without --jobs.

Examples:
  mad clean --plan         what would be removed
  mad clean                remove it
  mad clean --images       the images that were built as well, unless a container uses them
  mad clean RUN            only the containers of one run")]
pub(super) struct CleanCommand {
    /// Only the containers of these runs
    #[arg(value_name = "RUN", conflicts_with = "images")]
    runs: Vec<String>,
    /// Say what would be removed; remove nothing
    #[arg(long, visible_aliases = ["no-execute", "dry-run"])]
    plan: bool,
    /// Also the images that were built, unless a container uses them
    #[arg(long)]
    images: bool,
    /// Also end Slurm jobs that no process waits for; their numbers are lost
    #[arg(long)]
    jobs: bool,
    /// Also the containers of runs that go on
    #[arg(long)]
    all: bool,
    /// Where runs are
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR", default_value = "target/mad")]
    run_dir: PathBuf,
}

impl CleanCommand {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let clean = Clean {
            run_dir: self.run_dir.clone(),
            runs: self.runs.clone(),
            images: self.images,
            jobs: self.jobs,
            all: self.all,
            plan: self.plan,
        };
        let (found, silent) = clean.run();
        for why in &silent {
            eprintln!("warning: an engine does not answer, what it has stays: {why}");
        }
        if global.json {
            print_json(&json!({
                "schema": "mad-clean/1",
                "plan": self.plan,
                "leftovers": found,
                "unanswered": silent,
            }))?;
        } else {
            print(&text(&found))?;
        }
        let failed = found.iter().any(|left| left.state == RemnantState::Failed);
        Ok(if failed { Exit::Findings } else { Exit::Ok })
    }
}

fn text(found: &[Remnant]) -> String {
    if found.is_empty() {
        return "nothing is left over\n".to_owned();
    }
    let mut table = Table::new(["KIND", "NAME", "FROM", "STATE"]);
    for left in found {
        let kind = match left.kind {
            RemnantKind::Script => "script",
            RemnantKind::Job => "slurm job",
            RemnantKind::Container => "container",
            RemnantKind::File => "file",
            RemnantKind::Worktree => "worktree",
            RemnantKind::Image => "image",
        };
        let state = match left.state {
            RemnantState::Removed => "removed",
            RemnantState::Planned => "would be removed",
            RemnantState::Left => "left",
            RemnantState::Failed => "NOT REMOVED",
        };
        let state = match &left.reason {
            Some(reason) => format!("{state}: {reason}"),
            None => state.to_owned(),
        };
        table.row([kind.to_owned(), left.name.clone(), left.origin.clone(), state]);
    }
    table.to_string()
}
