//! `mad man`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::{Exit, command, print};
use crate::record::write_atomically;

/// Write manual pages.
#[derive(Args, Debug)]
#[command(after_help = "\
One page for each command: mad.1, mad-validate.1, mad-baseline-accept.1, …

Examples:
  mad man ~/.local/share/man/man1
  mad man man && man -l man/mad.1")]
pub(super) struct Man {
    /// Where; made when missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

impl Man {
    pub(super) fn run(&self) -> Result<Exit> {
        let directory = &self.directory;
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let mut pages = Vec::new();
        page(command(), &mut pages)?;
        for (name, text) in &pages {
            write_atomically(&directory.join(name), text)?;
        }
        print(&format!("{} pages in {}\n", pages.len(), directory.display()))?;
        Ok(Exit::Ok)
    }
}

/// The page of `command`, and those of the commands below it.
fn page(command: clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        page(sub.clone(), pages)?;
    }
    let source = format!("mad-harness {}", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command).source(source).manual("mad-harness");
    let mut text = Vec::new();
    man.render(&mut text)?;
    pages.push((man.get_filename(), text));
    Ok(())
}
