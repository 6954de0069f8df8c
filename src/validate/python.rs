//! Python literals, as in Dockerfile CONTEXT headers and `--additional-context`.

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{Expr, Number, UnaryOp};
use ruff_python_parser::Mode;
use ruff_python_parser::lexer::lex;
use ruff_text_size::Ranged;
use serde_json::{Map, Value};
use thiserror::Error;

/// Texts longer than this are refused.
const MAX_BYTES: usize = 1 << 20;
/// Literals nested deeper than this are refused: reading them recurses.
const MAX_DEPTH: usize = 100;

/// Why a text is not a Python literal.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct PythonLiteralError {
    /// What is wrong.
    pub message: String,
    /// Byte offset in the text.
    pub offset: usize,
}

fn refuse<T>(offset: usize, message: impl Into<String>) -> Result<T, PythonLiteralError> {
    Err(PythonLiteralError { message: message.into(), offset })
}

/// Reads a Python literal (dict, list, tuple, string, number, `True`, `False`,
/// `None`) as JSON. Tuples become arrays; keys that are numbers become strings.
///
/// # Errors
/// When the text does not parse, or is more than a literal.
pub fn parse_literal(text: &str) -> Result<Value, PythonLiteralError> {
    if text.len() > MAX_BYTES {
        return refuse(MAX_BYTES, format!("the text is longer than {} KiB", MAX_BYTES >> 10));
    }
    let start = text.len() - text.trim_start().len();
    check_nesting(&text[start..], Mode::Expression, MAX_DEPTH).map_err(|e| shift(e, start))?;
    match ruff_python_parser::parse_expression(&text[start..]) {
        Ok(parsed) => value(parsed.expr()).map_err(|e| shift(e, start)),
        Err(e) => refuse(start + e.location.start().to_usize(), e.error.to_string()),
    }
}

fn shift(error: PythonLiteralError, by: usize) -> PythonLiteralError {
    PythonLiteralError { offset: error.offset + by, ..error }
}

/// Refuses source whose syntax tree would nest deeper than `limit`, before it is
/// built: walking and dropping such a tree recurses.
pub(super) fn check_nesting(
    source: &str,
    mode: Mode,
    limit: usize,
) -> Result<(), PythonLiteralError> {
    let mut lexer = lex(source, mode);
    // What may nest in the current element, and the same where each open bracket began.
    let mut depth = 0usize;
    let mut open: Vec<usize> = Vec::new();
    let mut indent = 0usize;
    loop {
        match lexer.next_token() {
            TokenKind::EndOfFile => return Ok(()),
            TokenKind::Lpar | TokenKind::Lsqb | TokenKind::Lbrace => {
                depth += 1;
                open.push(depth);
            }
            TokenKind::Rpar | TokenKind::Rsqb | TokenKind::Rbrace => {
                open.pop();
            }
            TokenKind::Comma => depth = open.last().copied().unwrap_or(0),
            TokenKind::Newline => {
                depth = 0;
                open.clear();
            }
            TokenKind::Indent => indent += 1,
            TokenKind::Dedent => indent = indent.saturating_sub(1),
            TokenKind::Name
            | TokenKind::Int
            | TokenKind::Float
            | TokenKind::String
            | TokenKind::Comment
            | TokenKind::NonLogicalNewline => {}
            _ => depth += 1,
        }
        if depth + indent > limit {
            return refuse(0, format!("nested deeper than {limit} levels"));
        }
    }
}

