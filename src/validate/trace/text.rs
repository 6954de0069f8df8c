//! Texts of which only parts are known, and what they can say about a metric.

use std::sync::LazyLock;

use regex::Regex;

use crate::diagnostic::Place;

/// Stands for a part that is not known but harmless: a number, an argument.
pub(super) const HOLE: char = '\u{f8f0}';
/// Encloses the description of output that cannot be seen from here.
pub(super) const OPAQUE: char = '\u{f8f1}';
/// The catalog root, at the start of a path that is known to be absolute.
pub(super) const ROOT: char = '\u{f8f2}';

/// What the harness looks for in the output.
const NEEDLES: [&str; 2] = ["performance:", "train_samples_per_second"];

/// A text that something writes, and where it does.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    /// The text, holes included.
    pub(crate) text: String,
    /// The statement that writes it.
    pub(crate) place: Place,
}

impl Item {
    pub(super) fn new(text: impl Into<String>, place: &Place) -> Self {
        Item { text: text.into(), place: place.clone() }
    }

    /// Output that cannot be seen; `what` completes "cannot tell: …".
    pub(super) fn opaque(what: &str, place: &Place) -> Self {
        Item::new(opaque(what), place)
    }
}

/// A text that says only why it is not known.
pub(super) fn opaque(what: &str) -> String {
    let what: String = readable(what).chars().take(200).collect();
    format!("{OPAQUE}{what}{OPAQUE}")
}

/// The description inside an opaque part of `text`.
pub(super) fn opaque_part(text: &str) -> Option<&str> {
    text.split(OPAQUE).nth(1)
}

/// `text` without the opaque parts.
pub(super) fn close(text: &str) -> String {
    let mut parts = text.split(OPAQUE);
    let mut closed = parts.next().unwrap_or_default().to_owned();
    while let (Some(_), rest) = (parts.next(), parts.next()) {
        closed.push(HOLE);
        closed.push_str(rest.unwrap_or_default());
    }
    closed
}

/// Whether the text holds what the harness looks for.
pub(super) fn has_needle(text: &str) -> bool {
    NEEDLES.iter().any(|needle| text.contains(needle))
}

/// `text` as it may be shown to people.
pub(crate) fn readable(text: &str) -> String {
    text.chars()
        .filter(|c| *c != ROOT && *c != OPAQUE)
        .map(|c| if c == HOLE { '…' } else { c })
        .collect()
}

/// Whether a metric line in `text` may be read; false is certain.
pub(crate) fn may_be_read(text: &str) -> bool {
    static VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"^\s+[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?(,?\s*/[A-Za-z]+\s*,?|,)?\s+[^\s,]",
        )
        .ok()
    });
    // Colours, as a terminal gets them or as `echo -e` and `printf` are given them.
    static COLOUR: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(\x1b|\\(033|e|x1[bB]))\[[0-9;]*m").ok());
    let plain = COLOUR.as_ref().map(|colour| colour.replace_all(text, ""));
    let text = plain.as_deref().unwrap_or(text);
    if text.contains("train_samples_per_second") {
        return true;
    }
    text.split("performance:").skip(1).any(|rest| {
        let line = rest.split(['\n', '\r']).next().unwrap_or_default();
        match line.chars().next() {
            // The rest may be written by the next statement.
            None => true,
            Some(c) if !c.is_whitespace() => false,
            Some(_) if line.trim().is_empty() => true,
            Some(_) if line.contains([HOLE, OPAQUE]) => {
                let word = line.split_whitespace().next().unwrap_or_default();
                let first = word.chars().next().unwrap_or(HOLE);
                [HOLE, OPAQUE].contains(&first) || first.is_ascii_digit() || "+-.".contains(first)
            }
            Some(_) => VALUE.as_ref().is_none_or(|value| value.is_match(line)),
        }
    })
}

/// Whether `pattern`, a text with holes, can become a path that ends in `name`.
pub(crate) fn can_name(pattern: &str, name: &str) -> bool {
    let base = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    let (pattern, name) = (base(&close(pattern)), base(name));
    let mut parts = pattern.split([HOLE, '*']);
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_files() {
        assert!(can_name("perf_x.csv", "perf_x.csv"));
        assert!(can_name("/out/perf_x.csv", "./perf_x.csv"));
        assert!(!can_name("perf_y.csv", "perf_x.csv"));
        assert!(can_name(&format!("{HOLE}/perf_{HOLE}_v1{HOLE}.csv"), "perf_a_v1.csv"));
        assert!(!can_name(&format!("perf_{HOLE}_v2.csv"), "perf_a_v1.csv"));
        assert!(can_name("perf_*.csv", "perf_a.csv"));
    }

    #[test]
    fn lines_that_cannot_be_read() {
        for good in [
            "performance: 12 tok/s",
            "x performance: 1.5e3, /s m",
            "performance: ",
            "performance: \u{f8f0} tok/s",
            "performance: \u{f8f0}",
            "performance:\t-.5 m",
            "performance: 12 /s , m",
            "\u{1b}[1mperformance:\u{1b}[0m 4 m",
            "performance:\\033[0;32m 4 m\\e[0m",
            "no\nperformance: abc\nperformance: 2 b",
        ] {
            assert!(may_be_read(good), "{good}");
        }
        for bad in [
            "performance:12 tok/s",
            "performance: 12",
            "performance: nan m",
            "performance:\u{f8f0} m",
            "performance: n\u{f8f0} m",
        ] {
            assert!(!may_be_read(bad), "{bad}");
        }
    }
}
