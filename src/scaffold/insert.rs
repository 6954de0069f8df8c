//! A new element in the text of a catalog file, of which everything else stays as it is.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::catalog::span_of;

/// The text of a catalog file with `entry` as a new element: behind the element `after`,
/// else behind the last one. It is written as its neighbour is, and all other bytes stay.
///
/// # Errors
/// When `text` is not a JSON array.
pub(super) fn insert(text: &str, entry: &Value, after: Option<usize>) -> Result<String> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let body = &text[mark..];
    let spans = elements(body)?;
    let newline = if body.contains("\r\n") { "\r\n" } else { "\n" };
    let Some(last) = spans.len().checked_sub(1) else {
        let open = mark + body.find('[').context("an array begins with `[`")? + 1;
        let close = text[open..].find(']').context("an array ends with `]`")?;
        let end = if text[open..open + close].contains('\n') { "" } else { newline };
        let style = Style::default_with(newline);
        let element = format!("{newline}{}{}{end}", style.indent, style.entry(entry));
        return checked(text, &spans, 0, open, &element, entry);
    };
    let at = after.unwrap_or(last).min(last);
    let style = Style::of(body, spans[at].clone(), newline);
    let written = style.entry(entry);
    let between = |a: usize, b: usize| &body[spans[a].end..spans[b].start];
    let (position, element) = if at < last {
        (spans[at + 1].start, format!("{written}{}", between(at, at + 1)))
    } else if last > 0 {
        (spans[last].end, format!("{}{written}", between(last - 1, last)))
    } else {
        let lead = &body[body.find('[').context("an array begins with `[`")? + 1..spans[0].start];
        (spans[0].end, format!(",{lead}{written}"))
    };
    checked(text, &spans, at + 1, mark + position, &element, entry)
}

/// Where the elements of an array stand.
fn elements(body: &str) -> Result<Vec<Range<usize>>> {
    let items: Vec<&RawValue> = serde_json::from_str(body)?;
    Ok(items.into_iter().map(|raw| span_of(body, raw)).collect())
}

/// `text` with `element` put in at `position`, once reading it back gives the old elements
/// as they were written and `entry` as number `index`.
fn checked(
    text: &str,
    old: &[Range<usize>],
    index: usize,
    position: usize,
    element: &str,
    entry: &Value,
) -> Result<String> {
    let new = format!("{}{element}{}", &text[..position], &text[position..]);
    let (old_body, new_body) =
        (text.trim_start_matches('\u{feff}'), new.trim_start_matches('\u{feff}'));
    let mut spans = elements(new_body).context("the entry does not fit into the file")?;
    ensure!(index < spans.len(), "the entry got lost");
    let written: Value = serde_json::from_str(&new_body[spans.remove(index)])?;
    let kept = spans.iter().map(|s| &new_body[s.clone()]);
    ensure!(
        written == *entry && kept.eq(old.iter().map(|s| &old_body[s.clone()])),
        "the entry cannot be put into the file without changing others; add it by hand:\n{entry:#}"
    );
    Ok(new)
}

/// How an element is written.
struct Style<'a> {
    newline: &'a str,
    /// Whether each key has a line of its own.
    lines: bool,
    /// What stands before `{`.
    indent: String,
    /// What stands before a key.
    inner: String,
    /// What stands between key and value.
    colon: &'static str,
    /// Whether lists within have one line.
    flat_lists: bool,
    /// Whether objects within have one line.
    flat_objects: bool,
    /// A blank inside the braces of objects in one line.
    pad: &'static str,
}

impl<'a> Style<'a> {
    fn default_with(newline: &'a str) -> Self {
        Style {
            newline,
            lines: true,
            indent: " ".repeat(4),
            inner: " ".repeat(8),
            colon: ": ",
            flat_lists: true,
            flat_objects: true,
            pad: " ",
        }
    }

    /// As the element at `span` is written.
    fn of(body: &str, span: Range<usize>, newline: &'a str) -> Self {
        let element = &body[span.clone()];
        let blank = |text: &str| {
            let end = text.len() - text.trim_start_matches([' ', '\t']).len();
            text[..end].to_owned()
        };
        let line = body[..span.start].rfind('\n').map_or(0, |i| i + 1);
        let indent = blank(&body[line..span.start]);
        let first_key = element.find('"').unwrap_or(0);
        let inner = match element[..first_key].rfind('\n') {
            Some(line) => blank(&element[line + 1..]),
            None => format!("{indent}    "),
        };
        // Whether lists or objects within it have one line; `None` if it has none, or empty ones.
        let flat = |open: char, skip: usize| {
            let behind = element.match_indices(open).skip(skip).map(|(i, _)| &element[i + 1..]);
            let first =
                behind.filter_map(|b| b.trim_start_matches([' ', '\t', '\r']).chars().next());
            first.filter(|c| !matches!(c, ']' | '}')).map(|c| c != '\n').reduce(|a, b| a || b)
        };
        let (flat_lists, flat_objects) = (flat('[', 0), flat('{', 1));
        Style {
            newline,
            lines: element.contains('\n'),
            indent,
            inner,
            colon: if element.contains("\":") && !element.contains("\": ") { ":" } else { ": " },
            flat_lists: flat_lists.or(flat_objects).unwrap_or(true),
            flat_objects: flat_objects.or(flat_lists).unwrap_or(true),
            pad: if element.contains("{ ") { " " } else { "" },
        }
    }

