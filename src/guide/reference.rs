//! The pages of reference below `docs/` that are made from the code.

use std::collections::HashSet;
use std::fmt::Write as _;

use clap::Command;

use super::described::{Block, Described, Flag};
use super::fields;
use super::variables::{Reader, VARIABLES};
use crate::cli::Exit;

/// A page of the guide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Its name below `docs/`.
    pub file: &'static str,
    /// Its Markdown.
    pub text: String,
}

/// Said at the head of each page.
const MADE: &str =
    "<!-- Made from the code. To make it anew: MAD_UPDATE=1 cargo test --test guide -->";

/// The pages, for the command line [`crate::cli::command`].
///
/// # Errors
/// When a schema is no JSON, which a test would notice.
pub fn reference(command: &Command) -> anyhow::Result<Vec<Page>> {
    Ok(vec![
        Page { file: "commands.md", text: commands(command) },
        Page { file: "environment.md", text: environment(command) },
        Page { file: "fields.md", text: format!("# Fields\n\n{MADE}\n\n{}", fields::markdown()?) },
    ])
}

fn commands(command: &Command) -> String {
    let all = Described::all(command);
    let mut page = format!(
        "# Commands\n\n{MADE}\n\n\
         Every command and every option. `mad COMMAND --help` says the same in a terminal, `mad man` as manual\n\
         pages, and [`mad howto`](#mad-howto) on one page.\n\n\
         | command | does |\n|---|---|\n"
    );
    for described in &all[1..] {
        let (name, about) = (&described.name, prose(&described.about));
        let _ = writeln!(page, "| [`{name}`](#{}) | {about} |", name.replace(' ', "-"));
    }
    page.push_str("\n## Exit statuses\n\n| status | means |\n|---|---|\n");
    for exit in by_status() {
        let _ = writeln!(page, "| {} | {} |", exit.code(), exit.meaning());
    }
    let _ = write!(
        page,
        "\nIf several things happened, the worst decides: {}. What each of them looks like in CI:\n\
         [ci.md](ci.md#what-happened).\n",
        worst_first()
    );
    for described in &all {
        let root = described.name == "mad";
        let title = if root { "Options of every command" } else { &described.name };
        let _ = write!(page, "\n## {title}\n\n");
        if !root {
            let _ = write!(page, "{}.\n\n", prose(&described.about));
        }
        let _ = write!(page, "```text\n{}\n```\n", described.usage);
        if !described.aliases.is_empty() {
            let _ = write!(page, "\nAlso called `{}`.\n", described.aliases.join("`, `"));
        }
        if !described.flags.is_empty() {
            page.push('\n');
            table(&mut page, &described.flags);
        }
        if described.runs {
            page.push_str(
                "\nBeside these it has the [options of everything that runs entries]\
                 (#options-of-everything-that-runs-entries).\n",
            );
        }
        // Those of all commands are in the table above.
        let statuses = |b: &&Block| matches!(b, Block::Listing { title, .. } if root && title == "Exit status");
        below(&mut page, described.after.iter().filter(|b| !statuses(b)));
        if root {
            page.push_str("\n## Options of everything that runs entries\n\n");
            page.push_str("The [test target](test-target.md) has them, too.\n\n");
            table(&mut page, &Described::of_runs());
        }
    }
    page
}

fn table(page: &mut String, flags: &[Flag]) {
    page.push_str("| option | environment | meaning |\n|---|---|---|\n");
    for flag in flags {
        let variable = flag.variable.as_ref().map(|v| format!("`{v}`")).unwrap_or_default();
        let _ = writeln!(
            page,
            "| {} | {variable} | {} |",
            codes(flag.forms.iter().map(String::as_str)),
            prose(&flag.meaning())
        );
    }
}