fn value(expr: &Expr) -> Result<Value, PythonLiteralError> {
    let offset = expr.start().to_usize();
    match expr {
        Expr::StringLiteral(s) => Ok(Value::from(s.value.to_str())),
        Expr::BooleanLiteral(b) => Ok(Value::from(b.value)),
        Expr::NoneLiteral(_) => Ok(Value::Null),
        Expr::NumberLiteral(n) => number(&n.value, false, offset),
        Expr::UnaryOp(op) => match (op.op, op.operand.as_ref()) {
            (UnaryOp::USub, Expr::NumberLiteral(n)) => number(&n.value, true, offset),
            (UnaryOp::UAdd, Expr::NumberLiteral(n)) => number(&n.value, false, offset),
            _ => refuse(offset, "expected a literal, found an operation"),
        },
        Expr::List(list) => list.elts.iter().map(value).collect(),
        Expr::Tuple(tuple) => tuple.elts.iter().map(value).collect(),
        Expr::Dict(dict) => {
            let mut map = Map::new();
            for item in &dict.items {
                let Some(key) = &item.key else {
                    return refuse(item.value.start().to_usize(), "`**` is not part of a literal");
                };
                let key = match value(key)? {
                    Value::String(key) => key,
                    Value::Number(key) => key.to_string(),
                    other => {
                        let message = format!("a key must be a string, this is {other}");
                        return refuse(key.start().to_usize(), message);
                    }
                };
                map.insert(key, value(&item.value)?);
            }
            Ok(Value::Object(map))
        }
        Expr::Name(name) => {
            let hint = match name.id.as_str() {
                "true" => "; Python writes `True`",
                "false" => "; Python writes `False`",
                "null" => "; Python writes `None`",
                _ => "",
            };
            refuse(offset, format!("expected a literal, found the name `{}`{hint}", name.id))
        }
        Expr::FString(_) => refuse(offset, "expected a literal, found an f-string"),
        Expr::Call(_) => refuse(offset, "expected a literal, found a call"),
        _ => {
            refuse(offset, "expected a literal: a dict, list, string, number, True, False or None")
        }
    }
}

fn number(number: &Number, negative: bool, offset: usize) -> Result<Value, PythonLiteralError> {
    match number {
        Number::Int(int) => {
            if let Some(n) = int.as_u64() {
                if !negative {
                    return Ok(Value::from(n));
                }
                if let Some(n) = 0i64.checked_sub_unsigned(n) {
                    return Ok(Value::from(n));
                }
            }
            refuse(offset, "an integer that does not fit into 64 bits")
        }
        Number::Float(float) => {
            let float = if negative { -float } else { *float };
            match serde_json::Number::from_f64(float) {
                Some(n) => Ok(Value::Number(n)),
                None => refuse(offset, "a number that is not finite"),
            }
        }
        Number::Complex { .. } => refuse(offset, "complex numbers have no JSON form"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn literals() {
        let table = [
            ("{}", json!({})),
            (
                " {'a': 'x', \"b\": (1, -2.5), 'c': [True, None]} ",
                json!({"a": "x", "b": [1, -2.5], "c": [true, null]}),
            ),
            ("{'a': 'x' \"y\", 3: {},}", json!({"a": "xy", "3": {}})),
            ("0x10", json!(16)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("'it\\'s'", json!("it's")),
        ];
        for (text, expected) in table {
            assert_eq!(parse_literal(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refusals() {
        let table = [
            ("{'a': true}", 6, "Python writes `True`"),
            ("{'a': f()}", 6, "a call"),
            ("1 + 1", 0, "expected a literal"),
            ("  {'a' 1}", 6, ""),
            ("", 0, ""),
            ("99999999999999999999", 0, "64 bits"),
            ("1e999", 0, "finite"),
            ("{**{}}", 3, "`**`"),
            ("{[]: 1}", 1, "a key must be"),
        ];
        for (text, offset, message) in table {
            let error = parse_literal(text).unwrap_err();
            assert!(error.message.contains(message), "{text}: {error}");
            assert!(error.offset.abs_diff(offset) <= 1, "{text}: {error:?}");
        }
        for hostile in ["[", "-", "1**", "not ", "a.", "1if 1else ", "lambda:", "f(", "~"] {
            assert!(parse_literal(&hostile.repeat(20_000)).is_err(), "{hostile}");
        }
    }

    fn literal() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(|f: f64| Value::from(f)),
            "\\PC*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("[a-z]{0,6}", inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    /// JSON is Python but for three names; strings are written so that both read them.
    fn to_python(value: &Value) -> String {
        match value {
            Value::Null => "None".into(),
            Value::Bool(b) => if *b { "True" } else { "False" }.into(),
            Value::String(s) => format!("'{}'", s.replace('\\', "\\\\").replace('\'', "\\'")),
            Value::Array(items) => {
                format!("[{}]", items.iter().map(to_python).collect::<Vec<_>>().join(","))
            }
            Value::Object(map) => {
                let items: Vec<String> =
                    map.iter().map(|(k, v)| format!("'{k}': {}", to_python(v))).collect();
                format!("{{{}}}", items.join(", "))
            }
            number => number.to_string(),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in literal()) {
            prop_assert_eq!(parse_literal(&to_python(&value)), Ok(value));
        }

        #[test]
        fn anything_is_read_or_refused(text in "\\PC*") {
            let _ = parse_literal(&text);
        }
    }
}
