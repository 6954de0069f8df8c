//! Levers → Candidates → measured, verified, recommended.
//!
//! [`Tuning`] is the record of a search, [`find`] and [`read`] get it back, and a
//! [`TuningReport`] is what it says; [`text`], [`markdown`] and [`html`] are forms of that.

mod files;
mod gain;
mod record;
mod report;

pub use files::{LATEST, TUNING_FILE, directory, find, read};
pub use gain::Gain;
pub use record::{
    Baseline, Candidate, Change, Diagnosed, Learned, Phase, Recommendation, Status, Strategy,
    TUNING_SCHEMA, TargetMetric, Trust, Tuning,
};
pub use report::{
    NextStep, Recommended, TUNING_REPORT_SCHEMA, TuningConclusion, TuningReport, TuningRow,
    context, html, markdown, text,
};
pub(crate) use report::{interval, signed, words};
