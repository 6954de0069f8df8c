//! What a Run leaves behind for people and machines: perf.csv, JUnit,
//! perf_entry_super.json, tables.

mod explain;
mod junit;
mod perf_csv;
mod super_json;
mod table;

pub use explain::explain;
pub use junit::{junit_xml, write_junit};
pub use perf_csv::{COLUMNS, Row, append_rows, append_rows_once, check_appendable, write_rows};
pub use super_json::super_records;
pub use table::Table;
