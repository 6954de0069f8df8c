//! A benchmark harness that turns a catalog of AI model workloads (`models.json`)
//! into test cases.

pub mod catalog;
pub mod diagnostic;
pub mod regress;
pub mod validate;
