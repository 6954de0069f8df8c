//! One value in the text of a YAML, JSON or TOML file, replaced so that everything else keeps
//! its bytes.

mod json;
mod node;
mod path;
mod toml;
mod yaml;

use std::path::Path;

use self::node::{Node, Scalar};
pub(crate) use self::path::Missing;

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Toml,
    Yaml,
}

/// A value that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    /// The whole text with the new value.
    pub text: String,
    /// The old value.
    pub was: String,
}

impl Format {
    /// By the end of the file's name.
    pub(crate) fn of(path: &Path) -> Option<Format> {
        match path.extension()?.to_str()? {
            "json" => Some(Format::Json),
            "toml" => Some(Format::Toml),
            "yaml" | "yml" => Some(Format::Yaml),
            _ => None,
        }
    }

    fn parse(self, text: &str) -> Result<Node, String> {
        match self {
            Format::Json => json::parse(text),
            Format::Toml => toml::parse(text),
            Format::Yaml => yaml::parse(text),
        }
    }

    /// What `value` means where it stands alone, without quotes.
    fn plain(self, value: &str) -> Option<Scalar> {
        match self {
            Format::Json => json::plain(value),
            Format::Toml => toml::plain(value),
            Format::Yaml => yaml::plain(value),
        }
    }

    /// Text, quoted as `old` is where that is possible.
    fn quoted(self, value: &str, old: &str) -> String {
        match self {
            Format::Json => json::quoted(value),
            Format::Toml => toml::quoted(value, old),
            Format::Yaml => yaml::quoted(value, old),
        }
    }
}

/// The value at `path` (keys and indices, with dots) in `text`.
///
/// # Errors
/// When the text is not of that format, or has no single value there.
pub(crate) fn get(text: &str, format: Format, path: &str) -> Result<String, Missing> {
    let tree = format.parse(text).map_err(Missing::Unreadable)?;
    path::find(&tree, path).map(|(scalar, _)| scalar.to_string())
}

/// Replaces the value at `path` (keys and indices, with dots) in `text` by `value`, which
/// keeps the kind of the old one: a number stays a number, text stays text and quoted as it
/// was. All other bytes stay.
///
/// # Errors
/// As [`get`]; when `value` is of another kind; and when another value would change with it,
/// as with an anchor in YAML that aliases refer to.
pub(crate) fn replace(
    text: &str,
    format: Format,
    path: &str,
    value: &str,
) -> Result<Replaced, Missing> {
    let tree = format.parse(text).map_err(Missing::Unreadable)?;
    let (old, span) = path::find(&tree, path)?;
    let was = &text[span.clone()];
    let (written, new) = written(format, old, was, value).map_err(Missing::Unfit)?;
    // A key may stand before nothing.
    let blank = match span.is_empty() && !text[..span.start].ends_with([' ', '\t']) {
        true => " ",
        false => "",
    };
    let edited = format!("{}{blank}{written}{}", &text[..span.start], &text[span.end..]);
    let expected = path::with(&tree, path, new);
    match format.parse(&edited) {
        Ok(read) if Some(read.without_places()) == expected => {
            Ok(Replaced { text: edited, was: old.to_string() })
        }
        _ => Err(Missing::Unfit(format!(
            "`{path}` cannot be set to `{value}` without changing others with it (an anchor that \
             aliases refer to, or lines of text?)"
        ))),
    }
}

/// Adds a key with text behind another one in JSON, written as that is. All other bytes stay.
///
/// # Errors
/// When there is no single value at `path`.
pub(crate) fn insert_json(
    text: &str,
    path: &str,
    key: &str,
    value: &str,
) -> Result<String, Missing> {
    let tree = Format::Json.parse(text).map_err(Missing::Unreadable)?;
    let (_, span) = path::find(&tree, path)?;
    let before = path.rsplit('.').next().unwrap_or_default();
    let name = json::quoted(before);
    let at = text[..span.start].rfind(&name).unwrap_or(span.start);
    let blank = &text[text[..at].trim_end().len()..at];
    let colon = &text[at + name.len().min(span.start - at)..span.start];
    let (key, value) = (json::quoted(key), json::quoted(value));
    let added = format!(",{blank}{key}{colon}{value}");
    let edited = format!("{}{added}{}", &text[..span.end], &text[span.end..]);
    match Format::Json.parse(&edited) {
        Ok(_) => Ok(edited),
        Err(why) => Err(Missing::Unfit(why)),
    }
}

/// `value` as it is written in the place of `old`, which stands there as `was`; and what it is.
fn written(
    format: Format,
    old: &Scalar,
    was: &str,
    value: &str,
) -> Result<(String, Scalar), String> {
    let plain = format.plain(value.trim());
    let as_it_is = |scalar: Scalar| Ok((value.trim().to_owned(), scalar));
    match (old, plain) {
        (Scalar::Number(_), Some(new @ Scalar::Number(_)))
        | (Scalar::Bool(_), Some(new @ Scalar::Bool(_)))
        | (Scalar::Null, Some(new @ (Scalar::Number(_) | Scalar::Bool(_)))) => as_it_is(new),
        (Scalar::Text(_) | Scalar::Null, _) => {
            Ok((format.quoted(value, was), Scalar::Text(value.to_owned())))
        }
        (Scalar::Number(n), _) => Err(format!("it is the number {n}, and `{value}` is none")),
        (Scalar::Bool(b), _) => Err(format!("it is `{b}`, and `{value}` is not true or false")),
        (Scalar::Other(text), _) => {
            Err(format!("it is `{text}`: only text, numbers, true and false can be set"))
        }
    }
}

#[cfg(test)]
mod tests;
