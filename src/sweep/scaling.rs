//! How metrics change with the number of GPUs.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use super::CellResult;
use crate::regress::Direction;

/// One metric of one entry (and one set of values of the other axes) over GPU counts.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Scaling {
    /// The entry, with the values of the other axes.
    pub series: String,
    /// The metric.
    pub metric: String,
    /// Which way is better.
    pub better: Direction,
    /// By GPU count, ascending; the first one is what the others are held against.
    pub points: Vec<Point>,
}

/// One Cell on the GPU axis.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Point {
    /// The Cell.
    pub cell: String,
    /// GPUs.
    pub n_gpus: u32,
    /// The number.
    pub value: f64,
    /// How many times better than with the smallest count.
    pub speedup: f64,
    /// The speed-up over the ideal one, which is `n_gpus` over the smallest count.
    pub efficiency: f64,
}

/// The metrics that were measured with several GPU counts, and of which it is known which
/// way is better.
pub(super) fn scaling(cells: &[CellResult]) -> Vec<Scaling> {
    type Found<'a> = Vec<(u32, &'a str, f64)>;
    type Key<'a> = (String, &'a str, &'a str, Direction);
    let mut series: IndexMap<Key<'_>, Found<'_>> = IndexMap::new();
    for cell in cells {
        let Some(n_gpus) = cell.n_gpus.filter(|n| *n > 0) else { continue };
        let mut name = cell.entry.clone();
        for (path, value) in &cell.values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            name.push_str(&format!(" {}={text}", path.rsplit('.').next().unwrap_or(path)));
        }
        for n in &cell.numbers {
            let of_series = series.entry((name.clone(), &n.key, &n.metric, n.better)).or_default();
            of_series.push((n_gpus, &cell.id, n.value));
        }
    }
    let of_series = |((series, key, _, better), mut found): (Key<'_>, Found<'_>)| {
        found.sort_by_key(|(n_gpus, ..)| *n_gpus);
        let &(base_gpus, _, base) = found.first()?;
        let several = found.last().is_some_and(|(n, ..)| *n > base_gpus);
        if !several || better == Direction::Unknown || found.iter().any(|(.., v)| *v <= 0.0) {
            return None;
        }
        let point = |&(n_gpus, cell, value): &(u32, &str, f64)| {
            let speedup = match better {
                Direction::Lower => base / value,
                _ => value / base,
            };
            let ideal = f64::from(n_gpus) / f64::from(base_gpus);
            Point { cell: cell.to_owned(), n_gpus, value, speedup, efficiency: speedup / ideal }
        };
        let points = found.iter().map(point).collect();
        Some(Scaling { series, metric: key.to_owned(), better, points })
    };
    series.into_iter().filter_map(of_series).collect()
}
