//! A new entry with all it needs: Dockerfiles, script, and a place in `models.json`.
//!
//! [`Scaffold::new`] decides everything and writes nothing; [`Scaffold::validate`] checks the
//! result in a directory of its own; [`Scaffold::write`] puts all of it into the catalog, or
//! nothing.

mod closest;
mod entry;
mod insert;
mod name;
mod stack;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

pub use crate::place::NewFile;
pub use closest::{Template, nearest};
pub use name::check_name;
pub use stack::Stack;

use crate::catalog::{CATALOG_FILE, CONFIG_FILE, Catalog};
use crate::diagnostic::Diagnostic;
use crate::diff::unified;
use crate::place::{Replaced, text_of};
use crate::validate::{Validator, dockerfiles};
use entry::Link;

/// What a new entry shall be.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its name, by convention `framework_project_workload`.
    pub name: String,
    /// A repository to clone before the script runs, or the page of a model on the HuggingFace hub.
    pub url: Option<String>,
    /// The entry to make it after, instead of the nearest one.
    pub from: Option<String>,
    /// Text for the head of the script.
    pub notes: Option<String>,
}

/// A new entry, ready to be written.
#[derive(Debug)]
pub struct Scaffold {
    /// Its name.
    pub name: String,
    /// What it measures with.
    pub stack: Stack,
    /// The entry it is made after; `None` if the catalog has none of its framework.
    pub template: Option<Template>,
    /// The entry.
    pub entry: Value,
    /// Files to be made.
    pub files: Vec<NewFile>,
    /// Dockerfiles that are there and serve it as well, relative to the catalog root.
    pub reused: Vec<PathBuf>,
    root: PathBuf,
    /// Text of the catalog file as it is; `None` if there is none.
    before: Option<String>,
    after: String,
}

impl Scaffold {
    /// Decides what `request` means in `catalog`.
    ///
    /// # Errors
    /// For a name, URL or template that cannot be used, a catalog that cannot be read as a
    /// whole, and when a file to be made exists already.
    pub fn new(catalog: &Catalog, request: &Request) -> Result<Scaffold> {
        let before = catalog_text(catalog)?;
        check_name(&request.name, catalog)?;
        let link = request.url.as_deref().filter(|u| !u.trim().is_empty()).map(Link::parse);
        let link = link.transpose()?;
        let template = match &request.from {
            Some(from) => Some(closest::named(catalog, from)?),
            None => nearest(catalog, &request.name).into_iter().next(),
        };
        let stack = match Stack::of(&request.name) {
            Stack::Generic if template.is_some() => {
                template.as_ref().map_or(Stack::Generic, |t| Stack::of(&t.model.name))
            }
            stack => stack,
        };
        let images = Images::of(catalog, request, stack, template.as_ref())?;
        let entry = entry::entry(
            request,
            stack,
            template.as_ref(),
            link.as_ref(),
            images.prefix.as_deref(),
        );
        let about = about(request, stack);
        let directory = Path::new("scripts").join(&request.name);
        ensure!(
            catalog.root.join(&directory).symlink_metadata().is_err(),
            "{} exists already, and nothing is overwritten: choose another name, or remove it",
            catalog.root.join(&directory).display()
        );
        let mut files = images.new;
        files.extend(stack.script(&about).into_iter().map(|(file, text)| NewFile {
            path: directory.join(file),
            executable: file.ends_with(".sh"),
            text,
        }));
        let beside = template.as_ref().filter(|t| t.model.source().file == Path::new(CATALOG_FILE));
        let beside = beside.map(|t| t.model.index());
        let after = insert::insert(before.as_deref().unwrap_or("[]\n"), &entry, beside)?;
        Ok(Scaffold {
            name: request.name.clone(),
            stack,
            template,
            entry,
            files,
            reused: images.reused,
            root: catalog.root.clone(),
            before,
            after,
        })
    }

    /// What would change, as a unified diff.
    pub fn diff(&self) -> String {
        let mut out = unified(self.before.as_deref(), &self.after, Path::new(CATALOG_FILE));
        for file in &self.files {
            out.push_str(&unified(None, &file.text, &file.path));
        }
        out
    }

    /// What the validator says of the new entry, looked at in a directory of its own.
    ///
    /// # Errors
    /// When that directory cannot be written.
    pub fn validate(&self) -> Result<Vec<Diagnostic>> {
        let staged = tempfile::tempdir().context("cannot make a temporary directory")?;
        let root = staged.path();
        let write = |path: &Path, bytes: &[u8]| -> Result<()> {
            let path = root.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
        };
        write(Path::new(CATALOG_FILE), self.after.as_bytes())?;
        for file in &self.files {
            write(&file.path, file.text.as_bytes())?;
        }
        let config = Some(PathBuf::from(CONFIG_FILE)).filter(|c| self.root.join(c).is_file());
        for path in self.reused.iter().chain(&config) {
            let bytes = fs::read(self.root.join(path))
                .with_context(|| format!("cannot read {}", path.display()))?;
            write(path, &bytes)?;
        }
        let catalog = Catalog::load(root);
        let model = catalog.models.iter().find(|m| m.name == self.name);
        let model = model.context("the new entry cannot be read back")?;
        Ok(Validator::new(&catalog).model(model))
    }

