//! `mad validate`.

use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use notify::{RecursiveMode, Watcher};

use super::{Exit, Global, colour, load, print, print_json, select};
use crate::catalog::Catalog;
use crate::diagnostic::{Diagnostic, Severity};
use crate::validate::{self, Validator};

/// How long nothing must change before it is looked at again.
const QUIET: Duration = Duration::from_millis(150);
/// How often --fix looks again: a file that can be read at last may have more to mend.
const ROUNDS: usize = 100;

/// Check entries without running them.
#[derive(Args, Debug)]
#[command(after_help = "\
--fix mends what can be mended in only one way, and touches nothing else:
  MAD001  a comma behind the last element of a list or an object of a catalog
  MAD022  a script whose first line is spoilt by carriage returns, or by what stands before it
  MAD031  a missing CONTEXT header, where the name says it (x.ubuntu.amd.Dockerfile)
  MAD060  a key that is a typo of one known key

Examples:
  mad validate                                   every entry
  mad validate pyt --deny-warnings               those with a tag, and warnings fail
  mad validate --format sarif > mad.sarif        for GitHub code scanning
  mad validate --fix --dry-run                   what would be mended
  mad validate --explain MAD040")]
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
    /// Mend what can be mended in only one way (see below)
    #[arg(long)]
    fix: bool,
    /// With --fix: show the changes, and make none
    #[arg(long, requires = "fix")]
    dry_run: bool,
    /// Check again whenever something changes, until Ctrl-C
    #[arg(long, conflicts_with_all = ["fix", "json", "format"])]
    watch: bool,
    /// Explain a rule, `MAD004`, instead of checking
    #[arg(long, value_name = "RULE", conflicts_with_all = ["words", "tags", "fix", "watch"])]
    explain: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Github,
    Sarif,
}

impl Validate {
    pub(super) fn run(&self, global: &Global) -> Result<Exit> {
        if let Some(id) = &self.explain {
            return explain(id);
        }
        if self.watch {
            return self.keep_watch(global);
        }
        if self.fix {
            self.mend(global)?;
        }
        let catalog = load(global);
        let (found, checked) = self.check(catalog)?;
        let base = seen_from_here(&global.root);
        match (global.json, self.format) {
            (true, _) | (_, Format::Json) => {
                print_json(&validate::render_json(&found, checked))?;
            }
            (_, Format::Github) => print(&validate::render_github(&found, &base))?,
            (_, Format::Sarif) => print_json(&validate::render_sarif(&found, &base))?,
            (_, Format::Text) => print(&text(&found, checked, catalog))?,
        }
        Ok(if found.iter().any(Diagnostic::is_error) { Exit::Findings } else { Exit::Ok })
    }

    /// What is wrong with the entries that are meant, and how many these are.
    fn check(&self, catalog: &Catalog) -> Result<(Vec<Diagnostic>, usize)> {
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
        Ok((found, models.len()))
    }

    /// Changes files, or shows how.
    fn mend(&self, global: &Global) -> Result<()> {
        let mut fixed = 0;
        for _ in 0..ROUNDS {
            let catalog = Catalog::load(&global.root);
            let changes = validate::changes(&global.root, &self.check(&catalog)?.0)?;
            for change in &changes {
                if self.dry_run {
                    eprint!("{}", change.diff());
                    continue;
                }
                change.write(&global.root)?;
                for diagnostic in &change.fixed {
                    eprintln!(
                        "fixed {}: {}: {}",
                        diagnostic.place, diagnostic.rule, diagnostic.message
                    );
                }
                fixed += change.fixed.len();
            }
            if changes.is_empty() || self.dry_run {
                break;
            }
        }
        if fixed > 0 {
            eprintln!("{fixed} fixed; see `git diff`");
        }
        Ok(())
    }

    /// Checks whenever something changes. Ctrl-C ends it, as it ends any program.
    fn keep_watch(&self, global: &Global) -> Result<Exit> {
        let (tell, changes) = mpsc::channel();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Nobody listens any more: the program ends.
                if event.as_ref().map_or(true, |e| !e.kind.is_access()) {
                    let _ = tell.send(event);
                }
            })
            .context("cannot watch files")?;
        let mut watch = |path: &Path, mode| {
            watcher.watch(path, mode).with_context(|| format!("cannot watch {}", path.display()))
        };
        // Not below everything: `target` is large, and changes all the time.
        watch(&global.root, RecursiveMode::NonRecursive)?;
        for part in ["scripts", "docker"] {
            let path = global.root.join(part);
            if path.is_dir() {
                watch(&path, RecursiveMode::Recursive)?;
            }
        }
        let mut shown = String::new();
        loop {
            let catalog = Catalog::load(&global.root);
            let now = match self.check(&catalog) {
                Ok((found, checked)) => text(&found, checked, &catalog),
                // A tag may be one that is about to be written.
                Err(e) => format!("error: {e:#}\n"),
            };
            if now != shown {
                print(&format!("{now}watching {}; Ctrl-C ends\n\n", global.root.display()))?;
                shown = now;
            }
            changes.recv().context("files are no longer watched")??;
            loop {
                match changes.recv_timeout(QUIET) {
                    Ok(event) => drop(event?),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(e) => return Err(e).context("files are no longer watched"),
                }
            }
        }
    }
}

fn text(found: &[Diagnostic], checked: usize, catalog: &Catalog) -> String {
    let findings = validate::render_text(found, catalog, colour(&std::io::stdout()));
    format!("{findings}{}\n", validate::summary(found, checked))
}

/// The catalog root as seen from the current directory, which CI systems have at the root of
/// the repository; empty where it does not lie below.
fn seen_from_here(root: &Path) -> PathBuf {
    let absolute = |path: &Path| path.canonicalize().ok();
    let below = || Some(absolute(root)?.strip_prefix(absolute(Path::new("."))?).ok()?.to_owned());
    below()
        .filter(|p| p.components().all(|c| matches!(c, Component::Normal(_))))
        .unwrap_or_default()
}

fn explain(id: &str) -> Result<Exit> {
    let rule = validate::rule(id).with_context(|| {
        let ids: Vec<&str> = validate::RULES.iter().map(|r| r.id).collect();
        format!("there is no rule {id}; the rules are {}", ids.join(", "))
    })?;
    print(&format!("{} ({}): {}\n\n{}\n", rule.id, rule.severity, rule.title, rule.explanation))?;
    Ok(Exit::Ok)
}
