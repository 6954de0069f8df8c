//! Baseline files on disk.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::accept::{accept, refuse_other_units};
use super::{Acceptance, Accepted, Baseline, BaselineError, Key, Rules, SCHEMA};
use crate::regress::WINDOW;
use crate::slug::slug;

/// A directory of baseline files.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
    window: usize,
}

impl Store {
    /// A store in `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), window: WINDOW }
    }

    /// The same with a window of so many accepted runs.
    #[must_use]
    pub fn with_window(self, window: usize) -> Self {
        Self { window, ..self }
    }

    /// Where the baseline of a key is kept.
    pub fn path(&self, key: &Key) -> PathBuf {
        self.dir.join(slug(&key.machine_class)).join(slug(&key.model) + ".json")
    }

    /// Whether a file is there, sound or not.
    pub fn exists(&self, key: &Key) -> bool {
        self.path(key).exists()
    }

    /// Reads the baseline of a key; `None` when nothing was ever accepted.
    pub fn load(&self, key: &Key) -> Result<Option<Baseline>, BaselineError> {
        let path = self.path(key);
        let Some(baseline) = self.read(&path)? else {
            return Ok(None);
        };
        let inside = baseline.key();
        if inside != *key {
            return Err(BaselineError::Misplaced {
                path,
                inside: Box::new(inside),
                expected: Box::new(key.clone()),
            });
        }
        Ok(Some(baseline))
    }

    /// What accepting `runs`, oldest first, would make of the baseline of a key. Writes nothing.
    ///
    /// # Errors
    /// When they are not to be accepted, or the file cannot be read.
    pub fn preview(
        &self,
        key: &Key,
        runs: &[Accepted],
        rules: &Rules<'_>,
    ) -> Result<Acceptance, BaselineError> {
        let before = self.load(key)?;
        let before = before.unwrap_or_else(|| Baseline::new(key, self.window));
        accept(&self.path(key), before, runs, rules)
    }

    /// Adds `runs`, oldest first, to the baseline of a key: all of them or, when one is not to
    /// be accepted, none. The file comes back with what was done.
    ///
    /// The whole file is replaced at once, and runs accepted by other processes meanwhile
    /// are kept.
    ///
    /// # Errors
    /// When they are not to be accepted, or the file cannot be read or written. It is as it was
    /// then.
    pub fn accept(
        &self,
        key: &Key,
        runs: &[Accepted],
        rules: &Rules<'_>,
    ) -> Result<(PathBuf, Acceptance), BaselineError> {
        // Nothing is made for runs that are not to be accepted.
        self.preview(key, runs, rules)?;
        let path = self.path(key);
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        let _lock = self.lock()?;
        let acceptance = self.preview(key, runs, rules)?;
        write(&path, &acceptance.baseline).map_err(io_error("write", &path))?;
        Ok((path, acceptance))
    }

    /// Baselines of one class of machines, at most `most` of them: which ones does not change
    /// while files come and go, and has nothing to do with their names. Broken files are
    /// passed over: whoever judges by one of them says so.
    pub fn of_class(&self, machine_class: &str, most: usize) -> Vec<Baseline> {
        let files = entries(&self.dir.join(slug(machine_class)), &mut Vec::new());
        let mut files: Vec<(u64, PathBuf)> = files
            .into_iter()
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .map(|path| {
                let mut hasher = DefaultHasher::new();
                path.file_name().hash(&mut hasher);
                (hasher.finish(), path)
            })
            .collect();
        files.sort();
        files.iter().take(most).filter_map(|(_, path)| self.read(path).ok().flatten()).collect()
    }

    /// Baselines of a model on any class of machines, by path. Broken files are passed over.
    pub fn of_model(&self, model: &str) -> Vec<Baseline> {
        let name = slug(model) + ".json";
        let mut classes = entries(&self.dir, &mut Vec::new());
        classes.sort();
        let files = classes.iter().map(|class| class.join(&name));
        let found = files.filter_map(|path| self.read(&path).ok().flatten());
        found.filter(|baseline| baseline.model == model).collect()
    }

    /// All baselines, by path, and all problems; none hides another.
    pub fn list(&self) -> (Vec<(PathBuf, Baseline)>, Vec<BaselineError>) {
        let (mut baselines, mut errors) = (Vec::new(), Vec::new());
        for path in self.files(&mut errors) {
            match self.read(&path) {
                Ok(Some(baseline)) => {
                    let (inside, belongs) = (baseline.key(), self.path(&baseline.key()));
                    if belongs == path {
                        baselines.push((path, baseline));
                    } else {
                        let inside = Box::new(inside);
                        errors.push(BaselineError::WrongPlace { path, inside, belongs });
                    }
                }
                // Removed since the directory was read.
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        (baselines, errors)
    }

    /// Compares the units of metrics, by metric key, with those they were accepted with.
    ///
    /// # Errors
    /// At the first that differs.
    pub fn refuse_other_units<'a>(
        &self,
        baseline: &Baseline,
        units: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), BaselineError> {
        refuse_other_units(&self.path(&baseline.key()), baseline, units)
    }

    /// Removes the baselines of a model, on one class of machines or on all, even damaged
    /// ones; returns the files that are gone.
    pub fn remove_model(
        &self,
        model: &str,
        machine_class: Option<&str>,
    ) -> Result<Vec<PathBuf>, BaselineError> {
        let mut problems = Vec::new();
        let mut files = self.files(&mut problems);
        if let Some(problem) = problems.into_iter().next() {
            return Err(problem);
        }
        let (name, class) = (slug(model) + ".json", machine_class.map(slug));
        let inside = |path: &PathBuf| path.parent().and_then(Path::file_name).map(|n| n.to_owned());
        files.retain(|path| {
            path.file_name().is_some_and(|n| n == name.as_str())
                && class.as_ref().is_none_or(|c| inside(path).is_some_and(|n| n == c.as_str()))
        });
        if files.is_empty() {
            return Ok(files);
        }
        let _lock = self.lock()?;
        for path in &files {
            fs::remove_file(path).map_err(io_error("remove", path))?;
        }
        Ok(files)
    }

    /// Reads and checks one file; `None` if there is none.
    fn read(&self, path: &Path) -> Result<Option<Baseline>, BaselineError> {
        let baseline = read(path)?;
        Ok(baseline.map(|baseline| Baseline { window: self.window, ..baseline }))
    }

    /// One writer at a time, also across processes. The directory itself is locked, so that
    /// no lock file ends up in version control; the lock goes with the returned handle.
    fn lock(&self) -> Result<File, BaselineError> {
        let dir = File::open(&self.dir).map_err(io_error("open", &self.dir))?;
        dir.lock().map_err(io_error("lock", &self.dir))?;
        Ok(dir)
    }

    /// Every `<dir>/*/*.json`, sorted.
    fn files(&self, errors: &mut Vec<BaselineError>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for class in entries(&self.dir, errors).into_iter().filter(|path| path.is_dir()) {
            let inside = entries(&class, errors).into_iter();
            files.extend(inside.filter(|path| path.extension().is_some_and(|e| e == "json")));
        }
        files.sort();
        files
    }
}

