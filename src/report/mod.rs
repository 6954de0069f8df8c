//! What results say, for people and machines: alone, or against other results.
//!
//! Reading order: [`Source`] (a run directory, perf.csv, perf_entry_super.json: whatever
//! it is becomes [`Reading`]s), [`Rules`] (which way is better, and how that is known),
//! [`Report`] (the answer as data), and its forms: [`text`], [`markdown`], [`html`]; JSON
//! is the [`Report`] itself.

mod build;
mod collect;
mod columns;
mod compare;
mod csv_file;
mod headline;
mod history;
mod html;
mod json_file;
mod markdown;
mod model;
mod numbers;
mod records;
mod rules;
mod setting;
mod source;
mod text;

pub use collect::{HISTORY, SERIES_MAX};
pub use html::html;
pub(crate) use html::{
    escape as html_escape, hash as policy_hash, head as page_head, style as page_style,
};
pub use markdown::{MARKDOWN_MAX, markdown};
pub(crate) use markdown::{code as markdown_code, escape as markdown_escape};
pub use model::{
    Conclusion, Kind, Knowledge, Origin, Point, Report, Row, SCHEMA, Series, Status, Summary,
};
pub use numbers::{percentage, plain};
pub use rules::{Rule, Rules};
pub use setting::Setting;
pub use source::{Reading, Source};
pub use text::text;
