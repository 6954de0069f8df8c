//! The JSON Schemas as tables of fields.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

use super::reference::prose;
use crate::schema::{Document, text};

/// A section for each document, with a table for each of its objects.
///
/// # Errors
/// When a schema is no JSON, which a test would notice.
pub(super) fn markdown() -> Result<String> {
    let mut page = String::from(
        "What is in each file and each JSON document ([formats.md](formats.md) says where they are and who writes\n\
         them). A field in **bold** is always there.\n\n",
    );
    let name = |document: &Document| document.name();
    let links = Document::ALL.iter().map(|d| format!("[{0}](#{0})", name(d)));
    let _ = writeln!(page, "{}", links.collect::<Vec<_>>().join(" · "));
    for document in Document::ALL {
        let schema: Value = serde_json::from_str(&text(document)).context("a schema")?;
        let name = document.name();
        let _ = write!(
            page,
            "\n## {name}\n\n{}Schema: [{name}.schema.json](schema/{name}.schema.json).\n",
            sentence(&schema)
        );
        object(&mut page, name, &schema);
        for (title, part) in schema.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            let _ = write!(page, "\n### {name} {title}\n\n{}", sentence(part).trim_end());
            page.push('\n');
            object(&mut page, name, part);
        }
    }
    Ok(page)
}

/// The description, ready for more text behind it.
fn sentence(schema: &Value) -> String {
    let said = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let said = prose(&said.split_whitespace().collect::<Vec<_>>().join(" "));
    if said.is_empty() { said } else { format!("{said} ") }
}

/// The fields of an object, or the words of an enumeration.
fn object(page: &mut String, document: &str, schema: &Value) {
    let words = words(schema);
    if !words.is_empty() {
        page.push_str("\n| value | meaning |\n|---|---|\n");
        for (word, meaning) in words {
            let _ = writeln!(page, "| `{word}` | {} |", meaning.trim_end());
        }
    }
    let Some(fields) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    page.push_str("\n| field | is | meaning |\n|---|---|---|\n");
    for (name, field) in fields {
        let shown = match required.contains(&name.as_str()) {
            true => format!("**`{name}`**"),
            false => format!("`{name}`"),
        };
        let kind = kind(document, field);
        let _ = writeln!(page, "| {shown} | {kind} | {} |", sentence(field).trim_end());
    }
}

/// The words of an enumeration, each with what it means.
fn words(schema: &Value) -> Vec<(String, String)> {
    let list = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    let word = |v: &Value| v.as_str().map(str::to_owned);
    let plain = list("enum").filter_map(|v| Some((word(v)?, String::new())));
    let told = list("oneOf").flat_map(|one| {
        let meaning = sentence(one);
        let constant = one.get("const").into_iter();
        let several = one.get("enum").and_then(Value::as_array).into_iter().flatten();
        constant.chain(several).filter_map(word).map(move |w| (w, meaning.clone()))
    });
    plain.chain(told).collect()
}

/// What a value is, in words: `number`, `array of` [Execution], ….
fn kind(document: &str, schema: &Value) -> String {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let name = target.rsplit('/').next().unwrap_or_default();
        return format!("[{name}](#{document}-{})", name.to_lowercase());
    }
    let any = ["anyOf", "oneOf", "allOf"].iter().find_map(|key| schema.get(key)?.as_array());
    if let Some(any) = any {
        let mut kinds: Vec<String> = any.iter().map(|one| kind(document, one)).collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    if let Some(constant) = schema.get("const") {
        return format!(
            "`{}`",
            constant.as_str().map_or_else(|| constant.to_string(), str::to_owned)
        );
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array) {
        let words = words.iter().filter_map(Value::as_str).map(|w| format!("`{w}`"));
        return words.collect::<Vec<_>>().join(", ");
    }
    let one = |word: &str| match word {
        "array" => match schema.get("items") {
            Some(items) => format!("array of {}", kind(document, items)),
            None => "array".to_owned(),
        },
        "object" => match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => format!("object of {}", kind(document, values)),
            _ => "object".to_owned(),
        },
        other => other.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(word)) => one(word),
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).map(one).collect::<Vec<_>>().join(" or ")
        }
        _ => "any".to_owned(),
    }
}