/// What a directory holds; nothing for one that does not exist.
fn entries(dir: &Path, errors: &mut Vec<BaselineError>) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect());
    match listed {
        Ok(paths) => paths,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            errors.push(io_error("list", dir)(error));
            Vec::new()
        }
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BaselineError {
    let path = path.to_owned();
    move |source| BaselineError::Io { action, path, source }
}

/// Reads and checks one file; `None` if there is none.
fn read(path: &Path) -> Result<Option<Baseline>, BaselineError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("read", path)(error)),
    };
    let corrupt = |error: serde_json::Error| {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        BaselineError::Corrupt {
            path: path.to_owned(),
            line: error.line(),
            column: error.column(),
            message: message.strip_suffix(&place).unwrap_or(&message).to_owned(),
        }
    };
    // The schema first: a newer one may have keys that this version does not know.
    check_schema(path, &serde_json::from_str::<Header>(&text).map_err(corrupt)?.schema)?;
    let baseline: Baseline = serde_json::from_str(&text).map_err(corrupt)?;
    match baseline.inconsistency() {
        None => Ok(Some(baseline)),
        Some((pointer, problem)) => {
            Err(BaselineError::Inconsistent { path: path.to_owned(), pointer, problem })
        }
    }
}

#[derive(Deserialize)]
struct Header {
    schema: String,
}

fn check_schema(path: &Path, found: &str) -> Result<(), BaselineError> {
    if found == SCHEMA {
        return Ok(());
    }
    let (path, found) = (path.to_owned(), found.to_owned());
    let version = found.strip_prefix("mad-baseline/").and_then(|v| v.parse::<u32>().ok());
    Err(match version {
        Some(version) if version > 1 => BaselineError::NewerSchema { path, found },
        _ => BaselineError::Inconsistent {
            path,
            pointer: "/schema".to_owned(),
            problem: format!("{found:?} is not {SCHEMA:?}"),
        },
    })
}

/// Replaces the file at once: readers see the old one or the new one, even after a crash.
fn write(path: &Path, baseline: &Baseline) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(baseline)?;
    text.push('\n');
    // Under the lock nobody else uses this name, and a left-over is simply overwritten.
    let temporary = path.with_extension("json.tmp");
    let written = File::create(&temporary)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        // Half a file is of no use to anybody; the old one is whole.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
