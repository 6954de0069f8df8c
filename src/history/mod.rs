//! Past runs, and what changed.
//!
//! [`History`] answers questions from an index of the records of all runs, which it keeps up to
//! date: one SQLite file beside them that can always be made anew, or a PostgreSQL database
//! that the machines of a team share ([`SharedHistory`]). A [`HistoryReport`] has, for
//! each metric, where its level shifted and stayed shifted ([`change_points`]), and how it
//! drifts since ([`trend`]); both are pure functions over one metric's values, oldest first.
//!
//! # The rule of change points
//!
//! A shift is a change point when the levels next to it, medians of up to [`LEVEL_WINDOW`]
//! values on either side, are at least [`LEAST_STANDARD_ERRORS`] standard errors apart. That is
//! `effect size · √n`, where the effect size is their distance in standard deviations of the
//! noise, and `n` the smaller number of values behind a level. A lasting shift (`n` = 30) must
//! thereby exceed 1.1 standard deviations, one that is ten values old 1.9. People who mark
//! changes in a plot decide much like that; a t-test also reports shifts that nobody
//! sees, because any shift becomes significant if only the series is long.
//!
//! # How they are found
//!
//! 1. Positive series are looked at on a logarithmic scale: noise is a share of the level, and
//!    half as fast is as far as twice as fast. Others are only scaled.
//! 2. Values further than three standard deviations from the running median of 15 are pulled
//!    in to that distance (a Hampel filter: Hampel, "The influence curve and its role in robust
//!    estimation", 1974). A dip of a few values then moves nothing.
//! 3. The piecewise constant function with the least squares proposes candidates, at
//!    [`CANDIDATE_PENALTY`] per change.
//! 4. The candidate that is furthest from the rule is dropped and its neighbours are judged
//!    anew, until the rule holds for all that are left (bottom-up merging).
//!
//! The noise of step 4 is the 90th percentile of the distances from the segment medians, over
//! that of a normal distribution. Unlike the median absolute deviation of step 2 it sees
//! a second mode or bursts that take more than a tenth of the values, in which a shift is
//! nothing special; single outliers, however far, do not move it.
//!
//! Runs that resemble their neighbours (autoregressive noise) make waves that look like
//! levels. They are kept out by a penalty about three times what independent noise needs, and
//! by a noise that is measured over whole segments, waves included.

mod ask;
mod changepoint;
mod ingest;
#[cfg(test)]
mod properties;
mod report;
mod segmentation;
mod shared;
mod store;
mod text;
mod timeline;
mod trend;
mod tuning_text;
mod tunings;

pub use ask::{Answer, History, Missing, Query, TuningAnswer};
pub use changepoint::{
    CANDIDATE_PENALTY, ChangePoint, Changes, LEAST_LEVEL, LEAST_STANDARD_ERRORS, LEVEL_WINDOW,
    change_points,
};
pub use report::{
    AcceptedRun, Entry, Group, HISTORY_SCHEMA, HistoryReport, Level, Series, Shift, WithoutNumbers,
};
pub use shared::{SharedHistory, SharedHistoryError};
pub use store::{IndexError, VERSION};
pub use text::{detail, overview};
pub use trend::{LEAST_TREND, Slope, TREND_CONFIDENCE, TREND_WINDOW, Trend, trend};
pub use tuning_text::tunings;
pub use tunings::{
    Best, Lessons, Pattern, TUNING_HISTORY_SCHEMA, Tried, TunedBaseline, TuningHistory,
};
