//! What a sweep would do, and how long that is likely to take.

use serde::Serialize;

use super::{Cell, Shard, Unresolved};
use crate::plan::{Plan, Planner};
use crate::run::Estimates;
use crate::schedule::{Limits, Occupancy, Task, best_order, predict};

/// The plan of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SweepPlan {
    /// `mad-sweep-plan/1`.
    pub schema: String,
    /// The Cells, in order.
    pub cells: Vec<PlannedCell>,
    /// Tags that match nothing.
    pub unresolved: Vec<Unresolved>,
    /// The part that it is, `i/n`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<String>,
    /// Seconds from the start to the end, packed.
    pub makespan_s: f64,
    /// Seconds, one Cell after the other.
    pub serial_s: f64,
    /// Cells that run and were never measured: their times are guesses (the median of what
    /// is known, a minute if nothing is).
    pub guessed: usize,
}

/// One Cell of the plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedCell {
    /// Its id.
    pub id: String,
    /// The command that measures it alone.
    pub command: String,
    /// `run`, `skip` or `impossible`.
    pub plan: &'static str,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// GPUs that it needs.
    pub n_gpus: usize,
    /// Seconds from the start of the sweep to its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_s: Option<f64>,
    /// Seconds that it is likely to take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate_s: Option<f64>,
}

impl SweepPlan {
    /// Plans the Cells for the machine of `planner`, with what earlier Runs took.
    pub fn new(
        planner: &Planner<'_>,
        cells: &[Cell],
        unresolved: &[Unresolved],
        shard: Option<Shard>,
        limits: Limits,
    ) -> SweepPlan {
        let estimates = Estimates::of_runs(&planner.options.run_dir);
        let mut tasks: Vec<Task> = Vec::new();
        let (mut planned, mut guessed) = (Vec::new(), 0);
        // Positions of the Cells that run.
        let mut runs: Vec<usize> = Vec::new();
        for cell in cells {
            let own = cell.planner(planner);
            let (plan, reason) = match own.plan(&cell.model) {
                Plan::Run(_) => ("run", None),
                Plan::Impossible(why) => ("impossible", Some(why)),
                Plan::Skip(skip) => ("skip", Some(skip.reason)),
            };
            let mut n_gpus = 0;
            if plan == "run" {
                let (task, expected) = estimates.task(&own, &cell.model, cell.id.clone());
                n_gpus = task.footprint.n_gpus;
                guessed += usize::from(expected.is_none_or(|e| e.guessed));
                runs.push(planned.len());
                tasks.push(task);
            }
            planned.push(PlannedCell {
                id: cell.id.clone(),
                command: own.command_for(&cell.model),
                plan,
                reason,
                n_gpus,
                start_s: None,
                estimate_s: None,
            });
        }
        let serial_s = tasks.iter().map(|task| task.estimate_s).sum();
        let capacity = Occupancy::new(
            planner.machine.gpus.len(),
            planner.machine.cpu.available as usize,
            limits.elsewhere,
        );
        let prediction = predict(&tasks, &best_order(&tasks, &capacity), &capacity);
        for span in &prediction.spans {
            let cell = &mut planned[runs[span.task]];
            (cell.start_s, cell.estimate_s) =
                (Some(span.start_s), Some(tasks[span.task].estimate_s));
        }
        SweepPlan {
            schema: "mad-sweep-plan/1".to_owned(),
            cells: planned,
            unresolved: unresolved.to_vec(),
            shard: shard.map(|shard| shard.to_string()),
            makespan_s: if limits.serial { serial_s } else { prediction.makespan_s },
            serial_s,
            guessed,
        }
    }
}
