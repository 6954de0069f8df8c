//! Rules about the Dockerfiles of an entry.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Validator;
use super::dockerfile::{self, Context, ContextErrorKind};
use super::files::{Unread, normalise};
use super::rules::{docker as rules, scripts};
use crate::catalog::Model;
use crate::diagnostic::{Diagnostic, Place, did_you_mean};

/// What madengine assumes of a machine that nobody described.
const DEFAULTS: [(&str, &str); 2] = [("gpu_vendor", "AMD"), ("guest_os", "UBUNTU")];

/// What is known about the Dockerfiles of one prefix; shared by the entries that name it.
#[derive(Debug, Default)]
pub(super) struct Dockerfiles {
    problems: Vec<Diagnostic>,
    headers: Vec<(PathBuf, Context)>,
    any: bool,
}

impl Validator<'_> {
    pub(super) fn docker(&self, model: &Model, found: &mut Vec<Diagnostic>) {
        // The images of a manifest are built.
        let Some(prefix) = model.dockerfile().filter(|_| model.images().is_none()) else { return };
        let Some(prefix) = normalise(prefix) else {
            let message = format!("`dockerfile` leads out of the catalog: `{}`", prefix.display());
            found.push(scripts::OUTSIDE.at(model.place("dockerfile"), message));
            return;
        };
        let files = self.dockerfiles.get(&prefix, || Arc::new(self.examine(&prefix)));
        let place = || model.place("dockerfile");
        if !files.any {
            let message = format!("no file matches `{}.*`", prefix.display());
            let diagnostic = rules::NO_DOCKERFILE.at(place(), message);
            found.push(diagnostic.help(self.suggest(&prefix)));
            return;
        }
        found.extend(files.problems.iter().cloned());
        // Broken headers say enough; what survives is guesswork then.
        if files.problems.iter().any(Diagnostic::is_error) {
            return;
        }
        let possible = files.headers.iter().filter(|(_, context)| !contradicts_default(context));
        let possible: Vec<_> = possible.collect();
        if possible.is_empty() {
            let message = "no Dockerfile of the entry is for AMD GPUs under Ubuntu";
            found.push(rules::OTHER_VENDOR.at(place(), message));
        }
        let certain = possible.into_iter().filter(|(_, context)| !is_conditional(context));
        let certain: Vec<&PathBuf> = certain.map(|(path, _)| path).collect();
        match certain.as_slice() {
            [] | [_] => {}
            several => {
                let count = several.len();
                let message = format!("{count} Dockerfiles fit one machine: {count} measurements");
                let related =
                    |d: Diagnostic, path: &&PathBuf| d.related(Place::file(*path), "fits");
                let diagnostic = rules::SEVERAL.at(place(), message);
                found.push(several.iter().fold(diagnostic, related));
            }
        }
    }

    fn examine(&self, prefix: &Path) -> Dockerfiles {
        let mut result = Dockerfiles::default();
        for path in dockerfile::candidates(&self.catalog.root, prefix) {
            result.any = true;
            let text = match self.files.text(&path) {
                Ok(text) => text,
                Err(Unread::Outside) => {
                    let message = "the Dockerfile lies outside of the catalog";
                    result.problems.push(scripts::OUTSIDE.at(Place::file(path), message));
                    continue;
                }
                Err(Unread::Unusable(why)) => {
                    result.problems.push(scripts::NOT_CHECKED.at(Place::file(path), why));
                    continue;
                }
                Err(Unread::Missing) => continue,
            };
            let stray = path.extension().is_none_or(|e| e != "Dockerfile");
            match dockerfile::context_header(&text) {
                Ok(context) => result.headers.push((path.clone(), context)),
                Err(e) => {
                    let rule = match e.kind {
                        ContextErrorKind::Twice => &rules::TWO_CONTEXTS,
                        ContextErrorKind::Invalid => &rules::BAD_CONTEXT,
                        ContextErrorKind::Missing | ContextErrorKind::Unreadable => {
                            &rules::NO_CONTEXT
                        }
                    };
                    let help = match stray {
                        true => "this is no Dockerfile by its name: rename it, or move it away",
                        false => {
                            "begin the file with `# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}`"
                        }
                    };
                    let place = Place::span(&path, &text, e.span);
                    let diagnostic = rule.at(place, e.message).help(help);
                    result.problems.push(match header_of_name(&path) {
                        // A header further down is one that somebody meant.
                        Some(header)
                            if e.kind == ContextErrorKind::Missing
                                && !text.contains("# CONTEXT") =>
                        {
                            diagnostic.fix(0..0, header)
                        }
                        _ => diagnostic,
                    });
                    continue;
                }
            }
            if stray {
                let message =
                    format!("`{}.*` matches this file: it is built, too", prefix.display());
                let help = "let Dockerfiles end in `.Dockerfile`, and move other files away";
                result.problems.push(rules::STRAY.at(Place::file(&path), message).help(help));
            }
            let is_from = |line: &str| {
                line.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case("FROM"))
            };
            if !text.lines().any(is_from) {
                let message = "the Dockerfile has no `FROM`";
                result.problems.push(rules::NO_FROM.at(Place::file(&path), message));
            }
        }
        result
    }

    /// Help for a prefix that matches nothing.
    fn suggest(&self, prefix: &Path) -> String {
        let parent = prefix.parent().unwrap_or(Path::new(""));
        let wanted = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if self.files.is_file(prefix) {
            let stem = wanted.split('.').next().unwrap_or_default();
            return format!("`dockerfile` is a prefix: write `{}`", parent.join(stem).display());
        }
        let entries = std::fs::read_dir(self.catalog.root.join(parent));
        let names: Vec<String> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .filter_map(|name| name.split_once('.').map(|(stem, _)| stem.to_owned()))
            .collect();
        match did_you_mean(&wanted, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{}`?", parent.join(near).display()),
            None => format!("create `{}.ubuntu.amd.Dockerfile`", prefix.display()),
        }
    }
}

/// Whether a header speaks against a machine that nobody described.
fn contradicts_default(context: &Context) -> bool {
    DEFAULTS.iter().any(|(key, value)| context.get(*key).is_some_and(|v| v != value))
}

/// Whether the header asks for things that only a context can answer.
fn is_conditional(context: &Context) -> bool {
    context.keys().any(|key| DEFAULTS.iter().all(|(known, _)| known != key))
}

/// The header that the name of a Dockerfile stands for, `x.ubuntu.amd.Dockerfile`.
fn header_of_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(".Dockerfile")?;
    let (name, vendor) = name.rsplit_once('.')?;
    let (_, system) = name.rsplit_once('.')?;
    let known = ["amd", "nvidia"].contains(&vendor) && ["ubuntu", "centos"].contains(&system);
    let (vendor, system) = (vendor.to_uppercase(), system.to_uppercase());
    known.then(|| format!("# CONTEXT {{'gpu_vendor': '{vendor}', 'guest_os': '{system}'}}\n"))
}
