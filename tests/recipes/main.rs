//! The recipes of ci/ are run, so that they cannot rot: the shell steps of each, in the order,
//! with the conditions and in the shell of the CI system, in a catalog of their own. Stand-ins
//! are `cargo install` (which copies the program that is there), `gh` (which notes what it is
//! asked), and the self-test (which takes its time, and has tests of its own).

#[path = "../common/mod.rs"]
mod common;
mod github;
mod gitlab;
mod jenkins;
mod workplace;
