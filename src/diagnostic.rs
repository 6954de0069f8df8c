//! What is wrong with a catalog, and where: the one type that loading and
//! validation report through.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

/// How much a [`Diagnostic`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; never changes an exit status.
    Note,
    /// Probably wrong; an error under `--deny-warnings`.
    Warning,
    /// The entry would not run, or would not report a number.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// A place in a file below the catalog root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Place {
    /// Path relative to the catalog root.
    pub file: PathBuf,
    /// 1-based line; 0 when the whole file is meant.
    pub line: usize,
    /// 1-based column in characters; 0 when the whole line is meant.
    pub column: usize,
    /// RFC 6901 pointer into a JSON file (`/3/n_gpus`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Byte range in the file, for snippets.
    #[serde(skip)]
    pub span: Option<Range<usize>>,
}

impl Place {
    /// The whole of `file`.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Place { file: file.into(), line: 0, column: 0, pointer: None, span: None }
    }

    /// The bytes `span` of `file`, whose content is `text`.
    pub fn span(file: impl Into<PathBuf>, text: &str, span: Range<usize>) -> Self {
        let (line, column) = line_column(text, span.start);
        Place { file: file.into(), line, column, pointer: None, span: Some(span) }
    }

    /// The same place with a JSON pointer.
    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        Ok(())
    }
}

/// 1-based line and column (in characters) of byte `offset` in `text`.
pub fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    let line = memchr::memchr_iter(b'\n', before.as_bytes()).count() + 1;
    (line, before[start..].chars().count() + 1)
}

/// A change of the file that a [`Diagnostic`] is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// What is replaced: bytes of the file, a byte order mark not counted.
    pub span: Range<usize>,
    /// What takes its place.
    pub text: String,
}

/// One finding, complete enough to be shown alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnostic {
    /// Stable id of the rule, `MAD001`….
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, one sentence.
    pub message: String,
    /// Where.
    pub place: Place,
    /// Name of the entry concerned; `None` for a finding about a whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The change that removes it, where there is only one way.
    #[serde(skip)]
    pub fix: Option<Fix>,
    /// Other places that matter, each with a label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub related: Vec<(Place, String)>,
}

impl Diagnostic {
    /// A finding of severity [`Severity::Error`].
    pub fn error(rule: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self::new(rule, Severity::Error, place, message)
    }

    /// A finding of severity [`Severity::Warning`].
    pub fn warning(rule: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self::new(rule, Severity::Warning, place, message)
    }

    /// A finding of severity [`Severity::Note`].
    pub fn note(rule: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self::new(rule, Severity::Note, place, message)
    }

    fn new(
        rule: &'static str,
        severity: Severity,
        place: Place,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        let related = Vec::new();
        Diagnostic { rule, severity, message, place, model: None, help: None, fix: None, related }
    }

    /// Names the entry concerned.
    #[must_use]
    pub fn of(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the change that removes it.
    #[must_use]
    pub(crate) fn fix(mut self, span: Range<usize>, text: impl Into<String>) -> Self {
        self.fix = Some(Fix { span, text: text.into() });
        self
    }

    /// Adds another place that matters.
    #[must_use]
    pub fn related(mut self, place: Place, label: impl Into<String>) -> Self {
        self.related.push((place, label.into()));
        self
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `models.json:12:5: error[MAD003]: message (do this)`: one line, for places
/// that have no room for a snippet.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}[{}]: {}", self.place, self.severity, self.rule, self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

/// The candidate nearest to `word`, if it is near enough to be a typo of it.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(&lower, &c.to_lowercase()), c))
        .filter(|(score, _)| *score >= 0.88)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// `path` relative to `root` where it lies below it, else as it is.
pub fn relative<'a>(root: &Path, path: &'a Path) -> &'a Path {
    path.strip_prefix(root).unwrap_or(path)
}
