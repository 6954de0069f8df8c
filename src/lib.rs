//! A benchmark harness that turns a catalog of AI model workloads (`models.json`)
//! into test cases.

<<<<<<< HEAD
pub mod catalog;
pub mod diagnostic;
pub mod regress;
=======
pub mod baseline;
pub mod regress;
pub mod slug;
>>>>>>> stats