    fn entry(&self, entry: &Value) -> String {
        let Value::Object(map) = entry else { return entry.to_string() };
        if !self.lines {
            return self.one_line(entry);
        }
        let unit = self.inner.strip_prefix(&self.indent).unwrap_or("    ");
        let keys: Vec<String> = map
            .iter()
            .map(|(key, value)| {
                let value = self.spread(value, &self.inner, unit);
                format!("{}{}{}{value}", self.inner, Value::from(key.as_str()), self.colon)
            })
            .collect();
        let newline = self.newline;
        format!("{{{newline}{}{newline}{}}}", keys.join(&format!(",{newline}")), self.indent)
    }

    fn one_line(&self, value: &Value) -> String {
        let comma = if self.colon == ":" { "," } else { ", " };
        match value {
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(|v| self.one_line(v)).collect();
                format!("[{}]", items.join(comma))
            }
            Value::Object(map) if !map.is_empty() => {
                let items: Vec<String> = map
                    .iter()
                    .map(|(k, v)| {
                        format!("{}{}{}", Value::from(k.as_str()), self.colon, self.one_line(v))
                    })
                    .collect();
                format!("{{{}{}{}}}", self.pad, items.join(comma), self.pad)
            }
            plain => plain.to_string(),
        }
    }

    /// `value` over several lines, which begin with `indent`, unless it is one that has one.
    fn spread(&self, value: &Value, indent: &str, unit: &str) -> String {
        let deeper = format!("{indent}{unit}");
        let (open, close, items): (_, _, Vec<String>) = match value {
            Value::Array(items) if !items.is_empty() && !self.flat_lists => {
                ('[', ']', items.iter().map(|v| self.spread(v, &deeper, unit)).collect())
            }
            Value::Object(map) if !map.is_empty() && !self.flat_objects => {
                let item = |(k, v): (&String, &Value)| {
                    let value = self.spread(v, &deeper, unit);
                    format!("{}{}{value}", Value::from(k.as_str()), self.colon)
                };
                ('{', '}', map.iter().map(item).collect())
            }
            _ => return self.one_line(value),
        };
        let newline = self.newline;
        let items = items.join(&format!(",{newline}{deeper}"));
        format!("{open}{newline}{deeper}{items}{newline}{indent}{close}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn entry() -> Value {
        json!({ "name": "new", "tags": ["a", "b"], "bench": { "samples": 3 } })
    }

    #[test]
    fn an_entry_is_written_as_its_neighbour_is() {
        let cases = [
            // Four blanks, lists in one line.
            (
                "[\n    {\n        \"name\": \"a\",\n        \"tags\": [\"x\"]\n    }\n]\n",
                "[\n    {\n        \"name\": \"a\",\n        \"tags\": [\"x\"]\n    },\n    {\n        \"name\": \"new\",\n        \"tags\": [\"a\", \"b\"],\n        \"bench\": {\"samples\": 3}\n    }\n]\n",
            ),
            // Two blanks, lists over several lines, carriage returns, a byte order mark.
            (
                "\u{feff}[\r\n  {\r\n    \"name\": \"a\",\r\n    \"tags\": [\r\n      \"x\"\r\n    ]\r\n  }\r\n]",
                "\u{feff}[\r\n  {\r\n    \"name\": \"a\",\r\n    \"tags\": [\r\n      \"x\"\r\n    ]\r\n  },\r\n  {\r\n    \"name\": \"new\",\r\n    \"tags\": [\r\n      \"a\",\r\n      \"b\"\r\n    ],\r\n    \"bench\": {\r\n      \"samples\": 3\r\n    }\r\n  }\r\n]",
            ),
            // No blanks at all.
            (
                r#"[{"name":"a"}]"#,
                r#"[{"name":"a"},{"name":"new","tags":["a","b"],"bench":{"samples":3}}]"#,
            ),
            // An entry per line.
            (
                "[\n  { \"name\": \"a\" },\n  { \"name\": \"b\" }\n]\n",
                "[\n  { \"name\": \"a\" },\n  { \"name\": \"b\" },\n  { \"name\": \"new\", \"tags\": [\"a\", \"b\"], \"bench\": { \"samples\": 3 } }\n]\n",
            ),
            (
                "[]\n",
                "[\n    {\n        \"name\": \"new\",\n        \"tags\": [\"a\", \"b\"],\n        \"bench\": { \"samples\": 3 }\n    }\n]\n",
            ),
            (
                "[\n]",
                "[\n    {\n        \"name\": \"new\",\n        \"tags\": [\"a\", \"b\"],\n        \"bench\": { \"samples\": 3 }\n    }\n]",
            ),
        ];
        for (old, new) in cases {
            assert_eq!(insert(old, &entry(), None).unwrap(), new);
        }
    }

    #[test]
    fn behind_its_template_no_other_line_changes() {
        let old = "[\n  {\"name\": \"a\"},\n\n  {\"name\": \"b\"}\n]\n";
        let new = insert(old, &json!({ "name": "new" }), Some(0)).unwrap();
        assert_eq!(
            new,
            "[\n  {\"name\": \"a\"},\n\n  {\"name\": \"new\"},\n\n  {\"name\": \"b\"}\n]\n"
        );
        assert!(insert("{}", &entry(), None).is_err());
        assert!(insert("[", &entry(), None).is_err());
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i32>().prop_map(Value::from),
            "[\\PC\n\\[\\]{}\",:]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[\\PC\"{\\[]{0,4}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_other_byte_stays(
            items in prop::collection::vec(value(), 0..4),
            after in prop::option::of(0usize..4),
            pretty: bool,
            new in value(),
        ) {
            let old = if pretty { format!("{:#}", Value::from(items)) } else { Value::from(items).to_string() };
            let text = insert(&old, &new, after).unwrap();
            // The old text is the new one without one piece of it.
            let front = old.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
            prop_assert!(text.as_bytes().ends_with(&old.as_bytes()[front..]));
        }
    }
}
