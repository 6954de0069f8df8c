//! Rules about the script of an entry, and what it reports its numbers by.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Validator;
use super::files::{Unread, normalise};
use super::rules::{Rule, contract, scripts as rules};
use super::trace::text::{can_name, may_be_read, readable};
use super::trace::{Evidence, Item, trace, trace_here};
use crate::catalog::{Contract, Model};
use crate::diagnostic::{Diagnostic, Place, did_you_mean};

/// The line a script needs.
const EXAMPLE: &str = "echo \"performance: $value tokens_per_second\"";

impl Validator<'_> {
    pub(super) fn script(&self, model: &Model, found: &mut Vec<Diagnostic>) {
        let Some(path) = self.script_file(model, found) else { return };
        let text = match self.files.text(&path) {
            Ok(text) => text,
            Err(Unread::Unusable(why)) => {
                found.push(rules::NOT_CHECKED.at(Place::file(path), why));
                return;
            }
            Err(Unread::Missing | Unread::Outside) => return,
        };
        shebang(&path, &text, found);
        let evidence =
            self.evidence.get(&path, || Arc::new(trace(&self.files, &self.programs, &path)));
        found.extend(evidence.problems.iter().cloned());
        // What does not parse is not executed, either.
        if evidence.problems.iter().any(Diagnostic::is_error) {
            return;
        }
        match model.contract() {
            Contract::Line => line(model, &path, &evidence, found),
            Contract::Csv(file) => csv(model, &path, &file, &evidence, found),
            Contract::SelfManaged => self_managed(&path, &evidence, found),
        }
    }

    /// Follows the entry's script for those who ask later; in a thread of
    /// [`super::trace::thread`].
    pub(super) fn follow_script(&self, model: &Model) {
        let Some(path) = self.script_file(model, &mut Vec::new()) else { return };
        if self.files.text(&path).is_ok() {
            let follow = || Arc::new(trace_here(&self.files, &self.programs, &path));
            self.evidence.get(&path, follow);
        }
    }

    /// The file that is run for the entry.
    fn script_file(&self, model: &Model, found: &mut Vec<Diagnostic>) -> Option<PathBuf> {
        let Some(script) = model.script() else {
            // A value of the wrong type has been reported already.
            if model.raw().get("scripts").is_none_or(|v| v.is_string()) {
                let help =
                    "name a `.sh`, `.slurm`, `.sbatch` or `.py` file, or a directory with `run.sh`";
                let message = "the entry has no script: there is nothing to run";
                found.push(rules::NO_SCRIPT.at(model.place("scripts"), message).help(help));
            }
            return None;
        };
        let place = || model.place("scripts");
        let path = normalise(script).filter(|path| self.files.is_inside(path));
        let Some(path) = path else {
            let message = format!("the script lies outside of the catalog: `{}`", script.display());
            found.push(rules::OUTSIDE.at(place(), message).help("move it below the catalog root"));
            return None;
        };
        let ending = path.extension().and_then(|e| e.to_str());
        let is_script = matches!(ending, Some("sh" | "slurm" | "sbatch" | "py"));
        let problem = match (is_script, self.files.is_dir(&path), self.files.is_file(&path)) {
            (true, _, true) => return Some(path),
            (_, true, _) => {
                let inner = path.join("run.sh");
                if self.files.is_file(&inner) {
                    return Some(inner);
                }
                format!("the directory `{}` has no `run.sh`", path.display())
            }
            (false, _, true) => {
                format!("`{}` is not a kind of script that can be run", path.display())
            }
            (_, _, false) => format!("there is no `{}`", path.display()),
        };
        let help = match self.near(&path) {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                "paths are relative to the catalog root, or to the directory of a nested catalog"
                    .to_owned()
            }
        };
        found.push(rules::SCRIPT_NOT_FOUND.at(place(), problem).help(help));
        None
    }

    /// A file beside `path` whose name is nearly the same.
    fn near(&self, path: &Path) -> Option<String> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let wanted = path.file_name()?.to_str()?;
        let entries = std::fs::read_dir(self.catalog.root.join(parent)).ok()?;
        let names: Vec<String> =
            entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
        let near = did_you_mean(wanted, names.iter().map(String::as_str))?;
        (near != wanted).then(|| parent.join(near).display().to_string())
    }
}

fn shebang(path: &Path, text: &str, found: &mut Vec<Diagnostic>) {
    let line = text.lines().next().unwrap_or_default();
    let trimmed = line.trim_start_matches('\u{feff}').trim_start();
    let Some(interpreter) = trimmed.strip_prefix("#!") else { return };
    let why = if !line.starts_with("#!") {
        "`#!` must be the first two bytes of the file"
    } else if line.ends_with('\r')
        || text.lines().count() > 1 && text.starts_with(&format!("{line}\r\n"))
    {
        "the line ends in a carriage return, which becomes part of the interpreter's name"
    } else if !interpreter.trim_start().starts_with('/') {
        "the interpreter must be an absolute path"
    } else {
        return;
    };
    let interpreter = match path.extension().is_some_and(|e| e == "py") {
        true => "#!/usr/bin/env python3",
        false => "#!/bin/bash",
    };
    let place = Place::span(path, text, 0..line.len());
    let diagnostic = rules::ODD_SHEBANG.at(place, why).help(format!("write `{interpreter}`"));
    // A whole script with carriage returns fails in more than its first line.
    let clean = text.trim_start_matches('\u{feff}').trim_start().replace("\r\n", "\n");
    found.push(match trimmed.trim_end().ends_with(interpreter.trim()) && clean != text {
        true => diagnostic.fix(0..text.len(), clean),
        false => diagnostic,
    });
}