fn below<'a>(page: &mut String, blocks: impl Iterator<Item = &'a Block>) {
    for block in blocks {
        match block {
            Block::Prose(text) => {
                let _ = write!(page, "\n{}\n", prose(text));
            }
            Block::Listing { title, lines } => {
                let title = if title.is_empty() { String::new() } else { format!("{title}:\n\n") };
                let _ = write!(page, "\n{title}```text\n{}\n```\n", lines.join("\n"));
            }
        }
    }
}

fn environment(command: &Command) -> String {
    let mut page = format!(
        "# Environment variables\n\n{MADE}\n\n\
         A variable that is set to nothing counts as not set. Switches are set by `1`, `yes` or `true`, not by `0`,\n\
         `no`, `false`. Paths are relative to the directory that `mad` runs in, which is the package's root where\n\
         cargo starts tests.\n\n\
         ## Forms of options\n\n\
         | variable | option | meaning |\n|---|---|---|\n"
    );
    for flag in with_variables(command) {
        let variable = flag.variable.as_deref().unwrap_or_default();
        let option = flag.forms.first().map(String::as_str).unwrap_or_default();
        let _ = writeln!(page, "| `{variable}` | `{option}` | {} |", prose(&flag.meaning()));
    }
    for (title, reader, said) in [
        ("Further variables of the harness", Reader::Harness, "No option is behind them."),
        (
            "What a script sees",
            Reader::Script,
            "Set for the script of an entry, where they apply ([entries.md](entries.md#what-the-script-sees)).",
        ),
        (
            "What shipped scripts read",
            Reader::Shipped,
            "More levers of each entry are in [catalog.md](catalog.md).",
        ),
    ] {
        let _ = write!(page, "\n## {title}\n\n{said}\n\n| variable | meaning |\n|---|---|\n");
        for variable in VARIABLES.iter().filter(|v| v.reader == reader) {
            let names = codes(variable.names.split(", "));
            let _ = writeln!(page, "| {names} | {} |", prose(variable.meaning));
        }
    }
    page
}

/// Every option that has an environment form, once for each variable: those of everything that
/// runs first, as these are written for all.
pub(super) fn with_variables(command: &Command) -> Vec<Flag> {
    let mut seen = HashSet::new();
    let own = Described::all(command).into_iter().flat_map(|d| d.flags);
    let mut flags: Vec<Flag> = Described::of_runs().into_iter().chain(own).collect();
    flags.retain(|f| f.variable.clone().is_some_and(|v| seen.insert(v)));
    flags
}

fn codes<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{}`", word.replace('|', "\\|"))).collect::<Vec<_>>().join(", ")
}

/// The exit statuses but 0, the worst first.
pub(super) fn worst_first() -> String {
    let codes = Exit::ALL.iter().rev().map(|exit| exit.code().to_string());
    codes.filter(|code| code != "0").collect::<Vec<_>>().join(", ")
}

/// Every exit status, in the order of the numbers.
pub(super) fn by_status() -> [Exit; 6] {
    let mut all = Exit::ALL;
    all.sort_by_key(|exit| exit.code());
    all
}

/// Text in which only backticks mean something, as Markdown that may stand in a table.
pub(super) fn prose(text: &str) -> String {
    let mut markdown = String::new();
    for (n, part) in text.split('`').enumerate() {
        if n > 0 {
            markdown.push('`');
        }
        let code = n % 2 == 1;
        for c in part.chars() {
            match c {
                '|' => markdown.push_str("\\|"),
                '<' if !code => markdown.push_str("&lt;"),
                '*' | '_' | '[' | ']' if !code => markdown.extend(['\\', c]),
                c => markdown.push(c),
            }
        }
    }
    markdown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_stands_in_a_table() {
        assert_eq!(prose("a|b <c> `d_*|<e>` f_g*[h]"), "a\\|b &lt;c> `d_*\\|<e>` f\\_g\\*\\[h\\]");
    }

    #[test]
    fn every_variable_that_steers_is_there() {
        let page = environment(&crate::cli::command());
        for variable in crate::options::variables() {
            assert!(page.contains(&format!("`{variable}`")), "environment.md lacks {variable}");
        }
    }
}
