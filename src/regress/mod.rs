//! Statistics and the Verdict.
mod direction;
pub use direction::Direction;