fn line(model: &Model, path: &Path, evidence: &Evidence, found: &mut Vec<Diagnostic>) {
    if evidence.prints.iter().any(|item| may_be_read(&item.text)) {
        return;
    }
    if !evidence.is_complete() {
        found.push(cannot_tell(
            &contract::CANNOT_TELL,
            path,
            evidence,
            "a performance line is printed",
        ));
        return;
    }
    if let Some(item) = evidence.prints.first() {
        let shown = readable(&item.text);
        let at = shown.find("performance:").unwrap_or(0);
        let shown: String =
            shown[at..].lines().next().unwrap_or_default().chars().take(80).collect();
        let message = format!("`{shown}` is not a line that can be read");
        let help = "the line is `performance: <number> <metric>`";
        found.push(contract::UNREADABLE_METRIC.at(item.place.clone(), message).help(help));
        return;
    }
    let message = "nothing that is executed prints a `performance:` line";
    let help = match evidence.csv.iter().next() {
        Some(csv) => {
            let csv = readable(csv);
            format!(
                "add `{EXAMPLE}`, or name `{csv}` in `multiple_results` if it holds the numbers"
            )
        }
        None => format!("add `{EXAMPLE}`"),
    };
    let diagnostic = contract::NO_METRIC.at(Place::file(path), message).help(help);
    found.push(diagnostic.related(model.place("scripts"), "run for this entry"));
}

fn csv(model: &Model, path: &Path, file: &str, evidence: &Evidence, found: &mut Vec<Diagnostic>) {
    let base = file.rsplit('/').next().unwrap_or(file);
    let named = evidence.output_csv
        || evidence.csv.iter().any(|pattern| can_name(pattern, base))
        || model.args().contains(base);
    if named {
        return;
    }
    if !evidence.is_complete() {
        let what = format!("`{base}` is written");
        found.push(cannot_tell(&contract::CANNOT_TELL, path, evidence, &what));
        return;
    }
    let other = evidence.csv.iter().next().map(|csv| readable(csv));
    let (message, help) = match (evidence.prints.first(), other) {
        (_, Some(other)) => (
            format!("nothing that is executed writes `{base}`, but `{other}` is named"),
            format!("make the two names the same, or write to `$MAD_OUTPUT_CSV` (here: `{file}`)"),
        ),
        (Some(_), None) => (
            format!("the script prints a `performance:` line but never writes `{base}`"),
            "with `multiple_results` the line is not read: remove the key, or write the file"
                .to_owned(),
        ),
        (None, None) => (
            format!("nothing that is executed writes `{base}`"),
            format!("write `model,performance,metric` rows to `$MAD_OUTPUT_CSV` (here: `{file}`)"),
        ),
    };
    let mut diagnostic = contract::NO_CSV.at(model.place("multiple_results"), message).help(help);
    if let Some(item) = evidence.prints.first() {
        diagnostic = diagnostic.related(item.place.clone(), "printed here");
    }
    found.push(diagnostic.related(Place::file(path), "the script"));
}

fn self_managed(path: &Path, evidence: &Evidence, found: &mut Vec<Diagnostic>) {
    let is_perf = |name: &String| {
        let base = name.rsplit('/').next().unwrap_or(name);
        base.starts_with("perf") || can_name(base, "perf.csv") || base.contains("result")
    };
    if evidence.output_csv || evidence.csv.iter().any(is_perf) {
        return;
    }
    let rule = &contract::NO_SELF_MANAGED_CSV;
    found.push(match evidence.is_complete() {
        false => cannot_tell(rule, path, evidence, "a perf CSV is written"),
        true => {
            let message = "the script of this self-managed entry names no perf CSV";
            rule.at(Place::file(path), message).help("write the numbers to `perf.csv`")
        }
    });
}

fn cannot_tell(rule: &Rule, path: &Path, evidence: &Evidence, what: &str) -> Diagnostic {
    let reason = |item: &Item| format!("cannot tell whether {what}: {}", item.text);
    let (place, message) = match (evidence.unknown.first(), evidence.problems.first()) {
        (Some(item), _) => (item.place.clone(), reason(item)),
        (None, Some(problem)) => {
            (problem.place.clone(), format!("cannot tell whether {what}: {}", problem.message))
        }
        (None, None) => (Place::file(path), format!("cannot tell whether {what}")),
    };
    let diagnostic = rule.at(place, message);
    let more = evidence.unknown.iter().skip(1).take(3);
    more.fold(diagnostic, |d, item| d.related(item.place.clone(), item.text.clone()))
}
