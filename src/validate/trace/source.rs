//! String literals of compiled sources (Rust, C, C++, HIP): a lexer that knows
//! comments and quotes is enough.

use super::text::HOLE;

/// The string literals of `text` with their lines, placeholders replaced by holes.
pub(super) fn strings(text: &str) -> Vec<(String, usize)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            at + memchr::memchr(b'\n', rest).unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + memchr::memmem::find(&rest[2..], b"*/").map_or(rest.len(), |i| i + 4)
        } else if rest[0] == b'"' {
            let end = string_end(bytes, at);
            found.push((literal(&text[at + 1..end]), line));
            end + 1
        } else if rest[0] == b'\'' {
            // A character, unless it is a lifetime.
            let length = if rest.get(1) == Some(&b'\\') { 3 } else { 2 };
            if rest.get(length) == Some(&b'\'') { at + length + 1 } else { at + 1 }
        } else {
            at + 1
        };
        let end = end.min(bytes.len());
        line += memchr::memchr_iter(b'\n', &bytes[at..end]).count();
        at = end;
    }
    found
}

/// Where the string that begins at `start` ends: the index of its closing quote.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            b'"' => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// `{x:.2}` and `%.2f` become holes; `<<` appends what follows the literal.
fn literal(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .chars()
        .collect::<Vec<_>>()
        .into_iter()
        .peekable();
    while let Some(c) = chars.next() {
        match c {
            '{' => {
                while chars.next_if(|c| *c != '}').is_some() {}
                chars.next();
                out.push(HOLE);
            }
            '%' => {
                while chars.next_if(|c| !c.is_ascii_alphabetic() && *c != '%').is_some() {}
                while chars.next_if(|c| matches!(c, 'l' | 'h' | 'z')).is_some() {}
                chars.next();
                out.push(HOLE);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_not_strings() {
        let text = "// \"performance: 1 a\"\n/* \"x\" */ let c = '\"'; let l: &'a str =\n  \"performance: {:.2} b\"; printf(\"v %5.2lf\\n\", \"q\\\"\");";
        let found: Vec<_> =
            strings(text).into_iter().map(|(s, l)| (s.replace(HOLE, "#"), l)).collect();
        let expected = [("performance: # b", 3), ("v #\n", 3), ("q\\\"", 3)];
        assert_eq!(found, expected.map(|(s, l)| (s.to_owned(), l)));
    }
}
