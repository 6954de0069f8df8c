//! JSON text with places: where an entry, a key or a value stands in its file.
//!
//! `serde_json` gives borrowed [`RawValue`]s that point into the text they were
//! read from, so a place costs nothing until somebody asks for it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde_json::value::RawValue;

use crate::diagnostic::Place;

/// What entries are read from: a catalog file, or what a program said.
#[derive(Debug)]
pub struct Source {
    /// Path relative to the catalog root.
    pub file: PathBuf,
    /// Its content; of a program the one entry, as JSON.
    pub text: String,
    /// The line of the program `file` that made the entry, 0 if it is not known; `None`
    /// for a file that holds its entries itself.
    pub made_at: Option<usize>,
    /// JSON pointers of its entries, where they are not the elements of an array.
    pub pointers: Vec<String>,
}

impl Source {
    /// A file of this text.
    pub fn new(file: impl Into<PathBuf>, text: String) -> Source {
        Source { file: file.into(), text, made_at: None, pointers: Vec::new() }
    }

    /// JSON pointer of the entry with this index.
    pub fn pointer(&self, index: usize) -> String {
        self.pointers.get(index).cloned().unwrap_or_else(|| format!("/{index}"))
    }

    /// Whether the text is that of the file itself, and not what a program said.
    pub(crate) fn is_file(&self) -> bool {
        self.made_at.is_none()
    }

    /// Where the program made the entry: all there is to point at, for any of its keys.
    pub(super) fn made_place(&self) -> Option<Place> {
        self.made_at.map(|line| Place { line, ..Place::file(&self.file) })
    }

    /// Where the value at `pointer` stands; where its nearest existing parent
    /// stands if there is none.
    pub fn place(&self, pointer: &str) -> Place {
        if let Some(place) = self.made_place() {
            return place;
        }
        let span = locate(&self.text, pointer);
        Place::span(&self.file, &self.text, span).pointer(pointer)
    }

    /// Where the key at the end of `pointer` stands (not its value).
    pub fn key_place(&self, pointer: &str) -> Place {
        if let Some(place) = self.made_place() {
            return place;
        }
        let span = locate_key(&self.text, pointer);
        Place::span(&self.file, &self.text, span).pointer(pointer)
    }
}

/// The byte range of the key at the end of `pointer`, quotes included.
pub(super) fn locate_key(text: &str, pointer: &str) -> Range<usize> {
    let value = locate(text, pointer);
    let key = pointer.rsplit('/').next().unwrap_or_default();
    let quoted = serde_json::Value::from(unescape(key)).to_string();
    match text[..value.start].rfind(&quoted) {
        Some(start) => start..start + quoted.len(),
        None => value,
    }
}

/// The byte range of the value at RFC 6901 `pointer`, or of the deepest value on
/// the way to it that exists.
pub fn locate(text: &str, pointer: &str) -> Range<usize> {
    let mut span = trimmed(text);
    for token in pointer.split('/').skip(1) {
        match child(text, span.clone(), &unescape(token)) {
            Some(inner) => span = inner,
            None => break,
        }
    }
    span
}

fn trimmed(text: &str) -> Range<usize> {
    let start = text.len() - text.trim_start().len();
    start..text.trim_end().len().max(start)
}

fn child(text: &str, span: Range<usize>, token: &str) -> Option<Range<usize>> {
    let slice = &text[span];
    let raw: &RawValue = match slice.as_bytes().first()? {
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(slice).ok()?;
            items.get(token.parse::<usize>().ok()?).copied()?
        }
        b'{' => {
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(slice).ok()?;
            fields.get(token).copied()?
        }
        _ => return None,
    };
    Some(span_of(text, raw))
}

/// Where a value borrowed from `text` stands in it.
pub(crate) fn span_of(text: &str, raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + raw.get().len()
}

/// `token` as it must be written inside a JSON pointer.
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

fn unescape(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_values_keys_and_the_nearest_parent() {
        let text = "[\n  {\"name\": \"a\"},\n  {\"x/y\": [1, 22]}\n]\n";
        let source = Source::new("models.json", text.to_owned());
        let at = |p: &str| {
            let place = source.place(p);
            (place.line, place.column, &source.text[place.span.unwrap()])
        };
        assert_eq!(at("/0/name"), (2, 12, "\"a\""));
        assert_eq!(at("/1/x~1y/1"), (3, 15, "22"));
        assert_eq!(at("/1/nothing"), (3, 3, "{\"x/y\": [1, 22]}"));
        assert_eq!(at("/9").0, 1);
        let key = source.key_place("/1/x~1y");
        assert_eq!((key.line, &source.text[key.span.unwrap()]), (3, "\"x/y\""));
    }
}
