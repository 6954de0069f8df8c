//! The rules: one idea each, with a stable id.

pub(super) mod contract;
pub(super) mod docker;
pub(super) mod entry;
pub(super) mod loading;
pub(super) mod scripts;

use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Place, Severity};

/// What a rule is about and how to satisfy it.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Stable id, `MAD001`…; tens group related rules.
    pub id: &'static str,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Why it matters, a bad example and its fix, as markdown.
    pub explanation: &'static str,
}

impl Rule {
    /// A finding of this rule.
    pub(super) fn at(&self, place: Place, message: impl Into<String>) -> Diagnostic {
        match self.severity {
            Severity::Error => Diagnostic::error(self.id, place, message),
            Severity::Warning => Diagnostic::warning(self.id, place, message),
            Severity::Note => Diagnostic::note(self.id, place, message),
        }
    }
}

/// Every rule, in order of the ids.
pub const RULES: &[Rule] = &[
    loading::UNREADABLE,
    loading::NOT_ENTRIES,
    loading::WRONG_TYPE,
    loading::PROGRAM_NOT_RUN,
    loading::DUPLICATE_KEY,
    loading::PROGRAM_FAILS,
    loading::TWO_CATALOGS,
    loading::IDENTITY_CHANGES,
    entry::NO_NAME,
    entry::NAME_TAKEN,
    entry::ODD_NAME,
    entry::NO_METADATA,
    entry::BAD_TAG,
    scripts::NO_SCRIPT,
    scripts::SCRIPT_NOT_FOUND,
    scripts::ODD_SHEBANG,
    scripts::SYNTAX,
    scripts::OUTSIDE,
    scripts::NOT_CHECKED,
    docker::NO_DOCKERFILE,
    docker::NO_CONTEXT,
    docker::BAD_CONTEXT,
    docker::TWO_CONTEXTS,
    docker::SEVERAL,
    docker::NO_FROM,
    docker::STRAY,
    docker::OTHER_VENDOR,
    contract::NO_METRIC,
    contract::CANNOT_TELL,
    contract::NO_CSV,
    contract::BAD_CSV_NAME,
    contract::UNREADABLE_METRIC,
    contract::NO_SELF_MANAGED_CSV,
    entry::BAD_WORDS,
    entry::EXPANSION,
    entry::ODD_TIMEOUT,
    entry::GPU_CONFLICT,
    entry::ODD_ARCH,
    entry::NO_DATA,
    entry::BAD_DATA,
    entry::SLURM_MULTI,
    entry::UNKNOWN_KEY,
    entry::OUT_OF_RANGE,
    entry::NO_REASON,
];

/// The rule with this id, in any case.
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|r| r.id.eq_ignore_ascii_case(id))
}

/// The reference page of all rules, `docs/rules.md`.
pub fn rules_markdown() -> String {
    let mut page = String::from(
        "# Rules\n\n\
         What `mad validate` checks. An error means that the entry would not run, or would not\n\
         report a number; a warning is probably a mistake; a note never changes an exit status.\n\n\
         | rule | severity | what is wrong |\n|---|---|---|\n",
    );
    for rule in RULES {
        let anchor = rule.id.to_lowercase();
        let _ = writeln!(page, "| [{}](#{anchor}) | {} | {} |", rule.id, rule.severity, rule.title);
    }
    for rule in RULES {
        let _ = write!(page, "\n## {}\n\n", rule.id);
        let _ = writeln!(page, "**{}** ({})\n\n{}", rule.title, rule.severity, rule.explanation);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_ordered_and_found() {
        assert!(RULES.windows(2).all(|w| w[0].id < w[1].id));
        assert_eq!(rule("mad011"), Some(&entry::NAME_TAKEN));
        assert_eq!(rule("MAD999"), None);
    }

    #[test]
    fn the_reference_page_is_up_to_date() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules.md");
        if std::env::var_os("MAD_UPDATE").is_some() {
            std::fs::write(&path, rules_markdown()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == rules_markdown(), "docs/rules.md is old: run with MAD_UPDATE=1");
    }
}
