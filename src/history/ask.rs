//! Asking the index, whatever state it is in.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use rusqlite::ErrorCode;

use super::ingest::ingest;
use super::report::{HISTORY_SCHEMA, HistoryReport, baseline};
use super::shared::SharedHistory;
use super::store::{Index, IndexError};
use super::tunings::{Lessons, TUNING_HISTORY_SCHEMA, TuningHistory, newest};
use crate::baseline::Store;
use crate::tune::directory;

/// The runs of a run directory, asked through an index.
#[derive(Debug, Clone)]
pub struct History {
    base: PathBuf,
    index: Place,
}

/// Where the index is.
#[derive(Debug, Clone)]
enum Place {
    File(PathBuf),
    Shared(SharedHistory),
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// A model's id, or the name of an entry, which means all its variants; all models without.
    pub model: Option<String>,
    /// Only this class of machines.
    pub machine_class: Option<String>,
    /// Measurements to tell one by one, at most: the newest.
    pub last: usize,
    /// Whether to forget the index and to read all records again.
    pub rebuild: bool,
}

/// An answer, perhaps an empty one.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was found.
    pub report: HistoryReport,
    /// What was asked for and is not there.
    pub missing: Option<Missing>,
}

/// What is known of searches, perhaps nothing.
#[derive(Debug, Clone)]
pub struct TuningAnswer {
    /// What was found.
    pub report: TuningHistory,
    /// What was asked for and is not there.
    pub missing: Option<Missing>,
}

/// What is to be told of an index beside what is in it.
struct Told {
    notes: Vec<String>,
    problems: Vec<String>,
}

/// Something that no run has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The model; with all models there are.
    Model(Vec<String>),
    /// The class of machines; with those on which the model ran.
    MachineClass(Vec<String>),
}

impl History {
    /// The history of the runs below `base`; its index is in `database`, or in
    /// `history.sqlite` beside them.
    pub fn new(base: &Path, database: Option<&Path>) -> History {
        let database = database.map_or_else(|| base.join("history.sqlite"), Path::to_owned);
        History { base: base.to_owned(), index: Place::File(database) }
    }

    /// The history of all runs in `shared`, which those below `base` are put into.
    pub fn shared(base: &Path, shared: SharedHistory) -> History {
        History { base: base.to_owned(), index: Place::Shared(shared) }
    }

    /// Takes in what is new and answers `query`. A file that is damaged is moved aside and
    /// made anew; one that is locked or cannot be written is replaced by one in memory, from
    /// the records. A shared history that cannot be written is asked without what is new here.
    /// The report says so. Waits for the server of a shared history; not to be called from
    /// asynchronous code.
    ///
    /// # Errors
    /// When the index is of a newer version or another program's, or cannot be rebuilt though
    /// that was asked for; when a shared history cannot be read, or is to be rebuilt.
    pub fn ask(&self, store: &Store, query: &Query) -> Result<Answer> {
        self.with_index(query.rebuild, |index, told| self.answer(index, store, query, told))
    }

    /// What searches for a better configuration found, of `query`'s model and class of machines;
    /// takes in what is new as [`ask`](History::ask) does.
    ///
    /// # Errors
    /// As [`ask`](History::ask).
    pub fn tunings(&self, query: &Query) -> Result<TuningAnswer> {
        self.with_index(query.rebuild, |index, told| self.tuning_answer(index, query, told))
    }

    /// What searches teach about levers; takes in what is new as [`ask`](History::ask) does.
    ///
    /// # Errors
    /// As [`ask`](History::ask).
    pub fn lessons(&self) -> Result<Lessons> {
        self.with_index(false, |index, told| {
            Ok(Lessons::new(index.patterns()?, told.notes, told.problems))
        })
    }

    /// Calls `answer` with an index in which everything is, and with what is to be told of that.
    fn with_index<T>(
        &self,
        rebuild: bool,
        answer: impl Fn(&mut Index, Told) -> Result<T, IndexError>,
    ) -> Result<T> {
        match &self.index {
            Place::File(database) => self.with_file(database, rebuild, answer),
            Place::Shared(shared) => self.with_shared(shared, rebuild, answer),
        }
    }

    fn with_shared<T>(
        &self,
        shared: &SharedHistory,
        rebuild: bool,
        answer: impl Fn(&mut Index, Told) -> Result<T, IndexError>,
    ) -> Result<T> {
        ensure!(
            !rebuild,
            "a shared history has what other machines measured, and is not rebuilt from the \
             records of one; --rebuild is for the index of this machine"
        );
        let mut index = Index::shared(shared)?;
        let problems = match ingest(&mut index, &self.base) {
            Ok(problems) => problems,
            // What is there can be told; what is missing is no small matter.
            Err(e @ IndexError::Unwritable { .. }) => {
                vec![format!("{e}; what is new below {} is not in it", self.base.display())]
            }
            Err(e) => return Err(e.into()),
        };
        Ok(answer(&mut index, Told { notes: Vec::new(), problems })?)
    }

