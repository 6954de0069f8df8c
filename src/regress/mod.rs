//! Statistics of one metric: is this run worse than what was accepted?
//!
//! Pure functions, no I/O. Reading order: [`Direction`] (which way is better),
//! [`Policy`] (what counts as a change), [`Pool`] (what other metrics show of the noise),
//! [`judge`] (one look), [`Confirmation`] (look again before anybody is alarmed),
//! [`Verdict`] (the answer, in numbers), [`common_shift`] (is it the machine?).
//!
//! # The rule
//!
//! What is promised is about a whole run: when nothing changed, at most one run in 100 of
//! 300 checks ends red ([`Policy::false_alarms`], [`Policy::checks`]). One check may thus
//! be wrong once in 30 000 times, which no single look at a noisy machine can promise.
//!
//! A first look is *suspected* when it is worse than the accepted median by more than
//!
//! 1. the **tolerance** (relative) and the absolute **floor**: what people care about; and
//! 2. the **limit** of one look, a one-sided prediction interval
//!    `t(97 %, ν) · s · sqrt(1 + c)`: three looks in a hundred at unchanged code get here.
//!
//! Then fresh Executions are made, one at a time. The first that would not be suspected
//! itself ends it. When enough of them are suspected, and the mean of all looks (or the
//! median of the fresh ones, if that looks better) is beyond both bounds at the level of the
//! whole run, `t(level, ν) · s · sqrt(v + c)`, the verdict is [`Outcome::Regressed`].
//!
//! # The choices behind the limits
//!
//! * **The unit of replication is the run.** `n` counts accepted runs, and the first look
//!   counts as one however many Executions it holds: Executions of one session share that
//!   session's luck.
//! * **Spread** `s`: few accepted runs know little about their noise, but all metrics
//!   measured on one machine together know much. `s` is the metric's own standard deviation
//!   *moderated* by that of the others (Smyth 2004): when all are alike, a young baseline is
//!   judged with the spread of all; when they differ, with its own. Runs that are more than
//!   four standard deviations off are left out of it.
//! * **Without other metrics** the tolerance is read as a statement about noise,
//!   "unchanged code rarely moves by more", an assumed standard deviation of
//!   `tolerance / z(99 %)` that weighs as much as [`ASSUMED_WEIGHT`] further runs. Without a
//!   tolerance the interval is the textbook one, and a single accepted run decides nothing.
//! * **Correlation**: consecutive runs resemble each other, so that three are worth less
//!   than three. How much is estimated from all metrics, and one and a half standard errors
//!   are added. `v` and `c` are the variances of the mean of the looks and of the accepted
//!   median under it; `s` is corrected for what correlation hides.
//! * **How many fresh Executions at least**: as many as it takes that slow runs, which are
//!   not noise, do not turn the run red together: one where the accepted runs of all metrics
//!   show none, three where 3 % of them were slow.
//!
//! What this costs and finds is measured by `benches/detection`, and told in
//! `docs/verdicts.md`.

mod agreement;
mod comparison;
mod confirm;
mod correlation;
mod direction;
mod judge;
mod limit;
mod policy;
mod pool;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod simulation;
mod special;
mod suspect;
mod text;
mod verdict;

pub use agreement::{disagreement, stands_out};
pub use confirm::{Confirmation, Step};
pub use direction::{DIRECTION_RULES, Direction, DirectionRule, infer, inference_reason};
pub use judge::judge;
pub use limit::{ASSUMED_WEIGHT, WINDOW, median, relative_error, relative_spread};
pub use policy::Policy;
pub use pool::{Pool, Series};
pub use suspect::{CommonShift, common_shift};
pub(crate) use text::{count, number, percent};
pub use verdict::{Evidence, Outcome, Verdict};
