//! Expansion of shell words into texts.

use std::path::Path;

use brush_parser::word::{
    self, Parameter, ParameterExpr, SpecialParameter, WordPiece, WordPieceWithSource,
};
use brush_parser::{ParserOptions, ast};

use super::Tracer;
use super::shell::{Env, Value};
use super::text::{HOLE, OPAQUE, ROOT};
use crate::diagnostic::Place;

/// Values of one word that are kept apart.
const MAX_ALTERNATIVES: usize = 16;
/// Longer values are cut: nobody names a file or a metric with them.
const MAX_VALUE: usize = 16 << 10;

/// What a word can become.
#[derive(Clone, Debug)]
pub(super) struct Expansion {
    /// Alternatives, or the elements of an array.
    pub(super) texts: Vec<String>,
    /// How they become words of a command.
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One word per alternative.
    Single,
    /// Split at white space (an unquoted variable).
    Split,
    /// Every element is a word.
    Array,
}

impl Expansion {
    fn single(texts: Vec<String>) -> Self {
        Expansion { texts, kind: Kind::Single }
    }

    /// The words in the `i`-th of the alternatives.
    pub(super) fn words(&self, i: usize) -> Vec<String> {
        let text = || self.texts.get(i % self.texts.len().max(1)).cloned().unwrap_or_default();
        match self.kind {
            Kind::Single => vec![text()],
            Kind::Array => self.texts.clone(),
            Kind::Split if text().contains(OPAQUE) => vec![text()],
            Kind::Split => text().split_whitespace().map(str::to_owned).collect(),
        }
    }
}

