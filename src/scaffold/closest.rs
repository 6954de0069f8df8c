//! The entry that a new one is made after.

use anyhow::{Result, bail};

use super::name::Words;
use crate::catalog::{Catalog, Model};
use crate::diagnostic::did_you_mean;

/// The entry that a new one is made after, and why this one.
#[derive(Clone, Debug)]
pub struct Template {
    /// The entry.
    pub model: Model,
    /// Why, for people: `same framework (pyt) and project (vllm)`.
    pub why: String,
}

/// How near an entry is to a name.
#[derive(Clone, Debug)]
struct Nearness {
    project: bool,
    /// Words of the workload that both have.
    shared: Vec<String>,
    /// Likeness of the workloads as text, from 0 to 1.
    likeness: f64,
}

impl Nearness {
    /// `None` for an entry of another framework.
    fn of(new: &Words, known: &Words) -> Option<Nearness> {
        if new.framework != known.framework {
            return None;
        }
        let shared: Vec<String> =
            new.workload.iter().filter(|w| known.workload.contains(w)).cloned().collect();
        Some(Nearness {
            project: new.project.is_some() && new.project == known.project,
            likeness: strsim::jaro_winkler(&new.workload.join("-"), &known.workload.join("-")),
            shared,
        })
    }

    fn key(&self) -> (bool, usize, f64) {
        (self.project, self.shared.len(), self.likeness)
    }

    fn why(&self, new: &Words) -> String {
        let mut why = format!("same framework ({})", new.framework);
        if let (true, Some(project)) = (self.project, &new.project) {
            why = format!("{why} and project ({project})");
        }
        if !self.shared.is_empty() {
            why = format!("{why}, both {}", self.shared.join(", "));
        }
        why
    }
}

/// Entries of the framework of `name`, the nearest first: by project, then by words of the
/// workload that both have, then by its likeness; ties go to the one that comes first.
pub fn nearest(catalog: &Catalog, name: &str) -> Vec<Template> {
    let new = Words::of(name);
    let current = catalog.models.iter().filter(|m| m.entry().deprecated != Some(true));
    let mut found: Vec<(Nearness, &Model)> = current
        .filter_map(|model| Some((Nearness::of(&new, &Words::of(&model.name))?, model)))
        .collect();
    found.sort_by(|(a, _), (b, _)| {
        b.key().partial_cmp(&a.key()).unwrap_or(std::cmp::Ordering::Equal)
    });
    let template =
        |(near, model): (Nearness, &Model)| Template { model: model.clone(), why: near.why(&new) };
    found.into_iter().map(template).collect()
}

/// The entry `from`, named by the user.
///
/// # Errors
/// When there is none.
pub(super) fn named(catalog: &Catalog, from: &str) -> Result<Template> {
    match catalog.models.iter().find(|m| m.name == from) {
        Some(model) => Ok(Template { model: model.clone(), why: "named by --from".into() }),
        None => {
            let names = catalog.models.iter().map(|m| m.name.as_str());
            let hint = did_you_mean(from, names).map(|n| format!("; did you mean `{n}`?"));
            bail!("--from: there is no entry `{from}`{}", hint.unwrap_or_default())
        }
    }
}
