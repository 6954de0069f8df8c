//! Where an entry's script or Dockerfile mentions a lever: evidence that costs nothing.

use std::path::PathBuf;

use regex::Regex;

use crate::catalog::{Catalog, Lever, LeverKind};
use crate::diagnostic::relative;
use crate::engine::absolute;
use crate::glob::files_below;
use crate::plan::Job;
use crate::validate::dockerfiles;

/// Files that are looked at, bytes of one of them, and of all.
const FILES: usize = 2000;
const FILE_BYTES: u64 = 256 << 10;
const ALL_BYTES: usize = 16 << 20;

/// The text of an entry's script directory and Dockerfiles.
pub(super) struct Texts {
    /// Paths relative to the catalog's root.
    files: Vec<(PathBuf, String)>,
    /// Whether its script hands arguments on that it does not name.
    hands_on: bool,
    args: String,
}

/// A lever in a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mention {
    /// File and line; none where it is in the entry's arguments.
    pub place: Option<String>,
    /// What a script takes where nothing is set.
    pub default: Option<String>,
    /// Where the script sets it itself, whatever was set before.
    pub overwritten: Option<String>,
}

impl Texts {
    /// Reads what `job` runs. What cannot be read is left out.
    pub(super) fn of(catalog: &Catalog, job: &Job) -> Texts {
        let root = absolute(&catalog.root);
        let scripts = files_below(&job.script_dir, FILES).unwrap_or_default();
        let mut paths: Vec<PathBuf> =
            scripts.into_iter().map(|file| job.script_dir.join(file)).collect();
        if let Some(prefix) = job.model.dockerfile() {
            paths.extend(dockerfiles(&root, prefix).into_iter().map(|(path, _)| root.join(path)));
        }
        let (mut files, mut bytes) = (Vec::new(), 0);
        for path in paths {
            let small = std::fs::metadata(&path).is_ok_and(|m| m.len() <= FILE_BYTES);
            if let Some(text) = std::fs::read_to_string(&path).ok().filter(|_| small) {
                bytes += text.len();
                files.push((relative(&root, &path).to_owned(), text));
            }
            if bytes > ALL_BYTES {
                break;
            }
        }
        let script = job.command.get(1).map(|file| job.script_dir.join(file));
        let script = script.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default();
        let hands_on = ["$@", "$*", "${@", "sys.argv", "parse_known_args"];
        let hands_on = hands_on.iter().any(|word| script.contains(word));
        Texts { files, hands_on, args: shell_words::join(&job.command) }
    }

    /// Where the lever is mentioned, comments apart.
    pub(super) fn mention(&self, lever: &Lever) -> Option<Mention> {
        let patterns = Patterns::of(lever)?;
        if lever.kind == LeverKind::Arg && patterns.word.is_match(&self.args) {
            return Some(Mention::default());
        }
        let mut found: Option<Mention> = None;
        for (path, text) in self.files.iter().filter(|(_, text)| patterns.word.is_match(text)) {
            for (i, line) in text.lines().enumerate() {
                let comment = line.trim_start().starts_with('#');
                if comment || !patterns.word.is_match(line) {
                    continue;
                }
                let place = || format!("{}:{}", path.display(), i + 1);
                let mention = found
                    .get_or_insert_with(|| Mention { place: Some(place()), ..Mention::default() });
                let default = || patterns.defaults.iter().find_map(|p| p.captures(line)?.get(1));
                if mention.default.is_none() {
                    // What another variable says is not known.
                    let plain = |value: &String| !value.is_empty() && !value.contains('$');
                    mention.default =
                        default().map(|value| value.as_str().to_owned()).filter(plain);
                }
                let sets = patterns.sets.as_ref().and_then(|p| p.captures(line)?.get(1));
                if let Some(value) = sets.filter(|value| !patterns.word.is_match(value.as_str())) {
                    let value = value.as_str().trim().trim_matches('"').to_owned();
                    mention.overwritten.get_or_insert(format!("{} sets it to {value}", place()));
                }
            }
        }
        found
    }

    /// Why a change is not likely to reach what is measured, if so.
    pub(super) fn doubt(&self, lever: &Lever, mention: Option<&Mention>) -> Option<String> {
        let nowhere = || format!("nothing in the script's directory mentions {}", lever.name);
        match (lever.kind, mention) {
            (LeverKind::Env, Some(mention)) => mention.overwritten.clone(),
            // Only scripts read such a variable; what a library reads stands nowhere.
            (LeverKind::Env, None) => lever.name.starts_with("MAD_").then(nowhere),
            (LeverKind::Arg, None) => (!self.hands_on).then(nowhere),
            _ => None,
        }
    }
}

/// What is looked for.
struct Patterns {
    word: Regex,
    /// The first group is the value.
    defaults: Vec<Regex>,
    /// An assignment in a shell script; the first group is the value.
    sets: Option<Regex>,
}

impl Patterns {
    fn of(lever: &Lever) -> Option<Patterns> {
        let name = lever.name.trim_start_matches('-');
        let escaped = regex::escape(name);
        let word = match lever.kind {
            LeverKind::Config => return None,
            LeverKind::Env => escaped.clone(),
            // A flag may be spelled either way.
            LeverKind::Arg => {
                let parts = name.split(['-', '_']).map(regex::escape);
                parts.collect::<Vec<_>>().join("[-_]")
            }
        };
        let word = Regex::new(&format!("(?:^|[^A-Za-z0-9_]){word}(?:$|[^A-Za-z0-9_])")).ok()?;
        if lever.kind == LeverKind::Arg {
            return Some(Patterns { word, defaults: Vec::new(), sets: None });
        }
        let defaults = [
            format!(r"\$\{{{escaped}:?[-=]([^}}]*)\}}"),
            format!(r#"(?:environ\.get|getenv)\(\s*["']{escaped}["']\s*,\s*["']?([^"')]*)"#),
            format!(r#"^\s*ENV\s+{escaped}[=\s]\s*"?([^"\s]*)"#),
        ];
        let defaults = defaults.iter().filter_map(|p| Regex::new(p).ok()).collect();
        let sets = Regex::new(&format!(r"^\s*(?:export\s+)?{escaped}=(.*)$")).ok();
        Some(Patterns { word, defaults, sets })
    }
}
