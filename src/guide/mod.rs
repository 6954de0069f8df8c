//! The part of the guide that is made from the code: pages of reference, and `mad howto`.
//!
//! Reading order: [`Described`] (what the command line says of itself), [`VARIABLES`] and
//! [`WISHES`] (what nothing else says), and the forms: [`reference()`], the pages below
//! `docs/`, and [`howto()`], one page of HTML.

mod described;
mod fields;
mod howto;
mod picture;
mod reference;
mod variables;
mod wishes;

pub use described::{Block, Described, Flag};
pub use howto::howto;
pub use reference::{Page, reference};
pub use variables::{Reader, VARIABLES, Variable};
pub use wishes::{TIPS, WISHES, Wish};
