//! Levers → Candidates → measured, verified, recommended.

mod args;
mod change;
mod config;
mod mention;
mod patch;
mod propose;
mod record;

pub use change::{apply, current};
pub use patch::{Patch, by_hand, patch};
pub use propose::{Choice, Memory, propose};
pub use record::{
    Baseline, Candidate, Change, Diagnosed, Learned, Phase, Recommendation, Status, Strategy,
    TUNING_SCHEMA, TargetMetric, Trust, Tuning,
};

#[cfg(test)]
pub(crate) mod tests;
