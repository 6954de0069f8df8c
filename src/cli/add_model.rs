//! `mad add-model`.

use std::io::IsTerminal;

use anyhow::{Context, Result, bail};
use clap::Args;
use inquire::{Confirm, InquireError, Select, Text, validator::Validation};
use serde_json::json;

use super::{Exit, Global, colour, load, print, print_json};
use crate::catalog::Catalog;
use crate::diagnostic::Diagnostic;
use crate::engine::Cancel;
use crate::scaffold::{Request, Scaffold, check_name, nearest};

/// Add an entry, with a Dockerfile and a script that runs.
#[derive(Args, Debug)]
#[command(after_help = "\
The entry is made after the nearest one: same framework, then project, then words of the
workload. Everything is checked first, and written as a whole or not at all; nothing that
exists is overwritten. In a terminal and without NAME it asks.

Examples:
  mad add-model pyt_vllm_llama-3.1-8b --url https://huggingface.co/meta-llama/Llama-3.1-8B
  mad add-model pyt_sglang_qwen3-8b --dry-run
  mad add-model rust_fft --from rust_gemm --notes 'radix 4, in place'")]
pub(super) struct AddModel {
    /// Name, by convention framework_project_workload
    name: Option<String>,
    /// Repository to clone before the script runs, or the page of a model on huggingface.co
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Make it after this entry instead of the nearest one
    #[arg(long, value_name = "MODEL")]
    from: Option<String>,
    /// What to write at the head of the script
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl AddModel {
    pub(super) fn run(self, global: &Global) -> Result<Exit> {
        let catalog = load(global);
        let asked = self.name.is_none();
        let request = match self.name.clone() {
            Some(name) => Request { name, url: self.url, from: self.from, notes: self.notes },
            None if global.json || !interactive() => bail!(
                "NAME is missing, and there is no terminal to ask in: `mad add-model NAME`, by \
                 convention framework_project_workload"
            ),
            None => match self.ask(catalog)? {
                Some(request) => request,
                None => return Ok(stopped()),
            },
        };
        let scaffold = Scaffold::new(catalog, &request)?;
        let found = scaffold.validate()?;
        let bad = found.iter().any(Diagnostic::is_error);
        if !global.json {
            print(&explained(&scaffold))?;
            print(&coloured(&scaffold.diff()))?;
            for diagnostic in &found {
                eprintln!("{diagnostic}");
            }
        }
        if bad {
            if global.json {
                print_json(&document(&scaffold, &found, false, global))?;
            }
            eprintln!("error: the new entry would not be valid; nothing was written");
            return Ok(Exit::Findings);
        }
        if asked && !self.dry_run {
            let answer = Confirm::new("Write these files?").with_default(true).prompt();
            match answered(answer)? {
                Some(true) => {}
                Some(false) | None => return Ok(stopped()),
            }
        }
        if !self.dry_run {
            let cancel = Cancel::default();
            cancel.on_signals()?;
            scaffold.write(&|| cancel.is_cancelled())?;
        }
        if global.json {
            print_json(&document(&scaffold, &found, !self.dry_run, global))?;
        } else {
            print(&next(&scaffold, self.dry_run, global))?;
        }
        Ok(Exit::Ok)
    }

    /// Asks for what the command line does not say; `None` when the user stops.
    fn ask(&self, catalog: &'static Catalog) -> Result<Option<Request>> {
        let check = |name: &str| {
            Ok(match check_name(name.trim(), catalog) {
                Ok(()) => Validation::Valid,
                Err(e) => Validation::Invalid(format!("{e:#}").into()),
            })
        };
        let name = Text::new("Name:")
            .with_help_message("framework_project_workload, e.g. pyt_vllm_llama-3.1-8b")
            .with_validator(check);
        let Some(name) = answered(name.prompt())? else { return Ok(None) };
        let name = name.trim().to_owned();
        let from = match (&self.from, nearest(catalog, &name)) {
            (Some(from), _) => Some(from.clone()),
            (None, near) if near.is_empty() => None,
            (None, near) => {
                let choices: Vec<String> =
                    near.iter().map(|t| format!("{} ({})", t.model.name, t.why)).collect();
                let Some(choice) = answered(Select::new("Made after:", choices).raw_prompt())?
                else {
                    return Ok(None);
                };
                Some(near[choice.index].model.name.clone())
            }
        };
        let text = |given: &Option<String>, question: &str, help: &str| match given {
            Some(given) => Ok(Some(given.clone())),
            None => answered(Text::new(question).with_help_message(help).prompt()),
        };
        let help = "a repository to clone, or a page of huggingface.co; may be empty";
        let Some(url) = text(&self.url, "URL:", help)? else { return Ok(None) };
        let help = "for the head of the script; may be empty";
        let Some(notes) = text(&self.notes, "Notes:", help)? else { return Ok(None) };
        let given = |text: String| Some(text).filter(|t| !t.trim().is_empty());
        Ok(Some(Request { name, url: given(url), from, notes: given(notes) }))
    }
}

fn interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// An answer; `None` after Ctrl-C or Escape.
fn answered<T>(answer: Result<T, InquireError>) -> Result<Option<T>> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(InquireError::OperationInterrupted | InquireError::OperationCanceled) => Ok(None),
        Err(e) => Err(e).context("cannot ask; give NAME and the options instead"),
    }
}

