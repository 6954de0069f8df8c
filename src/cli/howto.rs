//! `mad howto`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::{Exit, Global, command, print};
use crate::guide::howto;
use crate::record::write_atomically;

/// Print the guide on one page of HTML.
#[derive(Args, Debug)]
#[command(after_help = "\
What to type for what, what a script must report, every command and variable, exit statuses, and
what may be tried against which bottleneck. The page needs no network and no other file, follows
the light or dark setting of the browser, and can be printed.

Examples:
  mad howto > mad-howto.html
  mad howto -o mad-howto.html && xdg-open mad-howto.html")]
pub(super) struct Howto {
    /// Write it to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Howto {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let page = howto(&command())?;
        match &self.output {
            Some(file) => {
                write_atomically(file, page.as_bytes())?;
                if !global.quiet {
                    print(&format!("written to {}\n", file.display()))?;
                }
            }
            None => print(&page)?,
        }
        Ok(Exit::Ok)
    }
}
