//! The columns of a results CSV, and a row seen through them.

use std::collections::{BTreeMap, HashSet};

use csv::StringRecord;

use crate::contract::Sample;
use crate::contract::line::excerpt;

/// Columns that every results CSV has.
const REQUIRED: [&str; 3] = ["model", "performance", "metric"];

/// Where the columns are.
pub(super) struct Header {
    model: usize,
    performance: usize,
    metric: usize,
    /// The further ones that have a name.
    others: Vec<(usize, String)>,
    width: usize,
}

impl Header {
    pub(super) fn new(record: &StringRecord) -> Result<Self, String> {
        let names: Vec<&str> = record.iter().map(str::trim).collect();
        if names.iter().all(|name| name.is_empty()) {
            return Err("it has no header line".to_owned());
        }
        let missing: Vec<&str> =
            REQUIRED.into_iter().filter(|required| !names.contains(required)).collect();
        if !missing.is_empty() {
            return Err(missing_columns(&missing, &names));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|n| !n.is_empty() && !seen.insert(**n)) {
            return Err(format!("two columns are named \"{}\"", excerpt(twice, 0)));
        }
        let index = |name| names.iter().position(|n| *n == name).unwrap_or_default();
        Ok(Self {
            model: index("model"),
            performance: index("performance"),
            metric: index("metric"),
            others: names
                .iter()
                .enumerate()
                .filter(|(_, name)| !name.is_empty() && !REQUIRED.contains(name))
                .map(|(at, name)| (at, (*name).to_owned()))
                .collect(),
            width: names.len(),
        })
    }

    /// A row's Sample, or its model and what is wrong with it.
    pub(super) fn sample(&self, record: &StringRecord) -> Result<Sample, (String, String)> {
        let field = |at: usize| record.get(at).unwrap_or_default().trim();
        let model = field(self.model);
        let bad = |problem: String| Err((model.to_owned(), problem));
        if record.len() != self.width {
            let fields = match record.len() {
                1 => "1 field".to_owned(),
                n => format!("{n} fields"),
            };
            return bad(format!("{fields}, but the header has {}", self.width));
        }
        let metric = field(self.metric);
        for (name, value) in [("model", model), ("metric", metric)] {
            if value.is_empty() {
                return bad(format!("{name} is blank"));
            }
        }
        let text = field(self.performance);
        if text.is_empty() {
            return bad("performance is blank".to_owned());
        }
        let Some(value) = text.parse().ok().filter(|value: &f64| value.is_finite()) else {
            let text = excerpt(text, 0);
            return bad(format!("performance \"{text}\" is not a finite number"));
        };
        let columns = self.others.iter().map(|(at, name)| {
            let value = record.get(*at).unwrap_or_default();
            (name.clone(), value.to_owned())
        });
        Ok(Sample {
            metric: metric.to_owned(),
            row: Some(model.to_owned()),
            nth: None,
            value,
            text: text.to_owned(),
            columns: columns.collect::<BTreeMap<_, _>>(),
        })
    }
}

fn missing_columns(missing: &[&str], names: &[&str]) -> String {
    let present: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
    let word = if missing.len() == 1 { "column" } else { "columns" };
    let mut text = format!(
        "the header lacks the {word} {}; it has {}",
        missing.join(", "),
        excerpt(&present.join(", "), 0),
    );
    for wanted in missing {
        if let Some(name) = names.iter().find(|n| n.eq_ignore_ascii_case(wanted)) {
            text.push_str(&format!("; write \"{wanted}\" instead of \"{name}\""));
        }
    }
    text
}
