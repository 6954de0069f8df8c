//! Parsing shell text, whatever it is.

use std::sync::Arc;

use brush_parser::{ParseError, Parser, ParserOptions, ast};

/// Brackets and keywords nested deeper than this are not parsed.
const MAX_NESTING: usize = 60;

/// Where a script stops to make sense.
#[derive(Clone, Debug)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
    /// Too deep to be parsed at all.
    pub(super) refused: bool,
}

/// Parses a script; hostile nesting is refused before the parser recurses into it.
pub(super) fn parse(text: &str) -> Result<Arc<ast::Program>, SyntaxError> {
    if let Some(line) = nested_too_deep(text) {
        let message = format!("nested deeper than {MAX_NESTING} levels");
        return Err(SyntaxError { line, column: 1, message, refused: true });
    }
    // `\r` at line ends would become part of words.
    let text = text.replace("\r\n", "\n");
    let mut parser = Parser::new(text.as_bytes(), &ParserOptions::default());
    parser.parse_program().map(Arc::new).map_err(|error| {
        let last = (text.lines().count().max(1), 1);
        let (at, message) = match &error {
            ParseError::ParsingNear(at) => (Some(at), "syntax error near here".to_owned()),
            ParseError::ParsingAtEndOfInput => {
                (None, "the script ends in the middle of a command".to_owned())
            }
            ParseError::Tokenizing { inner, position } => (position.as_ref(), inner.to_string()),
        };
        let (line, column) = at.map_or(last, |at| (at.line, at.column));
        SyntaxError { line, column, message, refused: false }
    })
}

/// The line in which brackets or blocks nest too deep, counted generously: quotes and
/// comments are not looked at.
fn nested_too_deep(text: &str) -> Option<usize> {
    let mut brackets = 0usize;
    let mut blocks = 0usize;
    for (number, line) in text.lines().enumerate() {
        for byte in line.bytes() {
            match byte {
                b'(' | b'{' | b'`' => brackets += 1,
                b')' | b'}' => brackets = brackets.saturating_sub(1),
                _ => {}
            }
        }
        // Backquotes open and close alike: two of them nest nothing.
        let quotes = line.bytes().filter(|b| *b == b'`').count();
        brackets = brackets.saturating_sub(quotes - quotes % 2);
        for word in line.split(|c: char| c.is_whitespace() || c == ';') {
            match word {
                "if" | "case" | "do" => blocks += 1,
                "fi" | "esac" | "done" => blocks = blocks.saturating_sub(1),
                _ => {}
            }
        }
        if brackets > MAX_NESTING || blocks > MAX_NESTING {
            return Some(number + 1);
        }
    }
    None
}

pub(super) fn line_start(text: &str, line: usize) -> usize {
    match line {
        0 | 1 => 0,
        line => {
            memchr::memchr_iter(b'\n', text.as_bytes()).nth(line - 2).map_or(text.len(), |i| i + 1)
        }
    }
}
