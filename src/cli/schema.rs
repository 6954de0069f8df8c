//! `mad schema`.

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::{Exit, print};
use crate::schema::{self, Document};

/// Print a JSON Schema.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  mad schema catalog > .vscode/models.schema.json     for an editor
  mad schema measurement                              for a program that reads records")]
pub(super) struct Schema {
    /// Of what
    #[arg(value_enum)]
    document: Document,
}

impl Schema {
    pub(super) fn run(&self) -> Result<Exit> {
        print(&schema::text(self.document))?;
        Ok(Exit::Ok)
    }
}

impl ValueEnum for Document {
    fn value_variants<'a>() -> &'a [Self] {
        &Document::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}
