//! A matrix of measurements: entry × GPU count × values in the context.
//!
//! * [`Axis`]: what is varied in the context. [`Cell`]: one point of the matrix, with its own
//!   options and context, and an id that is unique and stays the same. [`Shard`]: a part of
//!   them, for many runners.
//! * [`Sweep`]: runs the Cells and leaves their rows behind. [`SweepRecord`]: which Cells there
//!   are, for those who resume or merge.
//! * [`Synthesis`]: what came of it, from the records alone; [`merge`] of several shards.

mod axis;
mod cell;
mod html;
mod isolation;
mod markdown;
mod merge;
mod plan;
mod record;
mod run;
mod scaling;
mod shard;
mod synthesis;
mod text;

pub use axis::Axis;
pub(crate) use cell::part;
pub use cell::{Cell, Matrix, cells};
pub use html::html;
pub use isolation::{Isolation, IsolationRecord};
pub use markdown::markdown;
pub use merge::{merge, merged_cells};
pub use plan::{PlannedCell, SweepPlan};
pub use record::{CellRecord, SWEEP_SCHEMA, SweepRecord, Unresolved};
pub use run::Sweep;
pub use scaling::{Point, Scaling};
pub use shard::Shard;
pub use synthesis::{
    CellResult, CellStatus, Counts, Extreme, Number, SYNTHESIS_SCHEMA, Synthesis, synthesis,
};
pub use text::text;
