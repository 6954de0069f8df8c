//! Data sets: what `data.json` says about the names in an entry's `data`, and getting
//! them here.
//!
//! [`DataConfig`] is the file, checked. [`Resolver`] picks a provider for each name of an
//! entry: the result is a [`DataPlan`], which says what is mounted where, what is run and
//! what is downloaded first. [`provide`] downloads it.
//!
//! Downloads need the cargo feature `s3`; without it, everything else works and a data
//! set that would have to be downloaded says so.

mod access;
mod config;
mod parse;
mod plan;
mod provide;
mod resolve;
#[cfg(feature = "s3")]
mod s3;
#[cfg(not(feature = "s3"))]
#[path = "without_s3.rs"]
mod s3;

pub use config::{DATA_FILE, DataConfig, DataError, DataOptions, Reason};
pub use plan::{DataPlan, DataScript, Mount, ProviderKind, Remote, container_homes};
pub use provide::{Fetched, Provided, fetch, provide};
pub use resolve::{Resolver, Servers};

#[cfg(test)]
mod tests;
