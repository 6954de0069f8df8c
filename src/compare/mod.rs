//! Which of two sides is faster, measured in turn on one machine.
//!
//! Absolute numbers drift by the hour; two Executions that stand next to each other do not.
//! So both sides are executed in blocks ([`Order`]), each neighbouring pair gives one
//! logarithm of a ratio, and what they say together ([`Estimate`]) is looked at after every
//! block ([`Criterion`]) until it is decided. [`compare`] does that for several entries in
//! turn, by the same path as a run, and leaves a [`Comparison`].

mod decide;
mod duel;
mod estimate;
mod order;
mod record;
mod run;
#[cfg(test)]
mod simulation;
mod subject;
mod text;

pub use decide::{Criterion, Outcome};
pub(crate) use duel::{Duel, Duelled};
pub use estimate::{Estimate, FEWEST_PAIRS, Pair};
pub use order::{Block, Order, seed_of};
pub use record::{
    COMPARISON_SCHEMA, Comparison, EntryComparison, Failure, MetricComparison, Origin, Stop,
};
pub use run::{Entry, Settings, Sides, Watched, compare};
pub use text::{markdown, text};
