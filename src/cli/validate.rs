//! `mad validate`.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use super::{Exit, Global, colour, load, print, print_json, select};
use crate::diagnostic::{Diagnostic, Severity};
use crate::validate::{self, Validator};

/// Check entries without running them.
#[derive(Args, Debug)]
pub(super) struct Validate {
    /// Names, tags, `scope/tag` or `name:arg=value`; all entries without
    #[arg(value_name = "TAG")]
    words: Vec<String>,
    /// The same, comma-separated
    #[arg(long, short, value_name = "TAG", env = "MAD_TAGS", value_delimiter = ',')]
    tags: Vec<String>,
    /// How findings are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Warnings are errors
    #[arg(long)]
    deny_warnings: bool,
    /// Explain a rule, `MAD004`, instead of checking
    #[arg(long, value_name = "RULE", conflicts_with_all = ["words", "tags"])]
    explain: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Github,
}

impl Validate {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        if let Some(id) = &self.explain {
            return explain(id);
        }
        let catalog = load(global);
        // A catalog that has no entry left has findings enough.
        let models = match catalog.models.is_empty() {
            true => Vec::new(),
            false => select(catalog, &self.words, &self.tags)?,
        };
        let mut found = Validator::new(catalog).all(&models);
        if self.deny_warnings {
            for diagnostic in found.iter_mut().filter(|d| d.severity == Severity::Warning) {
                diagnostic.severity = Severity::Error;
            }
        }
        match (global.json, self.format) {
            (true, _) | (_, Format::Json) => {
                print_json(&validate::render_json(&found, models.len()))?;
            }
            (_, Format::Github) => print(&validate::render_github(&found))?,
            (_, Format::Text) => {
                print(&validate::render_text(&found, catalog, colour(&std::io::stdout())))?;
                print(&format!("{}\n", validate::summary(&found, models.len())))?;
            }
        }
        Ok(if found.iter().any(Diagnostic::is_error) { Exit::Findings } else { Exit::Ok })
    }
}

fn explain(id: &str) -> Result<Exit> {
    let rule = validate::rule(id).with_context(|| {
        let ids: Vec<&str> = validate::RULES.iter().map(|r| r.id).collect();
        format!("there is no rule {id}; the rules are {}", ids.join(", "))
    })?;
    print(&format!("{} ({}): {}\n\n{}\n", rule.id, rule.severity, rule.title, rule.explanation))?;
    Ok(Exit::Ok)
}
