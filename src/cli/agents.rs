//! `mad agents`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, Global, print, print_json};
use crate::agents::{Installation, State};
use crate::engine::Cancel;
use crate::results::Table;

/// Slash commands and roles for agents.
#[derive(Subcommand, Debug)]
#[command(after_help = "\
Examples:
  mad agents install    slash commands, roles and permissions for Claude Code")]
pub(super) enum AgentsCommand {
    /// Put slash commands, roles and permissions into a project
    Install(Install),
}

/// Put slash commands, roles and permissions into a project.
#[derive(Args, Debug)]
#[command(after_help = "\
They are thin wrappers over these commands, for Claude Code: .claude/commands, .claude/agents,
and in .claude/settings.json what may be done without asking (reading), after asking (running),
and never (accepting baselines). A build with the feature `mcp` adds its server to .mcp.json.
All is written, or nothing. Settings get what they lack; a file that somebody edited is not
replaced.

Exit status:
  0 ok · 1 files were edited, or are somebody else's · 4 settings that cannot be read

Examples:
  mad agents install                      into the directory of the catalog
  mad agents install --into .. --dry-run  what would be written above it")]
pub(super) struct Install {
    /// The project [default: the directory of the catalog]
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Replace files that were edited
    #[arg(long)]
    force: bool,
}

impl AgentsCommand {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        match self {
            AgentsCommand::Install(install) => install.run(global),
        }
    }
}

impl Install {
    fn run(&self, global: &Global) -> Result<Exit> {
        let project = self.into.as_deref().unwrap_or(&global.root);
        let found = |path: &Path| {
            path.canonicalize().with_context(|| format!("there is no {}", path.display()))
        };
        let (place, catalog) = (found(project)?, found(&global.root)?);
        // A project moves with its catalog; another place does not.
        let root = match catalog.strip_prefix(&place) {
            Ok(below) if below.as_os_str().is_empty() => Path::new("."),
            Ok(below) => below,
            Err(_) => &catalog,
        };
        let installation = Installation::new(project, root, self.force)?;
        let refusal = installation.refusal();
        let wrote = !self.dry_run && refusal.is_none();
        if wrote {
            let cancel = Cancel::default();
            cancel.on_signals()?;
            installation.write(&|| cancel.is_cancelled())?;
        }
        if global.json {
            print_json(&json!({
                "schema": "mad-agents/1",
                "files": installation.files,
                "written": wrote,
            }))?;
        } else if !global.quiet {
            let mut table = Table::new(["file", "state"]);
            for file in &installation.files {
                let state = match file.state {
                    State::New => "new",
                    State::Updated => "updated",
                    State::Unchanged => "unchanged",
                    State::Edited => "edited",
                };
                table.row([file.path.display().to_string(), state.to_owned()]);
            }
            print(&table.to_string())?;
        }
        if let Some(refusal) = refusal {
            eprintln!("error: {refusal}");
            return Ok(Exit::Findings);
        }
        if wrote && !cfg!(feature = "mcp") {
            eprintln!(
                "this build has no `mad mcp`, whose tools the commands call first: cargo install \
                 --features mcp, and install them again"
            );
        }
        Ok(Exit::Ok)
    }
}