    fn with_file<T>(
        &self,
        database: &Path,
        rebuild: bool,
        answer: impl Fn(&mut Index, Told) -> Result<T, IndexError>,
    ) -> Result<T> {
        let mut notes = Vec::new();
        let taken_in = |mut index: Index, notes: Vec<String>| {
            let problems = ingest(&mut index, &self.base)?;
            answer(&mut index, Told { notes, problems })
        };
        let nothing = [self.base.join("runs"), directory(&self.base)].iter().all(|d| !d.exists());
        if nothing && !database.exists() {
            return Ok(taken_in(Index::in_memory()?, notes)?);
        }
        let open = |notes: &[String]| taken_in(Index::open(database, rebuild)?, notes.to_vec());
        let (trouble, error) = match open(&notes) {
            Ok(answer) => return Ok(answer),
            Err(IndexError::Sql(e)) => (Trouble::of(&e), e),
            Err(e) => return Err(e.into()),
        };
        let path = database.display();
        match trouble {
            Trouble::Damaged => {
                let aside = move_aside(database)
                    .with_context(|| format!("{path} is damaged ({error}), and must go"))?;
                notes.push(format!(
                    "{path} is damaged ({error}): moved to {}, and made anew from the records; \
                     what it knew of runs that were removed is not in the new one",
                    aside.display()
                ));
                let anew = open(&notes);
                return anew.with_context(|| format!("cannot make {path} anew"));
            }
            _ if rebuild => bail!("cannot rebuild {path}: {error}"),
            Trouble::Locked => notes.push(format!(
                "{path} is held by another process ({error}); this answer is from the records alone"
            )),
            Trouble::Unwritable => notes.push(format!(
                "{path} cannot be written ({error}); this answer is from the records alone"
            )),
            Trouble::Other => return Err(error).with_context(|| format!("cannot use {path}")),
        }
        Ok(taken_in(Index::in_memory()?, notes)?)
    }

    fn tuning_answer(
        &self,
        index: &mut Index,
        query: &Query,
        told: Told,
    ) -> Result<TuningAnswer, IndexError> {
        let mut report = TuningHistory {
            schema: TUNING_HISTORY_SCHEMA.to_owned(),
            run_dir: self.base.clone(),
            shared: index.place(),
            searches: index.tunings()?,
            baselines: index.tuned_baselines()?,
            best: newest(&index.best()?),
            tried: index.tried()?,
            learned: index.patterns()?,
            notes: told.notes,
            problems: told.problems,
        };
        let models = report.models();
        if let Some(model) = &query.model {
            report.of(model);
            if report.is_empty() {
                return Ok(TuningAnswer { report, missing: Some(Missing::Model(models)) });
            }
        }
        let classes = report.machine_classes();
        if let Some(class) = &query.machine_class {
            report.on(class);
        }
        let missing = report.is_empty() && !classes.is_empty();
        Ok(TuningAnswer { report, missing: missing.then_some(Missing::MachineClass(classes)) })
    }

    fn answer(
        &self,
        index: &mut Index,
        store: &Store,
        query: &Query,
        told: Told,
    ) -> Result<Answer, IndexError> {
        let mut report = HistoryReport {
            schema: HISTORY_SCHEMA.to_owned(),
            run_dir: self.base.clone(),
            shared: index.place(),
            runs: index.runs()?,
            series: Vec::new(),
            without_numbers: Vec::new(),
            notes: told.notes,
            problems: told.problems,
        };
        let models = match &query.model {
            Some(name) => index.models_of(name)?,
            None => index.models()?,
        };
        if models.is_empty() && query.model.is_some() {
            let missing = Some(Missing::Model(index.models()?));
            return Ok(Answer { report, missing });
        }
        let mut classes = Vec::new();
        for model in &models {
            for key in index.keys(model)? {
                let class = &key.machine_class;
                if query.machine_class.as_ref().is_some_and(|wanted| wanted != class) {
                    classes.push(class.clone());
                    continue;
                }
                let timeline = index.timeline(&key)?;
                let baseline = baseline(store, &timeline).unwrap_or_else(|problem| {
                    report.problems.push(problem);
                    None
                });
                report.series.extend(timeline.series(baseline.as_ref(), query.last));
                report.without_numbers.extend(timeline.without_numbers());
            }
        }
        let empty = report.series.is_empty() && report.without_numbers.is_empty();
        classes.sort();
        classes.dedup();
        let missing = (empty && !classes.is_empty()).then_some(Missing::MachineClass(classes));
        Ok(Answer { report, missing })
    }
}

/// What a failure of SQLite means to us.
enum Trouble {
    Locked,
    Unwritable,
    Damaged,
    Other,
}

impl Trouble {
    fn of(error: &rusqlite::Error) -> Trouble {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Locked,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Trouble::Damaged,
            Some(
                ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::FileLockingProtocolFailed,
            ) => Trouble::Unwritable,
            _ => Trouble::Other,
        }
    }
}

/// Renames a database, and the journal that SQLite would otherwise apply to its successor.
fn move_aside(database: &Path) -> Result<PathBuf> {
    let named = |path: &Path, suffix: &str| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(suffix);
        path.with_file_name(name)
    };
    let free = (1..).map(|n| named(database, &format!(".broken-{n}"))).find(|p| !p.exists());
    let aside = free.context("no free name")?;
    fs::rename(database, &aside)
        .with_context(|| format!("cannot move it to {}", aside.display()))?;
    let journal = named(database, "-journal");
    if journal.exists() {
        let to = named(&aside, "-journal");
        fs::rename(&journal, &to)
            .with_context(|| format!("cannot move {} to {}", journal.display(), to.display()))?;
    }
    Ok(aside)
}
