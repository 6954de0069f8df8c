//! perf_entry_super.json: the rows of this Run as JSON, in madengine's shape.

use serde_json::{Map, Value, json};

use super::{COLUMNS, Row};
use crate::contract::Sample;

/// One record per row: the columns of perf.csv, `configs` (always null: madengine
/// attaches the first configuration to every row, which says nothing) and
/// `multi_results`, the further columns of a `multiple_results` CSV. `performance` is
/// a number there and text otherwise, as madengine writes it.
pub fn super_records<'a>(
    rows: impl IntoIterator<Item = (&'a Row, Option<&'a Sample>)>,
) -> Vec<Value> {
    rows.into_iter()
        .map(|(row, sample)| {
            let mut record: Map<String, Value> =
                COLUMNS.into_iter().map(|c| (c.to_owned(), json!(row.get(c)))).collect();
            let multiple = sample.filter(|s| s.row.is_some());
            if row.get("performance").is_empty() {
                record.insert("performance".into(), Value::Null);
            } else if let Some(sample) = multiple {
                record.insert("performance".into(), json!(sample.value));
            }
            record.insert("configs".into(), Value::Null);
            let further = multiple.map(|s| &s.columns).filter(|c| !c.is_empty());
            record.insert("multi_results".into(), json!(further));
            Value::Object(record)
        })
        .collect()
}
