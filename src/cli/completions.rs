//! `mad completions`, and what is said when a shell asks.

use std::ffi::OsStr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::builder::StyledStr;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use super::{Cli, Exit, print};
use crate::catalog::Catalog;

/// The variable by which a shell asks for completions; no flag is behind it.
const ASKED: &str = "_MAD_COMPLETE";

/// Print what makes a shell complete `mad`.
#[derive(Args, Debug)]
#[command(after_help = "\
Commands, options and their values are completed, and tags and names of entries from the
catalog of the current directory (or of --root, or of MAD_ROOT). The shell asks `mad` itself,
so that what it prints need not be renewed after an update. Programs that list entries
(get_models_json.py) are not run for that.

Examples:
  echo 'source <(mad completions bash)' >> ~/.bashrc
  echo 'source <(mad completions zsh)' >> ~/.zshrc          (after compinit)
  mad completions fish > ~/.config/fish/completions/mad.fish")]
pub(super) struct Completions {
    /// Of which shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completions {
    pub(super) fn run(&self) -> Result<Exit> {
        let shell = match self.shell {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        };
        let shells = Shells::builtins();
        let shell = shells.completer(shell).context("no completions for this shell")?;
        let mut script = Vec::new();
        shell.write_registration(ASKED, "mad", "mad", "mad", &mut script)?;
        print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Ok)
    }
}

/// Answers a shell that asks; whether one did.
pub(super) fn answered() -> bool {
    let directory = std::env::current_dir().ok();
    let asked = CompleteEnv::with_factory(command).var(ASKED);
    // Nobody reads what goes wrong while a word is being typed.
    asked.try_complete(std::env::args_os(), directory.as_deref()).unwrap_or(true)
}

/// The command line, whose values come from the catalog where they are entries or tags.
fn command() -> clap::Command {
    let mut command = with_values(Cli::command());
    command.build();
    command
}

fn with_values(command: clap::Command) -> clap::Command {
    let value = |arg: clap::Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        let is = |name: &str| arg.get_id() == name || names.iter().any(|n| n.as_str() == name);
        if is("TAG") {
            arg.add(ArgValueCompleter::new(|typed: &OsStr| candidates(typed, true)))
        } else if is("MODEL") || is("model") {
            arg.add(ArgValueCompleter::new(|typed: &OsStr| candidates(typed, false)))
        } else {
            arg
        }
    };
    command.mut_args(value).mut_subcommands(with_values)
}

/// Names of entries, and tags, that begin with what was typed.
fn candidates(typed: &OsStr, tags: bool) -> Vec<CompletionCandidate> {
    let Some(typed) = typed.to_str() else { return Vec::new() };
    let catalog = Catalog::load_files(&root());
    let mut found: Vec<(&str, StyledStr)> = Vec::new();
    for model in &catalog.models {
        found.push((&model.name, format!("entry: {}", model.tags().join(" ")).into()));
    }
    if tags {
        let all = catalog.models.iter().flat_map(|m| m.tags()).map(String::as_str);
        let mut all: Vec<&str> = all.chain(["all"]).collect();
        all.sort_unstable();
        all.dedup();
        found.extend(all.into_iter().map(|tag| (tag, "tag".into())));
    }
    found.retain(|(word, _)| word.starts_with(typed));
    found.into_iter().map(|(word, help)| CompletionCandidate::new(word).help(Some(help))).collect()
}

/// The catalog's directory: of the command line so far, else of the variable, else here.
fn root() -> PathBuf {
    let words: Vec<_> = std::env::args_os().collect();
    let behind = words.windows(2).rev().find(|w| w[0] == "--root").map(|w| w[1].clone());
    let joined =
        words.iter().rev().find_map(|w| w.to_str()?.strip_prefix("--root=").map(Into::into));
    let of_line = behind.or(joined);
    let given = of_line.or_else(|| std::env::var_os("MAD_ROOT")).filter(|r| !r.is_empty());
    given.map_or_else(|| ".".into(), PathBuf::from)
}
