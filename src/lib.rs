//! A benchmark harness that turns a catalog of AI model workloads (`models.json`)
//! into test cases.
//!
//! Data flows one way, and the modules are best read in its order:
//!
//! ```text
//! models.json → catalog → plan → engine → contract → record → regress → results
//! ```
//!
//! * [`catalog`]: the entries, and which of them a tag means. [`validate`] hangs off
//!   it: would an entry run and report a number? [`diagnostic`] is what both report.
//! * [`machine`]: what this host has, and leases over it.
//! * [`options`]: the flags of everything that runs. [`plan`]: entry × options ×
//!   machine → a Job, or a Skip with its reason.
//! * [`source`]: the repository that an entry names by `url`, fetched once and checked out
//!   at a commit. [`credentials`]: the logins of `credential.json`.
//! * [`data`]: the data sets an entry names, and getting them here.
//! * [`manifest`]: images that were built, on their way to the host that runs them.
//! * [`engine`]: runs a Job. [`contract`]: what its log and CSV say, as Samples.
//! * [`record`]: the run directory. [`baseline`]: the accepted numbers.
//!   [`regress`]: the statistics of a Verdict. [`history`]: those of many past runs,
//!   and an index of them.
//! * [`schedule`]: many Jobs at once where they cannot disturb each other. [`sweep`]: a
//!   matrix of measurements.
//! * [`run`]: ties these together; [`compare`]: two sides in turn. [`results`]: what a run
//!   leaves behind; [`report`]: what that says.
//! * [`progress`]: how all of that gets on, for people who wait.
//! * [`selftest`]: the gate put to the test with a slow-down that is planted.
//! * [`profile`]: what profilers wrote, and what holds a workload back. [`tune`]: what may
//!   help, measured against what there is.
//! * [`scaffold`]: a new entry with all it needs.
//! * [`harness`] (the test target) and [`cli`] (the command) are two thin doors into
//!   the same path; `mcp` starts the command for agents, and [`agents`] are their instructions.
//!   [`schema`]: JSON Schemas of the formats. [`guide`]: the pages of the guide that are made from the code.

pub mod agents;
pub mod baseline;
pub mod catalog;
pub mod cli;
pub mod compare;
pub mod contract;
pub mod credentials;
pub mod data;
pub mod diagnostic;
mod diff;
mod edit;
pub mod engine;
mod glob;
pub mod guide;
pub mod harness;
pub mod history;
mod lock;
pub mod machine;
pub mod manifest;
#[cfg(feature = "mcp")]
mod mcp;
pub mod options;
mod place;
pub mod plan;
pub mod profile;
pub mod progress;
pub mod record;
pub mod regress;
pub mod report;
pub mod results;
pub mod run;
pub mod scaffold;
pub mod schedule;
pub mod schema;
pub mod selftest;
pub mod slug;
pub mod source;
pub mod sweep;
pub mod tune;
pub mod validate;