fn stopped() -> Exit {
    eprintln!("stopped; nothing was written");
    Exit::Findings
}

/// What it is made after, and from what.
fn explained(scaffold: &Scaffold) -> String {
    let template = match &scaffold.template {
        Some(template) => format!("made after {}: {}", template.model.name, template.why),
        None => "made after no entry: none has the same framework".to_owned(),
    };
    let images = match scaffold.reused.as_slice() {
        [] if scaffold.entry.get("dockerfile").is_none() => {
            "; on the host, without an image".to_owned()
        }
        [] => String::new(),
        reused => {
            let names: Vec<String> = reused.iter().map(|p| p.display().to_string()).collect();
            format!("; with {}", names.join(", "))
        }
    };
    format!("{template}\nscript for {}{images}\n\n", scaffold.stack.name())
}

/// Commands that verify the entry: is it valid, does it run, what does it measure.
fn commands(scaffold: &Scaffold, global: &Global) -> [String; 3] {
    let root = match global.root.as_os_str() {
        root if root == "." => String::new(),
        root => format!(" --root {}", shell_words::quote(&root.to_string_lossy())),
    };
    let name = &scaffold.name;
    [
        format!("mad{root} validate {name}"),
        format!(
            "MAD_STAND_IN=1 mad{root} benchmark {name} --engine host --ngpus 0 --samples 1 --warmup 0"
        ),
        format!("mad{root} benchmark {name} --samples 1"),
    ]
}

fn next(scaffold: &Scaffold, dry_run: bool, global: &Global) -> String {
    let [valid, stand_in, real] = commands(scaffold, global);
    let mut written = vec!["models.json".to_owned()];
    written.extend(scaffold.files.iter().map(|f| f.path.display().to_string()));
    let done = if dry_run { "would write" } else { "wrote" };
    let mut text = format!("\n{done} {}\n", written.join(", "));
    if dry_run {
        return text;
    }
    let run = format!("scripts/{}/run.sh", scaffold.name);
    text.push_str(&format!(
        "\nverify it:\n  {valid}\n  {stand_in}\n      a loop of the shell as stand-in: anywhere, in a second\n  {real}\n      \
         the real thing; {run} says what it does\n"
    ));
    text
}

fn document(
    scaffold: &Scaffold,
    found: &[Diagnostic],
    written: bool,
    global: &Global,
) -> serde_json::Value {
    let template = scaffold.template.as_ref();
    json!({
        "schema": "mad-add-model/1",
        "name": scaffold.name,
        "stack": scaffold.stack.name(),
        "template": template.map(|t| json!({ "name": t.model.name, "why": t.why })),
        "entry": scaffold.entry,
        "files": scaffold.files.iter().map(|f| &f.path).collect::<Vec<_>>(),
        "reused": scaffold.reused,
        "diff": scaffold.diff(),
        "diagnostics": found,
        "written": written,
        "verify": commands(scaffold, global),
    })
}

/// A diff in colour, where standard output is a terminal.
fn coloured(diff: &str) -> String {
    if !colour(&std::io::stdout()) {
        return diff.to_owned();
    }
    let paint = |line: &str| match line.as_bytes().first() {
        Some(b'+') => format!("\x1b[32m{line}\x1b[0m\n"),
        Some(b'-') => format!("\x1b[31m{line}\x1b[0m\n"),
        Some(b'@') => format!("\x1b[36m{line}\x1b[0m\n"),
        _ => format!("{line}\n"),
    };
    diff.lines().map(paint).collect()
}
