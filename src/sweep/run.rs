//! Running the Cells.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::{Result, bail, ensure};

use super::{Cell, Isolation, Shard, SweepRecord, Unresolved};
use crate::plan::Planner;
use crate::progress::Expected;
use crate::record::{self, Stage};
use crate::results::{Row, write_rows};
use crate::run::{Estimates, Failures, Session};
use crate::schedule::{Limits, Task};

/// A sweep in a Run.
#[derive(Debug)]
pub struct Sweep<'a> {
    /// The Run.
    pub session: &'a Session<'a>,
    /// Its Cells, in order.
    pub cells: &'a [Cell],
    /// Tags that match nothing.
    pub unresolved: &'a [Unresolved],
    /// Which part of all Cells these are.
    pub shard: Option<Shard>,
}

impl Sweep<'_> {
    /// Runs the Cells where they cannot disturb each other, and writes their rows, each to a
    /// file of its own and all to `perf.csv` of the run directory.
    ///
    /// # Errors
    /// When the sweep that is resumed was another one, when nothing can be leased, or when a
    /// file cannot be written.
    pub fn run(&self, limits: Limits, stop: &Failures, sample: u32) -> Result<()> {
        let (session, planner) = (self.session, &self.session.planner);
        self.begin()?;
        let estimates = Estimates::of_runs(&planner.options.run_dir);
        let task =
            |cell: &Cell| estimates.task(&cell.planner(planner), &cell.model, cell.id.clone());
        let (tasks, expected): (Vec<Task>, Vec<Option<Expected>>) =
            self.cells.iter().map(task).unzip();
        let whole = session.progress().whole(expected.iter().flatten().count());
        session.tell_duration(&whole, &tasks, limits, &estimates);
        let ran = session.scheduler(limits).run(&tasks, &|at, grant| {
            let cell = &self.cells[at];
            if session.cancel.is_cancelled() {
                return ControlFlow::Break(());
            }
            let activity = session.progress().activity(&cell.id, expected[at]);
            if expected[at].is_none() {
                activity.uncounted();
            }
            let own =
                session.granted(cell.planner(planner), grant, Some(cell.id.clone()), activity);
            let case = own.case(Stage::Bench, &cell.model);
            own.tell_end(std::slice::from_ref(&case));
            stop.after(&case)
        });
        drop(whole);
        self.write_rows()?;
        ran?;
        if sample > 0 && !session.cancel.is_cancelled() {
            Isolation { session, cells: self.cells, tasks: &tasks }.verify(sample)?;
        }
        Ok(())
    }

    /// Writes down which Cells there are, or sees that they are those that were begun.
    fn begin(&self) -> Result<()> {
        let dir = self.session.dir();
        let now =
            SweepRecord::new(dir, self.cells, self.unresolved, self.shard, &self.session.planner);
        if !dir.path().join("sweep.json").exists() {
            return record::write_json(&dir.path().join("sweep.json"), &now);
        }
        let then = SweepRecord::read(dir)?;
        let hashes = |record: &SweepRecord| -> BTreeMap<String, String> {
            record.cells.iter().map(|c| (c.id.clone(), c.entry_hash.clone())).collect()
        };
        let (then, now) = (hashes(&then), hashes(&now));
        let changed: Vec<&str> = then
            .iter()
            .filter(|(id, hash)| now.get(*id).is_some_and(|now| now != *hash))
            .map(|(id, _)| id.as_str())
            .collect();
        ensure!(
            changed.is_empty(),
            "the catalog changed since the run {} began, and with it {}: numbers of the two do \
             not belong into one sweep; begin a new one",
            dir.id,
            changed.join(", ")
        );
        if then.keys().ne(now.keys()) {
            bail!(
                "the run {} has {} cells, the same command has {} now: the catalog changed; begin \
                 a new sweep",
                dir.id,
                then.len(),
                now.len()
            );
        }
        Ok(())
    }

    /// All rows in one file, Cell by Cell; those without any say so.
    fn write_rows(&self) -> Result<()> {
        let dir = self.session.dir();
        let planner: &Planner<'_> = &self.session.planner;
        let mut all = Vec::new();
        for cell in self.cells {
            let mut rows = self.session.rows_of(&cell.id);
            if rows.is_empty() {
                rows.push(without(&cell.model.name, "SKIPPED"));
                write_rows(&dir.cell_csv(&cell.id), &rows)?;
            }
            all.extend(rows);
        }
        for tag in self.unresolved {
            let name = planner.masker().mask_str(&tag.tag).into_owned();
            let rows = [without(&name, "FAILURE")];
            write_rows(&dir.cell_csv(&unresolved_id(&tag.tag)), &rows)?;
            all.extend(rows);
        }
        write_rows(&dir.path().join("perf.csv"), &all)
    }
}

/// The id of a tag that matches nothing, among those of Cells.
pub(super) fn unresolved_id(tag: &str) -> String {
    format!("{}--unresolved", super::cell::part(tag))
}

fn without(model: &str, status: &str) -> Row {
    let mut row = Row::default();
    row.set("model", model).set("status", status);
    row
}
