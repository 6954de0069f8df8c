//! Searches for a better configuration, from their records: what is told of one, and what all
//! of them teach.

#[path = "../common/mod.rs"]
mod common;
mod memory;
mod report;
