//! `mad machine`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{Exit, Global, print_json};
use crate::machine::Machine;

/// Describe this host, in the form that --machine reads.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  mad machine > mi300x.json                        describe this host
  mad machine mi300x.json                          is the description good?
  mad benchmark --plan --machine mi300x.json       what would run there?")]
pub(super) struct MachineCommand {
    /// Read a description back instead, to check it
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl MachineCommand {
    pub(super) fn run(&self, _global: &Global) -> Result<Exit> {
        let machine = match &self.file {
            Some(file) => Machine::from_file(file)?,
            None => Machine::probe(),
        };
        print_json(&serde_json::to_value(machine)?)?;
        Ok(Exit::Ok)
    }
}
