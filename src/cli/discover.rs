//! `mad discover`.

use anyhow::Result;
use clap::Args;
use serde_json::Value;

use super::{Exit, Global, colour, load, print, print_json, select};
use crate::diagnostic::Diagnostic;
use crate::results::Table;
use crate::validate::render_text;

/// List entries.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  mad discover                      every entry
  mad discover pyt,fp16             those with one of the tags
  mad discover rust_membw/all       those of scripts/rust_membw/
  mad --json discover rust_gemm     one entry as it is resolved, for programs")]
pub(super) struct Discover {
    /// Names, tags, `scope/tag` or `name:arg=value`; all entries without
    #[arg(value_name = "TAG")]
    words: Vec<String>,
    /// The same, comma-separated
    #[arg(long, short, value_name = "TAG", env = "MAD_TAGS", value_delimiter = ',')]
    tags: Vec<String>,
}

impl Discover {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        let catalog = load(global);
        let found: Vec<Diagnostic> = catalog.problems.clone();
        if !found.is_empty() && !global.quiet {
            eprint!("{}", render_text(&found, catalog, colour(&std::io::stderr())));
        }
        let broken = found.iter().any(Diagnostic::is_error);
        let models = if catalog.models.is_empty() && broken {
            Vec::new()
        } else {
            select(catalog, &self.words, &self.tags)?
        };
        if global.json {
            print_json(&Value::Array(
                models.iter().map(crate::catalog::Model::resolved).collect(),
            ))?;
        } else if !models.is_empty() {
            let mut table = Table::new(["NAME", "TAGS", "GPUS", "PRECISION", "CONTRACT", "WHERE"]);
            for model in &models {
                table.row([
                    model.id(),
                    model.tags().join(","),
                    match model.n_gpus() {
                        crate::catalog::Count::All => "all".to_owned(),
                        count => count.to_string(),
                    },
                    model.precision().to_owned(),
                    model.contract().to_string(),
                    format!("{}:{}", model.source().file.display(), model.line()),
                ]);
            }
            print(&table.to_string())?;
            let s = if models.len() == 1 { "y" } else { "ies" };
            print(&format!("{} entr{s}\n", models.len()))?;
        }
        Ok(if broken { Exit::Findings } else { Exit::Ok })
    }
}
