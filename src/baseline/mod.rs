//! The accepted numbers: what `regress` compares with, kept as text files that a person
//! reviews in a diff.
//!
//! `<dir>/<machine class>/<model>.json`, both as [`slug`](crate::slug::slug)s, holds every
//! run that somebody accepted, oldest first. Runs that agree form a *level*; accepting one
//! that does not starts the next level, and comparisons look at the current level only, so
//! that neither one lucky run nor numbers from before a deliberate change skew them. Older
//! levels stay in the file as history.
//!
//! Reading order: [`Baseline`] (the file), [`Rules`] (what may be accepted), [`Store`] (files on
//! disk), [`diff`].

mod accept;
mod diff;
mod error;
mod format;
#[cfg(test)]
mod properties;
mod store;
#[cfg(test)]
mod tests;
mod who;

pub(crate) use accept::flipped;
pub use accept::{Acceptance, Rules};
pub use diff::{Change, diff};
pub use error::BaselineError;
pub use format::{Accepted, AcceptedMetric, Baseline, Key, Level, SCHEMA};
pub use store::Store;
pub use who::{in_ci, who};
