//! Names of entries, and the words in them.

use anyhow::{Result, bail, ensure};

use crate::catalog::Catalog;

/// Longer names make file names that some systems refuse.
const MAX_LENGTH: usize = 100;

/// Precisions that a word of a name can say.
const PRECISIONS: [&str; 12] = [
    "fp32", "tf32", "fp16", "bf16", "fp8", "fp4", "mxfp4", "nvfp4", "int8", "int4", "w4a16", "w8a8",
];

/// Checks a name for a new entry of `catalog`.
///
/// # Errors
/// Says what is wrong with it: characters, length, or that it means something already.
pub fn check_name(name: &str, catalog: &Catalog) -> Result<()> {
    check_form(name)?;
    if let Some(model) = catalog.models.iter().find(|m| m.name == name) {
        bail!("the name `{name}` exists already: {}", model.place("name"));
    }
    if let Some(model) = catalog.models.iter().find(|m| m.name.eq_ignore_ascii_case(name)) {
        bail!(
            "`{name}` and `{}` ({}) differ only in case, and names of images do not tell that apart",
            model.name,
            model.place("name")
        );
    }
    if let Some(model) = catalog.models.iter().find(|m| m.has_tag(name)) {
        bail!("`{name}` is a tag, of {} for instance: selecting it would mean both", model.name);
    }
    Ok(())
}

fn check_form(name: &str) -> Result<()> {
    ensure!(!name.is_empty(), "the name is empty");
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.contains('/') {
        bail!(
            "{name:?} has a `/` in it: entries of `scripts/<dir>/models.json` have such names, and are \
             written there by hand; this adds to the catalog's `models.json`"
        );
    }
    if let Some(odd) = name.chars().find(|c| !fits(*c)) {
        bail!(
            "{name:?} has {odd:?} in it: use letters, digits, `_`, `-` and `.`, by convention \
             framework_project_workload, as in pyt_vllm_llama-3.1-8b"
        );
    }
    ensure!(
        name.starts_with(|c: char| c.is_ascii_alphanumeric()),
        "{name:?} must begin with a letter or a digit"
    );
    ensure!(name.len() <= MAX_LENGTH, "the name has more than {MAX_LENGTH} characters");
    ensure!(name != "all", "`all` selects every entry, and cannot be the name of one");
    Ok(())
}

/// A name as its words: `framework_project_workload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words {
    pub(super) framework: String,
    pub(super) project: Option<String>,
    /// What stands behind the project, in lower case.
    pub(super) workload: Vec<String>,
}

impl Words {
    /// Of a name, or of a nested one without its directory.
    pub(super) fn of(name: &str) -> Words {
        let own = name.rsplit('/').next().unwrap_or(name).to_lowercase();
        let mut parts = own.split('_').filter(|p| !p.is_empty()).map(str::to_owned);
        let framework = parts.next().unwrap_or_default();
        let project = parts.next();
        let workload: Vec<String> = parts
            .flat_map(|p| p.split('-').map(str::to_owned).collect::<Vec<_>>())
            .filter(|p| !p.is_empty())
            .collect();
        Words { framework, project, workload }
    }

    /// All of them, split at `-` as well.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        let head = std::iter::once(&self.framework).chain(&self.project);
        head.flat_map(|w| w.split('-')).chain(self.workload.iter().map(String::as_str))
    }

    /// The precision that one of them says.
    pub(super) fn precision(&self) -> Option<&'static str> {
        self.all().find_map(|word| PRECISIONS.into_iter().find(|p| *p == word))
    }
}

/// Whether a tag is about a precision.
pub(super) fn is_precision(tag: &str) -> bool {
    PRECISIONS.contains(&tag.to_lowercase().as_str())
}
