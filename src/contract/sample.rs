//! One measured number.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One value of one metric from one Execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// The unit word, as the script wrote it.
    pub metric: String,
    /// The `model` column of a results CSV; absent for a number from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<String>,
    /// 2 for the second row of one CSV with the same model and metric, and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nth: Option<u32>,
    /// The number; always finite.
    pub value: f64,
    /// The number as the script wrote it.
    pub text: String,
    /// Further columns of the CSV row, as written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
}

impl Sample {
    /// A number that came from the log.
    pub(super) fn from_log(metric: &str, value: f64, text: &str) -> Self {
        Self {
            metric: metric.to_owned(),
            row: None,
            nth: None,
            value,
            text: text.to_owned(),
            columns: BTreeMap::new(),
        }
    }

    /// What tells this Sample from the others of its Execution, and finds its counterpart
    /// in another one: `metric`, `row/metric`, or `row/metric #2` for a repeated row.
    pub fn key(&self) -> String {
        let mut key = match &self.row {
            Some(row) => format!("{row}/{}", self.metric),
            None => self.metric.clone(),
        };
        if let Some(nth) = self.nth {
            key.push_str(&format!(" #{nth}"));
        }
        key
    }
}
