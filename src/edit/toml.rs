//! TOML.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::node::{Node, Scalar};

pub(super) fn parse(text: &str) -> Result<Node, String> {
    let table = DeTable::parse(text).map_err(|e| e.to_string())?;
    Ok(map(table.get_ref(), text))
}

fn map(table: &DeTable<'_>, text: &str) -> Node {
    let item = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        (key.to_string(), node(value, text))
    };
    Node::Map(table.iter().map(item).collect())
}

fn node(value: &Spanned<DeValue<'_>>, text: &str) -> Node {
    let span = value.span();
    let scalar = match value.get_ref() {
        DeValue::Table(table) => return map(table, text),
        DeValue::Array(items) => {
            return Node::List(items.iter().map(|item| node(item, text)).collect());
        }
        DeValue::String(text) => Scalar::Text(text.to_string()),
        DeValue::Boolean(b) => Scalar::Bool(*b),
        DeValue::Integer(_) | DeValue::Float(_) => Scalar::Number(text[span.clone()].to_owned()),
        DeValue::Datetime(date) => Scalar::Other(date.to_string()),
    };
    Node::Scalar(scalar, span)
}

pub(super) fn plain(value: &str) -> Option<Scalar> {
    let read = DeValue::parse(value).ok()?;
    match node(&read, value) {
        Node::Scalar(scalar @ (Scalar::Bool(_) | Scalar::Number(_)), _) => Some(scalar),
        _ => None,
    }
}

pub(super) fn quoted(value: &str, old: &str) -> String {
    let literal = old.starts_with('\'') && !value.contains('\'');
    match literal && !value.chars().any(char::is_control) {
        true => format!("'{value}'"),
        // The escapes of JSON are among those of TOML, which forbids one character more.
        false => super::json::quoted(value).replace('\u{7f}', "\\u007f"),
    }
}
