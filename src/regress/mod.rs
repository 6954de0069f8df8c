//! Statistics of one metric: is this run worse than what was accepted?
//!
//! Pure functions, no I/O. Reading order: [`Direction`] (which way is better),
//! [`Policy`] (what counts as a change), [`judge`] (one look), [`Confirmation`]
//! (look again before anybody is alarmed), [`Verdict`] (the answer, in numbers).
//!
//! # The rule
//!
//! A value is *suspected* when it is worse than the accepted median by more than
//!
//! 1. the **tolerance** (relative) and the absolute **floor**: what people care about; and
//! 2. the **limit**: what a new run of unchanged code may do, a one-sided Student-t
//!    prediction interval `median ± t(q, ν) · s · sqrt(1 + c/n)` over the `n` accepted runs.
//!
//! A suspicion becomes [`Outcome::Regressed`] only when fresh Executions confirm it: each
//! of them worse than the tolerance, and the median of everything still beyond both bounds.
//!
//! # The choices behind the limit
//!
//! * **The unit of replication is the run.** `n` counts accepted runs, and the run under
//!   judgement counts as one however many Executions it holds: Executions of one session
//!   share that session's luck, so averaging them does not shrink the between-run spread.
//! * **Centre**: the median, whose variance is at most `c/n` of a run's, `c = π/2`
//!   (`c = 1` for `n ≤ 2`, where the median is the mean).
//! * **Spread** `s`: the standard deviation after values further than three robust standard
//!   deviations (1.4826 · MAD) from the median were pulled in to that distance. One slow
//!   accepted run in ten then costs a little width instead of all power. Below five runs
//!   the MAD means nothing and the plain standard deviation is used.
//! * **Few runs**: the tolerance is read as a statement about noise, "unchanged code rarely
//!   moves by more", that is an assumed standard deviation of `tolerance / z(q)` that weighs
//!   as much as [`ASSUMED_WEIGHT`] further runs. One accepted run is thereby a usable
//!   baseline (limit about 2.3 tolerances) and five quiet ones bring the limit down to the
//!   tolerance. With tolerance 0 nothing is assumed: the interval is the textbook one,
//!   `ν = n − 1`, and a single accepted run decides nothing.
//!
//! What this costs and finds is measured in `simulation.rs`, whose table is in [`judge`].

mod comparison;
mod confirm;
mod direction;
mod judge;
mod limit;
mod policy;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
mod text;
mod verdict;

pub use confirm::{Confirmation, Step};
pub use direction::{DIRECTION_RULES, Direction, DirectionRule, infer, inference_reason};
pub use judge::judge;
pub use limit::{ASSUMED_WEIGHT, WINDOW, median};
pub use policy::Policy;
pub(crate) use text::{count, number, percent};
pub use verdict::{Outcome, Verdict};
