//! What the command line says of itself.

use std::collections::BTreeSet;

use clap::{Arg, Args, Command};

use crate::options::RunOptions;

/// An option or an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As it is typed: `--tags TAG`, `-t`, `[TAG]…`; aliases last.
    pub forms: Vec<String>,
    /// Its environment form.
    pub variable: Option<String>,
    /// What it does.
    pub help: String,
    /// What holds without it.
    pub default: Option<String>,
    /// Values it takes, each with what it means if that is said.
    pub values: Vec<(String, String)>,
}

/// A piece of what stands below the options of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// A paragraph.
    Prose(String),
    /// Lines as they are, below a title.
    Listing {
        /// Without its colon; may be empty.
        title: String,
        /// The lines, without what all of them are indented by.
        lines: Vec<String>,
    },
}

/// A command, or `mad` itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// What is typed: `mad baseline accept`.
    pub name: String,
    /// What it does, in one sentence.
    pub about: String,
    /// `mad baseline accept [OPTIONS] [TAG]...`.
    pub usage: String,
    /// Other names of it.
    pub aliases: Vec<String>,
    /// Its own options and arguments.
    pub flags: Vec<Flag>,
    /// Whether it also has the options of everything that runs entries.
    pub runs: bool,
    /// What stands below the options.
    pub after: Vec<Block>,
}

impl Described {
    /// `mad` itself, with the options of every command, and then each command that can be
    /// called, in the order of `mad --help`. `command` is [`crate::cli::command`].
    pub fn all(command: &Command) -> Vec<Described> {
        let mut all = vec![Described::new(command, command.get_name(), true)];
        below(command, command.get_name(), &mut all);
        all
    }

    /// The options of everything that runs entries.
    pub fn of_runs() -> Vec<Flag> {
        run_options().get_arguments().filter(|a| !a.is_hide_set()).map(Flag::new).collect()
    }

    fn new(command: &Command, name: &str, root: bool) -> Described {
        let shared: BTreeSet<&str> = SHARED.iter().map(String::as_str).collect();
        let own = |arg: &&Arg| {
            let clap = matches!(arg.get_id().as_str(), "help" | "version");
            !arg.is_hide_set() && !clap && (root || !arg.is_global_set())
        };
        let arguments: Vec<&Arg> = command.get_arguments().filter(own).collect();
        let ids: BTreeSet<&str> = arguments.iter().map(|a| a.get_id().as_str()).collect();
        let runs = shared.is_subset(&ids);
        let flags = arguments.iter().filter(|a| !(runs && shared.contains(a.get_id().as_str())));
        let usage = command.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage:").split_whitespace();
        Described {
            name: name.to_owned(),
            about: command.get_about().map(ToString::to_string).unwrap_or_default(),
            usage: usage.collect::<Vec<_>>().join(" "),
            aliases: command.get_visible_aliases().map(str::to_owned).collect(),
            flags: flags.map(|a| Flag::new(a)).collect(),
            runs,
            after: blocks(&command.get_after_help().map(ToString::to_string).unwrap_or_default()),
        }
    }
}

static SHARED: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
    run_options().get_arguments().map(|a| a.get_id().to_string()).collect()
});

fn run_options() -> Command {
    RunOptions::augment_args(Command::new("options"))
}

/// The commands below `command`; one that only holds others is not one itself.
fn below(command: &Command, name: &str, all: &mut Vec<Described>) {
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        let name = format!("{name} {}", sub.get_name());
        if !sub.is_subcommand_required_set() {
            all.push(Described::new(sub, &name, false));
        }
        below(sub, &name, all);
    }
}

