//! A matrix of measurements: entry × GPU count × values in the context.
//!
//! * [`Axis`]: what is varied in the context. [`Cell`]: one point of the matrix, with its own
//!   options and context, and an id that is unique and stays the same.

mod axis;
mod cell;

pub use axis::Axis;
pub use cell::{Cell, Matrix, cells};
