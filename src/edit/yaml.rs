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
                let key = match &key.data {
                    YamlData::Value(Yaml::String(key)) => key.to_string(),
                    _ => {
                        let span = places.byte(key.span.start.index())
                            ..places.byte(key.span.end.index());
                        text[span].trim().to_owned()
                    }
                };
                (key, node(value, text, places))
            };
            Node::Map(items.iter().map(item).collect())
        }
        YamlData::Value(value) => {
            let span = trimmed(text, start..end);
            let raw = &text[span.clone()];
            let scalar = match value {
                Yaml::Null => Scalar::Null,
                Yaml::Boolean(b) => Scalar::Bool(*b),
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

/// The value alone: in the eyes of the parser its anchor and tag are part of it, and plain text
/// ends where what follows it begins.
fn trimmed(text: &str, span: Range<usize>) -> Range<usize> {
    let raw = text[span.clone()].trim_end();
    let mut value = raw;
    while value.starts_with(['&', '!']) {
        let word = value.find(char::is_whitespace).unwrap_or(value.len());
        value = value[word..].trim_start();
    }
    let end = span.start + raw.len();
    end - value.len()..end
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
    let control = value.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'));
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
