//! YAML.

use std::ops::Range;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar as Yaml, YamlData};

use super::node::{Node, Scalar};

/// What YAML 1.1 takes for true and false besides these words, as PyYAML does.
const TRUE: [&str; 2] = ["yes", "on"];
const FALSE: [&str; 2] = ["no", "off"];

/// The one document of a file.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut documents = MarkedYaml::load_from_str(text).map_err(|e| e.to_string())?;
    let document = match documents.len() {
        1 => documents.remove(0),
        0 => return Ok(Node::Map(Vec::new())),
        n => return Err(format!("it holds {n} documents, not one")),
    };
    let places = Places::of(text);
    Ok(node(&document, text, &places))
}

/// Where characters stand, for the parser counts these.
struct Places(Option<Vec<usize>>);

impl Places {
    fn of(text: &str) -> Places {
        let all = || text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
        Places((!text.is_ascii()).then(all))
    }

    fn byte(&self, character: usize) -> usize {
        match &self.0 {
            None => character,
            Some(all) => all.get(character).or(all.last()).copied().unwrap_or_default(),
        }
    }
}

fn node(yaml: &MarkedYaml<'_>, text: &str, places: &Places) -> Node {
    let start = places.byte(yaml.span.start.index());
    let end = places.byte(yaml.span.end.index()).max(start);
    let other = || Node::Scalar(Scalar::Other(text[start..end].trim().to_owned()), start..end);
    match &yaml.data {
        YamlData::Sequence(items) => {
            Node::List(items.iter().map(|item| node(item, text, places)).collect())
        }
        YamlData::Mapping(items) => {
            let item = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                let span = places.byte(key.span.start.index())..places.byte(key.span.end.index());
                let mut value = node(value, text, places);
                // Nothing stands behind the colon, and not where the parser notices that.
                if let Node::Scalar(Scalar::Null, place) = &mut value
                    && place.start == place.end
                    && let Some(colon) = text[span.end..].find(':')
                {
                    *place = span.end + colon + 1..span.end + colon + 1;
                }
                let name = match &key.data {
                    YamlData::Value(Yaml::String(name)) => name.to_string(),
                    _ => text[span].trim().to_owned(),
                };
                (name, value)
            };
            Node::Map(items.iter().map(item).collect())
        }
        YamlData::Value(value) => {
            let span = trimmed(text, start..end);
            let raw = &text[span.clone()];
            let scalar = match value {
                Yaml::Null => Scalar::Null,
                Yaml::Boolean(b) => Scalar::Bool(*b),
                // An alias has the value of its anchor.
                Yaml::Integer(n) if raw.starts_with('*') => Scalar::Number(n.to_string()),
                Yaml::FloatingPoint(n) if raw.starts_with('*') => Scalar::Number(n.to_string()),
                Yaml::Integer(_) | Yaml::FloatingPoint(_) => Scalar::Number(raw.to_owned()),
                // Lines of text are not to be written anew.
                Yaml::String(_) if raw.starts_with(['|', '>']) => return other(),
                Yaml::String(_) if word_of_bool(raw).is_some() => plain_of(raw),
                Yaml::String(text) => Scalar::Text(text.to_string()),
            };
            Node::Scalar(scalar, span)
        }
        _ => other(),
    }
}

/// The value alone: in the eyes of the parser its anchor and tag are part of it, and so is a
/// comment behind it.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let mut value = &text[span.clone()];
    while value.starts_with(['&', '!']) {
        let word = value.find(char::is_whitespace).unwrap_or(value.len());
        value = value[word..].trim_start();
    }
    let start = span.end - value.len();
    start..start + length(value)
}

/// Bytes of the scalar that `text` begins with.
fn length(text: &str) -> usize {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
        let comment = text.match_indices('#').map(|(i, _)| i);
        let end = comment.filter(|&i| i == 0 || text[..i].ends_with([' ', '\t', '\n'])).min();
        return text[..end.unwrap_or(text.len())].trim_end().len();
    };
    let bytes = text.as_bytes();
    let mut i = 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' if quote == '"' => i += 1,
            b'\'' if quote == '\'' && bytes.get(i + 1) == Some(&b'\'') => i += 1,
            b if b == quote as u8 => return i + 1,
            _ => {}
        }
        i += 1;
    }
    text.len()
}

fn word_of_bool(raw: &str) -> Option<bool> {
    let word = raw.to_ascii_lowercase();
    match () {
        () if TRUE.contains(&word.as_str()) => Some(true),
        () if FALSE.contains(&word.as_str()) => Some(false),
        () => None,
    }
}

fn plain_of(raw: &str) -> Scalar {
    word_of_bool(raw).map_or_else(|| Scalar::Text(raw.to_owned()), Scalar::Bool)
}

pub(super) fn plain(value: &str) -> Option<Scalar> {
    if let Some(b) = word_of_bool(value) {
        return Some(Scalar::Bool(b));
    }
    match Yaml::parse_from_cow(value.into()) {
        Yaml::Null => Some(Scalar::Null),
        Yaml::Boolean(b) => Some(Scalar::Bool(b)),
        Yaml::Integer(_) | Yaml::FloatingPoint(_) => Some(Scalar::Number(value.to_owned())),
        Yaml::String(_) => None,
    }
}

pub(super) fn quoted(value: &str, old: &str) -> String {
    let control =
        value.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'));
    let safe = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let first = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    match old.chars().next() {
        Some('\'') if !control => format!("'{}'", value.replace('\'', "''")),
        Some('"') => super::json::quoted(value),
        // What every version of YAML takes for text.
        _ if first && value.chars().all(safe) && plain(value).is_none() => value.to_owned(),
        _ => super::json::quoted(value),
    }
}
