//! Levers → Candidates → measured, verified, recommended.

mod record;

pub use record::{
    Baseline, Candidate, Change, Diagnosed, Learned, Phase, Recommendation, Status, Strategy,
    TUNING_SCHEMA, TargetMetric, Trust, Tuning,
};