    /// Writes all of it, or nothing: with an error the catalog is as it was. `cancelled` is
    /// asked on the way.
    ///
    /// # Errors
    /// When something exists already or cannot be written, when the catalog file was changed
    /// meanwhile, and on cancellation.
    pub fn write(&self, cancelled: &dyn Fn() -> bool) -> Result<()> {
        let catalog = Replaced {
            path: PathBuf::from(CATALOG_FILE),
            before: self.before.clone(),
            after: self.after.clone(),
        };
        crate::place::place(&self.root, &self.files, &[catalog], cancelled)
            .context("nothing was written")
    }
}

/// The text of the catalog's own file, which may be absent where a catalog begins.
fn catalog_text(catalog: &Catalog) -> Result<Option<String>> {
    let text = text_of(&catalog.root.join(CATALOG_FILE))?;
    ensure!(catalog.root.is_dir(), "{} is no directory", catalog.root.display());
    // A catalog without any entry is where one begins.
    let empty = text.as_deref().is_none_or(|t| {
        serde_json::from_str::<Vec<Value>>(t).is_ok_and(|entries| entries.is_empty())
    });
    let begins = |d: &Diagnostic| {
        empty
            && catalog.models.is_empty()
            && d.rule == "MAD001"
            && d.place.file == Path::new(CATALOG_FILE)
    };
    let mut problems = catalog.file_problems().filter(|d| d.is_error() && !begins(d));
    if let Some(problem) = problems.next() {
        let more = match problems.count() {
            0 => String::new(),
            n => format!(" (and {n} more; `mad validate` shows them)"),
        };
        bail!(
            "the catalog cannot be read as a whole; nothing is added to it before it can: {problem}{more}"
        );
    }
    Ok(text)
}

/// The images of a new entry.
#[derive(Default)]
struct Images {
    /// Prefix of the Dockerfiles; `None` for an entry that runs on the host.
    prefix: Option<PathBuf>,
    new: Vec<NewFile>,
    reused: Vec<PathBuf>,
}

impl Images {
    /// Dockerfiles of the nearest entry of the same stack, else those of the stack that lie
    /// there unused, else new ones. After an entry of the host there are none.
    fn of(
        catalog: &Catalog,
        request: &Request,
        stack: Stack,
        template: Option<&Template>,
    ) -> Result<Images> {
        if template.is_some_and(|t| t.model.dockerfile().is_none()) {
            return Ok(Images::default());
        }
        let others = nearest(catalog, &request.name);
        let same =
            template.into_iter().chain(&others).filter(|t| Stack::of(&t.model.name) == stack);
        let own = Path::new("docker").join(format!(
            "{}_{}",
            name::Words::of(&request.name).framework,
            stack.name()
        ));
        let prefixes = same.filter_map(|t| t.model.dockerfile().map(Path::to_owned));
        for prefix in prefixes.chain([own.clone()]) {
            let found = dockerfiles(&catalog.root, &prefix);
            if !found.is_empty() && found.iter().all(|(_, context)| context.is_ok()) {
                let reused = found.into_iter().map(|(path, _)| path).collect();
                return Ok(Images { prefix: Some(prefix), new: Vec::new(), reused });
            }
        }
        let new: Vec<NewFile> = stack.images().into_iter().map(|image| NewFile {
            path: own.with_file_name(format!(
                "{}.ubuntu.{}.Dockerfile",
                own.file_name().unwrap_or_default().to_string_lossy(),
                image.vendor.to_lowercase()
            )),
            text: format!(
                "# CONTEXT {{'gpu_vendor': '{}', 'guest_os': 'UBUNTU'}}\nARG BASE_DOCKER={}\nFROM $BASE_DOCKER\n{}",
                image.vendor, image.base, image.rest
            ),
            executable: false,
        }).collect();
        if let Some(there) =
            new.iter().find(|f| catalog.root.join(&f.path).symlink_metadata().is_ok())
        {
            bail!(
                "{} is there, but its CONTEXT header cannot be read; nothing is overwritten: repair it first",
                there.path.display()
            );
        }
        Ok(Images { prefix: Some(own), new, reused: Vec::new() })
    }
}

/// The first lines of the script: what it is, and what the user wrote.
fn about(request: &Request, stack: Stack) -> Vec<String> {
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let mut lines = vec![format!("{}: {}.", request.name, stack.measures())];
    lines.extend(request.url.as_deref().map(|url| plain(url.trim())).filter(|u| !u.is_empty()));
    lines.extend(request.notes.iter().flat_map(|n| n.lines()).map(|l| plain(l.trim_end())));
    lines
}

#[cfg(test)]
mod tests;
