//! Numbers that come back as they were written.
//!
//! serde_json's fast float parser may be off by one in the last digit, and a file that is
//! read and written again would then change lines nobody touched. The standard library
//! parses exactly.

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

fn parse<E: Error>(raw: &RawValue) -> Result<f64, E> {
    raw.get()
        .parse()
        .map_err(|_| E::custom(format_args!("expected a number, found {}", raw.get())))
}

/// For `#[serde(deserialize_with)]` on an `f64`.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    parse(<&RawValue>::deserialize(deserializer)?)
}

/// For `#[serde(deserialize_with)]` on a `Vec<f64>`.
pub(super) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let raw = <Vec<&RawValue>>::deserialize(deserializer)?;
    raw.into_iter().map(parse).collect()
}
