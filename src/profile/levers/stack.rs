//! Which software stack an entry is built on.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Model};
use crate::validate::dockerfiles;

/// A software stack, for which levers are known.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Stack {
    /// vLLM.
    Vllm,
    /// SGLang.
    Sglang,
    /// Megatron-LM, Primus.
    Megatron,
    /// MaxText.
    Maxtext,
    /// HuggingFace transformers.
    Huggingface,
    /// PyTorch without one of these.
    Pytorch,
    /// Anything.
    Generic,
}

/// Words that name a stack, the most special stack first.
const WORDS: [(Stack, &[&str]); 6] = [
    (Stack::Vllm, &["vllm"]),
    (Stack::Sglang, &["sglang"]),
    (Stack::Megatron, &["megatron", "primus"]),
    (Stack::Maxtext, &["maxtext"]),
    (Stack::Huggingface, &["huggingface", "transformers", "accelerate"]),
    (Stack::Pytorch, &["pytorch", "torch", "torchrun", "pyt"]),
];

/// Bytes of a script or Dockerfile that are looked at.
const LOOK: usize = 256 << 10;

impl Stack {
    /// Every stack.
    pub const ALL: [Stack; 7] = [
        Stack::Vllm,
        Stack::Sglang,
        Stack::Megatron,
        Stack::Maxtext,
        Stack::Huggingface,
        Stack::Pytorch,
        Stack::Generic,
    ];

    /// Its word in catalogs of levers.
    pub fn word(self) -> &'static str {
        match self {
            Stack::Vllm => "vllm",
            Stack::Sglang => "sglang",
            Stack::Megatron => "megatron",
            Stack::Maxtext => "maxtext",
            Stack::Huggingface => "huggingface",
            Stack::Pytorch => "pytorch",
            Stack::Generic => "generic",
        }
    }

    /// Itself and what it is built on, the most special first.
    pub fn lineage(self) -> impl Iterator<Item = Stack> {
        let rest: &[Stack] = match self {
            Stack::Generic => &[],
            Stack::Pytorch | Stack::Maxtext => &[Stack::Generic],
            _ => &[Stack::Pytorch, Stack::Generic],
        };
        std::iter::once(self).chain(rest.iter().copied())
    }
}

/// A stack, and what says so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DetectedStack {
    /// The stack.
    pub stack: Stack,
    /// What says so.
    pub because: String,
}

/// The stack of an entry: what its name and tags say, else its arguments, its script, its
/// Dockerfiles. Comments say nothing.
pub fn detect(catalog: &Catalog, model: &Model) -> DetectedStack {
    let tags = model.tags().join(" ");
    let mut sources = vec![
        ("its tags".to_owned(), tags),
        ("its name".to_owned(), model.name.clone()),
        ("its arguments".to_owned(), model.args()),
    ];
    if let Some(script) = model.script() {
        sources.push((script.display().to_string(), code(&catalog.root.join(script))));
    }
    if let Some(prefix) = model.dockerfile() {
        for (path, _) in dockerfiles(&catalog.root, prefix) {
            sources.push((path.display().to_string(), code(&catalog.root.join(&path))));
        }
    }
    // A general word, such as the tag `pyt`, must not hide a special one further on.
    for (stack, words) in WORDS {
        for (source, text) in &sources {
            if let Some(word) = words.iter().find(|word| has_word(text, word)) {
                return DetectedStack { stack, because: format!("{source}: `{word}`") };
            }
        }
    }
    DetectedStack { stack: Stack::Generic, because: "nothing names one that is known".to_owned() }
}

/// The lines of a file that are no comments; nothing if it cannot be read, which
/// `mad validate` says.
fn code(path: &Path) -> String {
    use std::io::Read as _;
    let path = if path.is_dir() { path.join("run.sh") } else { path.to_owned() };
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        let _ = file.take(LOOK as u64).read_to_end(&mut bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with('#')).collect();
    lines.join("\n")
}

fn has_word(text: &str, word: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let inside = |c: char| c.is_ascii_alphanumeric();
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside)
    })
}
