//! Baseline files on disk.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Accepted, Baseline, BaselineError, Key, SCHEMA};
use crate::slug::slug;

/// A directory of baseline files.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// What accepting a run did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptOutcome {
    /// The file written.
    pub path: PathBuf,
    /// It is the first accepted run of its key.
    pub created: bool,
    /// The level it was accepted into.
    pub level: u32,
    /// It differs from the level before and so started this one.
    pub new_level: bool,
}

impl Store {
    /// A store in `dir`, which need not exist yet.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
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
        let Some(baseline) = read(&path)? else {
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

    /// Appends a run to the baseline of a key, starting a new level if one of its medians
    /// differs from the current level's by more than `tolerance` (relative, by metric key).
    ///
    /// The whole file is replaced at once, and runs accepted by other processes meanwhile
    /// are kept. Refuses a run that is in the file already, one without usable numbers, and
    /// one that measured in other units.
    pub fn accept(
        &self,
        key: &Key,
        mut run: Accepted,
        tolerance: impl Fn(&str) -> f64,
    ) -> Result<AcceptOutcome, BaselineError> {
        if let Some((rest, problem)) = run.bad_number() {
            let pointer = format!("/{rest}");
            return Err(BaselineError::Unusable { run: run.run, pointer, problem });
        }
        let path = self.path(key);
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        let _lock = self.lock()?;
        let loaded = self.load(key)?;
        let created = loaded.is_none();
        let mut baseline = loaded.unwrap_or_else(|| Baseline::new(key));
        refuse_repetition(&path, &baseline, &run)?;
        let units = run.metrics.iter().map(|(key, m)| (key.as_str(), m.metric.as_str()));
        self.refuse_other_units(&baseline, units)?;

        let new_level = !created && baseline.leaves_level(&run, tolerance);
        let level = baseline.current_level() + u32::from(created || new_level);
        run.level = level;
        baseline.accepted.push(run);
        write(&path, &baseline).map_err(io_error("write", &path))?;
        Ok(AcceptOutcome { path, created, level, new_level })
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
        files.iter().take(most).filter_map(|(_, path)| read(path).ok().flatten()).collect()
    }

    /// All baselines, by path, and all problems; none hides another.
    pub fn list(&self) -> (Vec<(PathBuf, Baseline)>, Vec<BaselineError>) {
        let (mut baselines, mut errors) = (Vec::new(), Vec::new());
        for path in self.files(&mut errors) {
            match read(&path) {
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
        for (key, now) in units {
            if let Some(was) = baseline.unit(key).filter(|was| *was != now) {
                return Err(BaselineError::UnitChanged {
                    path: self.path(&baseline.key()),
                    key: key.to_owned(),
                    was: was.to_owned(),
                    now: now.to_owned(),
                });
            }
        }
        Ok(())
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

fn refuse_repetition(
    path: &Path,
    baseline: &Baseline,
    run: &Accepted,
) -> Result<(), BaselineError> {
    match baseline.accepted.iter().find(|accepted| accepted.run == run.run) {
        None => Ok(()),
        Some(before) => Err(BaselineError::AlreadyAccepted {
            path: path.to_owned(),
            run: run.run.clone(),
            at: before.at.clone(),
            by: before.by.clone(),
        }),
    }
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
    let mut file = File::create(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
