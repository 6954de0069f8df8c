//! JSON.

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::RawValue;

use super::node::{Node, Scalar};
use crate::catalog::span_of;

pub(super) fn parse(text: &str) -> Result<Node, String> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let raw: &RawValue = serde_json::from_str(body).map_err(|e| e.to_string())?;
    node(text, raw).map_err(|e| e.to_string())
}

fn node(text: &str, raw: &RawValue) -> serde_json::Result<Node> {
    match raw.get().as_bytes().first() {
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get())?;
            let items: serde_json::Result<_> = items.iter().map(|raw| node(text, raw)).collect();
            Ok(Node::List(items?))
        }
        Some(b'{') => {
            let items: IndexMap<String, &RawValue> = serde_json::from_str(raw.get())?;
            let item = |(key, raw): (String, &RawValue)| Ok((key, node(text, raw)?));
            let items: serde_json::Result<_> = items.into_iter().map(item).collect();
            Ok(Node::Map(items?))
        }
        _ => {
            let scalar = match serde_json::from_str(raw.get())? {
                Value::String(text) => Scalar::Text(text),
                _ => plain(raw.get()).unwrap_or_else(|| Scalar::Other(raw.get().to_owned())),
            };
            Ok(Node::Scalar(scalar, span_of(text, raw)))
        }
    }
}

pub(super) fn plain(value: &str) -> Option<Scalar> {
    match serde_json::from_str(value).ok()? {
        Value::Null => Some(Scalar::Null),
        Value::Bool(b) => Some(Scalar::Bool(b)),
        Value::Number(_) => Some(Scalar::Number(value.to_owned())),
        _ => None,
    }
}

pub(super) fn quoted(value: &str) -> String {
    Value::from(value).to_string()
}
