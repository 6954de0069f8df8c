//! One point of the matrix.

use std::collections::HashSet;

use anyhow::{Result, bail};
use serde_json::Value;

use super::Axis;
use crate::catalog::{Count, Model};
use crate::options::{Context, RunOptions};
use crate::plan::Planner;
use crate::slug::digest;

/// Longest part of an id that is spelled out.
const PART_MAX: usize = 80;
/// Hexadecimal digits of the hash behind a part that is not.
const HASH_DIGITS: usize = 10;

/// What is measured in a sweep.
#[derive(Clone, Debug, Default)]
pub struct Matrix {
    /// The entries.
    pub models: Vec<Model>,
    /// GPU counts; what the entry says if there are none.
    pub ngpus: Vec<Count>,
    /// What varies in the context.
    pub axes: Vec<Axis>,
}

/// One point of the matrix.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Unique in the sweep, the same whenever the sweep is asked for again, and a plain
    /// part of a file name.
    pub id: String,
    /// The entry.
    pub model: Model,
    /// GPU count, if that is an axis.
    pub ngpus: Option<Count>,
    /// Name and value of each axis, in order.
    pub values: Vec<(String, Value)>,
    /// The flags of the sweep, with this count.
    pub options: RunOptions,
    /// The context of the sweep, with these values.
    pub context: Context,
    /// What it adds to the ids of Jobs: numbers of other contexts are other numbers.
    pub variation: String,
}

impl Cell {
    /// The planner of this Cell, by that of the sweep.
    pub fn planner<'a>(&'a self, of_sweep: &Planner<'a>) -> Planner<'a> {
        Planner {
            options: &self.options,
            context: &self.context,
            variation: &self.variation,
            ..*of_sweep
        }
    }
}

/// All Cells: entry by entry, then by GPU count, then by the axes, the last one fastest.
///
/// # Errors
/// When a context cannot have a value that an axis has for it.
pub fn cells(matrix: &Matrix, options: &RunOptions, context: &Context) -> Result<Vec<Cell>> {
    let mut contexts = vec![(Vec::new(), context.clone())];
    for axis in &matrix.axes {
        let mut more = Vec::with_capacity(contexts.len() * axis.values.len());
        for (values, context) in &contexts {
            for value in &axis.values {
                let mut values: Vec<(String, Value)> = values.clone();
                values.push((axis.path.join("."), value.clone()));
                more.push((values, axis.put(context, value)?));
            }
        }
        contexts = more;
    }
    let counts: Vec<Option<Count>> = match matrix.ngpus.as_slice() {
        [] => vec![None],
        counts => counts.iter().copied().map(Some).collect(),
    };
    let names = short_names(&matrix.axes);
    let mut all = Vec::new();
    for model in &matrix.models {
        for (i, &ngpus) in counts.iter().enumerate() {
            // A CPU entry has no use for GPUs: one Cell stands for all counts.
            let cpu = model.n_gpus() == Count::Exactly(0);
            if cpu && i > 0 {
                continue;
            }
            let ngpus = ngpus.filter(|_| !cpu);
            for (values, context) in &contexts {
                all.push(cell(model, ngpus, values, &names, options, context));
            }
        }
    }
    let mut seen = HashSet::new();
    if let Some(twice) = all.iter().find(|cell| !seen.insert(cell.id.as_str())) {
        bail!(
            "two cells would have the id {}: give their entries names that differ more",
            twice.id
        );
    }
    Ok(all)
}

fn cell(
    model: &Model,
    ngpus: Option<Count>,
    values: &[(String, Value)],
    names: &[String],
    options: &RunOptions,
    context: &Context,
) -> Cell {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut parts = vec![part(&model.id())];
    parts.extend(ngpus.map(|count| match count {
        Count::All => "allgpu".to_owned(),
        Count::Exactly(n) => format!("{n}gpu"),
    }));
    parts.extend(names.iter().zip(values).map(|(n, (_, v))| part(&format!("{n}.{}", text(v)))));
    let variation: String =
        values.iter().map(|(path, value)| format!("+{path}={}", text(value))).collect();
    Cell {
        id: parts.join("--"),
        model: model.clone(),
        ngpus,
        values: values.to_vec(),
        options: RunOptions {
            ngpus: ngpus.into_iter().collect(),
            // The command of the Cell has all of it.
            additional_context: match values.is_empty() {
                true => options.additional_context.clone(),
                false => Some(Value::Object(context.0.clone()).to_string()),
            },
            additional_context_file: match values.is_empty() {
                true => options.additional_context_file.clone(),
                false => None,
            },
            ..options.clone()
        },
        context: context.clone(),
        variation,
    }
}

/// The last part of each path, or all of it where two axes end alike.
fn short_names(axes: &[Axis]) -> Vec<String> {
    let alike = |axis: &Axis| axes.iter().filter(|other| other.name() == axis.name()).count() > 1;
    let name = |axis: &Axis| match alike(axis) {
        true => axis.path.join("."),
        false => axis.name().to_owned(),
    };
    axes.iter().map(name).collect()
}

/// A label as part of an id. One that is plain stays as it is; any other loses its odd
/// characters and gets a hash of itself, so that labels that look alike then stay apart.
pub(crate) fn part(label: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let hashed_already = label.rsplit_once("-x").is_some_and(|(_, hash)| {
        hash.len() == HASH_DIGITS && hash.bytes().all(|b| b.is_ascii_hexdigit())
    });
    let stays = !label.is_empty()
        && label.len() <= PART_MAX
        && label.chars().all(plain)
        && !label.contains("--")
        && !label.starts_with(['-', '.'])
        && !label.ends_with('-')
        && !hashed_already;
    if stays {
        return label.to_owned();
    }
    let words = label.split(|c: char| !plain(c) || c == '-').filter(|w| !w.is_empty());
    let mut short = words.collect::<Vec<_>>().join("-").trim_start_matches('.').to_owned();
    short.truncate(PART_MAX);
    let hash = digest(label, HASH_DIGITS / 2);
    let stem = if short.is_empty() { "cell" } else { short.trim_end_matches('-') };
    format!("{stem}-x{hash}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_that_look_alike_stay_apart() {
        for (label, expected) in [
            ("pyt_llama-3.1_8b", "pyt_llama-3.1_8b"),
            ("dir/model", "dir-model-x"),
            ("a b", "a-b-x"),
            ("a-b", "a-b"),
            ("--", "cell-x"),
            ("日本", "cell-x"),
        ] {
            let made = part(label);
            let stem = expected.split("-x").next().unwrap();
            assert!(made == expected || made.starts_with(&format!("{stem}-x")), "{label}: {made}");
        }
        assert_ne!(part("a/b"), part("a b"));
        assert_ne!(part("a-b"), part("a b"));
        // One that looks like a hashed one is hashed again.
        let hashed = part("a b");
        assert_ne!(part(&hashed), hashed);
    }

    proptest! {
        #[test]
        fn different_labels_have_different_parts(a in "[a/ .-]{0,4}", b in "[a/ .-]{0,4}") {
            prop_assert_eq!(a == b, part(&a) == part(&b));
        }

        #[test]
        fn a_part_is_plain_and_never_holds_the_separator(label in ".{0,120}") {
            let part = part(&label);
            prop_assert!(!part.is_empty() && part.len() <= PART_MAX + 2 + HASH_DIGITS);
            prop_assert!(!part.contains("--") && !part.starts_with('.'), "{}", part);
            prop_assert!(part.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c)));
        }
    }
}
