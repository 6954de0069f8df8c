//! A benchmark harness that turns a catalog of AI model workloads (`models.json`)
//! into test cases.

pub mod machine;