impl Flag {
    fn new(arg: &Arg) -> Flag {
        let value = value(arg);
        let mut forms = Vec::new();
        if let Some(long) = arg.get_long() {
            forms.push(format!("--{long}{value}"));
        }
        forms.extend(arg.get_short().map(|short| format!("-{short}")));
        if arg.is_positional() {
            forms.push(arg.to_string());
        }
        let aliases = arg.get_visible_aliases().unwrap_or_default();
        forms.extend(aliases.iter().map(|alias| format!("--{alias}")));
        let takes = arg.get_action().takes_values();
        let shown = takes && !arg.is_hide_default_value_set();
        let defaults: Vec<String> =
            arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
        let possible = if takes { arg.get_possible_values() } else { Vec::new() };
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string);
        Flag {
            forms,
            variable: arg.get_env().map(|v| v.to_string_lossy().into_owned()),
            help: help.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" "),
            default: Some(defaults.join(",")).filter(|d| shown && !d.is_empty()),
            values: possible
                .iter()
                .filter(|v| !v.is_hide_set())
                .map(|v| {
                    let help = v.get_help().map(ToString::to_string).unwrap_or_default();
                    (v.get_name().to_owned(), help)
                })
                .collect(),
        }
    }

    /// What it does, what it takes and what holds without it, in which backticks are code.
    pub fn meaning(&self) -> String {
        let mut meaning = self.help.clone();
        if !self.values.is_empty() {
            let value = |(name, help): &(String, String)| match help.is_empty() {
                true => format!("`{name}`"),
                false => format!("`{name}` ({help})"),
            };
            meaning += ". One of ";
            meaning += &self.values.iter().map(value).collect::<Vec<_>>().join(", ");
        }
        if let Some(default) = &self.default {
            meaning += &format!(". Default: `{default}`");
        }
        meaning
    }
}

/// The value that an option takes, as it is shown behind its name.
fn value(arg: &Arg) -> String {
    if arg.is_positional() || !arg.get_action().takes_values() {
        return String::new();
    }
    let names = arg.get_value_names().unwrap_or_default();
    names.iter().map(|name| format!(" {name}")).collect()
}

/// Paragraphs are parted by blank lines; one whose lines are indented, but for a title, is a
/// listing.
fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    for part in text.split("\n\n").filter(|p| !p.trim().is_empty()) {
        let lines: Vec<&str> = part.lines().filter(|l| !l.trim().is_empty()).collect();
        let indented = |l: &&str| l.starts_with(' ');
        let (title, rest) = match lines.split_first() {
            Some((first, rest)) if !indented(first) && first.ends_with(':') => (*first, rest),
            _ => ("", &lines[..]),
        };
        if rest.is_empty() || !rest.iter().all(indented) {
            blocks.push(Block::Prose(lines.join(" ")));
            continue;
        }
        let depth = |l: &&str| l.len() - l.trim_start().len();
        let least = rest.iter().map(depth).min().unwrap_or(0);
        blocks.push(Block::Listing {
            title: title.trim_end_matches(':').to_owned(),
            lines: rest.iter().map(|l| l[least..].to_owned()).collect(),
        });
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_below_the_options_is_prose_and_listings() {
        let listing = |title: &str, lines: &[&str]| Block::Listing {
            title: title.to_owned(),
            lines: lines.iter().map(|&l| l.to_owned()).collect(),
        };
        assert_eq!(
            blocks("One\ntwo.\n\nExamples:\n  mad a\n    more\n\n  alone\n\nEnds with:\nno list"),
            [
                Block::Prose("One two.".into()),
                listing("Examples", &["mad a", "  more"]),
                listing("", &["alone"]),
                Block::Prose("Ends with: no list".into()),
            ]
        );
        assert_eq!(blocks(""), []);
    }

    #[test]
    fn every_command_is_described() {
        let all = Described::all(&crate::cli::command());
        let of = |name: &str| {
            let found = all.iter().find(|d| d.name == name);
            found.unwrap_or_else(|| panic!("no {name}"))
        };
        assert!(!of("mad").runs && of("mad").flags.iter().any(|f| f.forms[0] == "--root DIR"));
        assert!(of("mad benchmark").runs && of("mad sweep").runs && !of("mad validate").runs);
        assert!(of("mad benchmark").flags.iter().all(|f| f.variable.is_none()));
        assert!(all.iter().all(|d| d.name != "mad baseline" && d.name != "mad help"));
        let accept = of("mad baseline accept");
        assert!(!accept.about.is_empty() && accept.usage.starts_with("mad baseline accept"));
        for described in &all {
            assert!(described.flags.iter().all(|f| !f.help.is_empty()), "{}", described.name);
            assert!(!described.about.is_empty(), "{}", described.name);
        }
        assert!(Described::of_runs().len() > 30);
    }
}