impl Tracer<'_> {
    pub(super) fn expand(&mut self, env: &mut Env, word: &ast::Word, place: &Place) -> Expansion {
        self.expand_text(env, &word.value, place)
    }

    pub(super) fn expand_text(&mut self, env: &mut Env, word: &str, place: &Place) -> Expansion {
        if !word.contains(['$', '\'', '"', '\\', '`', '~']) {
            return Expansion::single(vec![word.to_owned()]);
        }
        let Ok(pieces) = word::parse(word, &ParserOptions::default()) else {
            return Expansion::single(vec![HOLE.to_string()]);
        };
        if let [piece] = pieces.as_slice() {
            return self.lone_piece(env, &piece.piece, place);
        }
        Expansion::single(self.pieces(env, &pieces, place))
    }

    /// The text of a here-document.
    pub(super) fn expand_document(&mut self, env: &mut Env, text: &str, place: &Place) -> String {
        match word::parse_heredoc(text, &ParserOptions::default()) {
            Ok(pieces) => self.pieces(env, &pieces, place).swap_remove(0),
            Err(_) => text.to_owned(),
        }
    }

    /// A word that is one expansion may become several words.
    fn lone_piece(&mut self, env: &mut Env, piece: &WordPiece, place: &Place) -> Expansion {
        let inner = match piece {
            WordPiece::DoubleQuotedSequence(inner) => match inner.as_slice() {
                [one] => &one.piece,
                _ => return Expansion::single(self.pieces(env, inner, place)),
            },
            other => other,
        };
        let quoted = !std::ptr::eq(inner, piece);
        let (value, all) = match inner {
            WordPiece::ParameterExpansion(expr) => {
                let all = match expr {
                    ParameterExpr::Parameter { parameter, .. } => matches!(
                        parameter,
                        Parameter::NamedWithAllIndices { concatenate: false, .. }
                            | Parameter::Special(SpecialParameter::AllPositionalParameters {
                                concatenate: false
                            })
                    ),
                    _ => false,
                };
                (self.parameter(env, expr, place), all)
            }
            WordPiece::CommandSubstitution(_) | WordPiece::BackquotedCommandSubstitution(_) => {
                (Value::alternatives(self.piece(env, inner, place)), false)
            }
            _ => return Expansion::single(self.piece(env, inner, place)),
        };
        match (all, quoted) {
            (true, _) => Expansion { texts: value.texts, kind: Kind::Array },
            (false, true) => Expansion::single(value.texts),
            (false, false) => Expansion { texts: value.texts, kind: Kind::Split },
        }
    }

    /// The alternatives of pieces put together; never empty.
    fn pieces(
        &mut self,
        env: &mut Env,
        pieces: &[WordPieceWithSource],
        place: &Place,
    ) -> Vec<String> {
        let mut texts = vec![String::new()];
        for piece in pieces {
            let tails = self.piece(env, &piece.piece, place);
            let combine = texts.len() * tails.len() <= MAX_ALTERNATIVES;
            let mut next = Vec::new();
            for (i, text) in texts.iter().enumerate() {
                let tails = match combine {
                    true => tails.as_slice(),
                    false => std::slice::from_ref(&tails[i % tails.len()]),
                };
                next.extend(tails.iter().map(|tail| cut(format!("{text}{tail}"))));
            }
            texts = next;
        }
        texts
    }

    /// The alternatives of one piece; never empty.
    fn piece(&mut self, env: &mut Env, piece: &WordPiece, place: &Place) -> Vec<String> {
        match piece {
            WordPiece::Text(text) | WordPiece::SingleQuotedText(text) => vec![text.clone()],
            WordPiece::AnsiCQuotedText(text) => {
                vec![text.replace("\\n", "\n").replace("\\t", "\t").replace("\\'", "'")]
            }
            WordPiece::DoubleQuotedSequence(inner)
            | WordPiece::GettextDoubleQuotedSequence(inner) => self.pieces(env, inner, place),
            WordPiece::EscapeSequence(text) => {
                vec![text.strip_prefix('\\').unwrap_or(text).to_owned()]
            }
            WordPiece::TildeExpansion(_) | WordPiece::ArithmeticExpression(_) => {
                vec![HOLE.to_string()]
            }
            WordPiece::ParameterExpansion(expr) => {
                let value = self.parameter(env, expr, place);
                match value.array {
                    true => vec![value.texts.join(" ")],
                    false => value.texts,
                }
            }
            WordPiece::CommandSubstitution(text) => self.capture(env, text, place),
            WordPiece::BackquotedCommandSubstitution(text) => {
                self.capture(env, &text.replace("\\`", "`"), place)
            }
        }
    }

    /// What a command substitution can become.
    fn capture(&mut self, env: &Env, text: &str, place: &Place) -> Vec<String> {
        let items = self.shell_text(&mut env.clone(), text, place);
        let mut texts: Vec<String> =
            items.into_iter().map(|item| item.text.trim().to_owned()).collect();
        texts.dedup();
        texts.truncate(MAX_ALTERNATIVES);
        // Nothing, or `|| echo ""`, is what is left of programs that are not looked into.
        if texts.iter().all(String::is_empty) {
            texts.push(HOLE.to_string());
        }
        texts
    }

    fn parameter(&mut self, env: &mut Env, expr: &ParameterExpr, place: &Place) -> Value {
        use ParameterExpr as E;
        match expr {
            E::Parameter { parameter, indirect: false }
            | E::IndicateErrorIfNullOrUnset { parameter, indirect: false, .. } => {
                self.lookup(env, parameter).unwrap_or_else(Value::hole)
            }
            E::UseDefaultValues { parameter, default_value, .. }
            | E::AssignDefaultValues { parameter, default_value, .. } => {
                let known = self.lookup(env, parameter);
                if let Some(value) = known.filter(|v| v.texts.iter().any(|text| *text != hole())) {
                    return value;
                }
                match default_value.as_deref() {
                    Some(default) if !default.is_empty() => {
                        Value::alternatives(self.expand_text(env, default, place).texts)
                    }
                    _ => Value::hole(),
                }
            }
            E::UseAlternativeValue { alternative_value: Some(text), .. } => {
                Value::alternatives(self.expand_text(env, text, place).texts)
            }
            E::RemoveSmallestSuffixPattern { parameter, pattern: Some(pattern), .. } => {
                let value = self.lookup(env, parameter).unwrap_or_else(Value::hole);
                value.map(|text| match pattern.as_str() {
                    "/*" => directory(text),
                    ending => text.strip_suffix(ending).map_or_else(hole, str::to_owned),
                })
            }
            E::RemoveLargestPrefixPattern { parameter, pattern: Some(pattern), .. }
                if pattern == "*/" =>
            {
                let value = self.lookup(env, parameter).unwrap_or_else(Value::hole);
                value.map(base_name)
            }
            E::ReplaceSubstring { parameter, .. } | E::Substring { parameter, .. } => {
                // Part of what was there, or something like it.
                let _ = self.lookup(env, parameter);
                Value::hole()
            }
            _ => Value::hole(),
        }
    }

    /// The value of a parameter that is known.
    fn lookup(&mut self, env: &Env, parameter: &Parameter) -> Option<Value> {
        let one = |text: String| Some(Value::alternatives(vec![text]));
        match parameter {
            Parameter::Positional(0) => one(env.script_text()),
            Parameter::Positional(n) => {
                env.args.get((*n as usize).checked_sub(1)?).cloned().and_then(one)
            }
            Parameter::Special(SpecialParameter::ShellName) => one(env.script_text()),
            Parameter::Special(SpecialParameter::AllPositionalParameters { .. }) => {
                Some(Value { texts: env.args.clone(), array: true })
            }
            Parameter::Special(_) => None,
            Parameter::Named(name)
            | Parameter::NamedWithIndex { name, .. }
            | Parameter::NamedWithAllIndices { name, .. } => {
                if name == "MAD_OUTPUT_CSV" {
                    self.evidence.output_csv = true;
                }
                match name.as_str() {
                    "BASH_SOURCE" => one(env.source_text()),
                    "PWD" => one(env.cwd_text()),
                    name => env.vars.get(name).cloned(),
                }
            }
        }
    }
}

fn hole() -> String {
    HOLE.to_string()
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_VALUE {
        let mut end = MAX_VALUE;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

/// `dirname`.
pub(super) fn directory(text: &str) -> String {
    match text.rsplit_once('/') {
        Some(("", _)) => "/".to_owned(),
        Some((parent, _)) => parent.to_owned(),
        None if text.starts_with([HOLE, OPAQUE]) => text.to_owned(),
        None => ".".to_owned(),
    }
}

/// `basename`.
pub(super) fn base_name(text: &str) -> String {
    text.rsplit('/').next().unwrap_or_default().to_owned()
}

/// `path`, relative to the root, as a text that is known to be absolute.
pub(super) fn rooted(path: &Path) -> String {
    format!("{ROOT}/{}", path.display())
}
