//! `mad mcp`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{Exit, Global};

/// Serve these commands to agents, as tools over standard input and output.
#[derive(Args, Debug)]
#[command(after_help = "\
It speaks the Model Context Protocol, and an agent's program starts it. The tools run this program
in the catalog of --root, which cannot be changed later; nothing outside it is run. Whatever runs
is ended when a call is cancelled or the client goes.

Examples:
  mad mcp --root ~/models                            the command for a client's configuration
  claude mcp add mad -- mad mcp --root ~/models      for example")]
pub(super) struct Mcp {
    /// Where runs go [default: target/mad in the catalog]
    #[arg(long, value_name = "DIR", env = "MAD_RUN_DIR")]
    run_dir: Option<PathBuf>,
}

impl Mcp {
    #[cfg(feature = "mcp")]
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        crate::mcp::serve(&global.root, self.run_dir.as_deref())?;
        Ok(Exit::Ok)
    }

    #[cfg(not(feature = "mcp"))]
    pub(super) fn run(&self, _: &Global) -> Result<Exit> {
        let _ = &self.run_dir;
        anyhow::bail!(
            "this build serves no tools: build it with the cargo feature `mcp` \
             (`cargo install --path . --features mcp`)"
        )
    }
}
