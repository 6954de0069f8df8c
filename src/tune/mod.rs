//! Levers → Candidates → measured, verified, recommended.
//!
//! [`propose`] chooses what is tried, and [`apply`] lays it over a Job. A [`Search`] goes from one
//! [`Phase`] to the next and leaves a [`Tuning`], which [`find`] and [`read`] get back; a
//! [`patch`] is what the user may make of it. A [`TuningReport`] is what it says; [`text`],
//! [`markdown`] and [`html`] are forms of that.

mod args;
mod change;
mod config;
mod files;
mod gain;
mod mention;
mod metric;
mod overlap;
mod patch;
mod propose;
mod record;
mod report;
mod search;
mod trust;

pub use change::{apply, current};
pub use files::{LATEST, TUNING_FILE, directory, find, read};
pub use gain::Gain;
pub use metric::Goal;
pub use patch::{Patch, by_hand, patch};
pub use propose::{Choice, Memory, propose};
pub use record::{
    Baseline, Candidate, Change, Diagnosed, Learned, Phase, Recommendation, Status, Strategy,
    TUNING_SCHEMA, TargetMetric, Trust, Tuning,
};
pub use report::{
    NextStep, Recommended, TUNING_REPORT_SCHEMA, TuningConclusion, TuningReport, TuningRow,
    context, html, markdown, text,
};
pub(crate) use report::{interval, signed, words};
pub use search::{Request, Search};

#[cfg(test)]
pub(crate) mod tests;
