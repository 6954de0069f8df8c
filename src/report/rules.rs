//! How a metric is judged, and how that is known.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{Knowledge, Reading};
use crate::catalog::{Catalog, Model};
use crate::regress::{Direction, Policy, infer, inference_reason};
use crate::run::policy;

/// What the catalog says about metrics, if there is one.
#[derive(Debug, Default)]
pub struct Rules<'a> {
    catalog: Option<&'a Catalog>,
    models: HashMap<&'a str, &'a Model>,
    /// What names of metrics tell: there are few of them, in however many rows.
    inferred: RefCell<HashMap<String, Direction>>,
}

/// How one metric is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Direction, tolerance, floor.
    pub policy: Policy,
    /// How the direction is known.
    pub from: Knowledge,
}

impl<'a> Rules<'a> {
    /// The rules of a catalog.
    pub fn new(catalog: &'a Catalog) -> Rules<'a> {
        let models = catalog.models.iter().map(|m| (m.name.as_str(), m)).collect();
        Rules { catalog: Some(catalog), models, inferred: RefCell::default() }
    }

    fn infer(&self, unit: &str) -> Direction {
        if let Some(direction) = self.inferred.borrow().get(unit) {
            return *direction;
        }
        let direction = infer(unit);
        self.inferred.borrow_mut().insert(unit.to_owned(), direction);
        direction
    }

    /// How the metric of a reading is judged.
    pub fn rule(&self, reading: &Reading) -> Rule {
        let (name, unit) = reading.name();
        let direction = self.infer(unit);
        let inferred = match direction {
            Direction::Unknown => Knowledge::Nothing,
            _ => Knowledge::Name,
        };
        let standard = Policy { direction, ..Policy::default() };
        let Some(catalog) = self.catalog else {
            return Rule { policy: standard, from: inferred };
        };
        let Some((model, row)) = self.entry(&reading.model, name) else {
            let tolerance = catalog.config.defaults.tolerance.unwrap_or(standard.tolerance);
            return Rule { policy: Policy { tolerance, ..standard }, from: inferred };
        };
        let key = row.map_or_else(|| reading.metric.clone(), |row| format!("{row}/{unit}"));
        let entry = model.entry().regress.as_ref();
        let rule = entry.and_then(|r| r.metrics.get(&key).or_else(|| r.metrics.get(unit)));
        let said = rule.is_some_and(|rule| rule.direction.is_some());
        let policy = policy(&catalog.config, model, &key, unit);
        Rule { policy, from: if said { Knowledge::Catalog } else { inferred } }
    }

    /// The entry of a model, and the row where the name in a file of rows holds one.
    fn entry<'n>(&self, model: &str, name: &'n str) -> Option<(&'a Model, Option<&'n str>)> {
        // Added arguments (`:bs=8`) and the image (`@variant`) are not part of the name.
        let plain = model.split([':', '@']).next().unwrap_or(model);
        if let Some(found) = self.models.get(model).or_else(|| self.models.get(plain)) {
            return Some((found, None));
        }
        let cuts = name.rmatch_indices('_');
        cuts.into_iter().find_map(|(at, _)| {
            self.models.get(&name[..at]).map(|found| (*found, Some(&name[at + 1..])))
        })
    }
}

/// Why a direction is taken, in a few words.
pub(super) fn why(from: Knowledge, direction: Direction, unit: &str) -> String {
    let better = match direction {
        Direction::Higher => "higher is better",
        Direction::Lower => "lower is better",
        Direction::Unknown => "nobody says which way is better",
    };
    match from {
        Knowledge::Catalog => format!("{better}, says the catalog"),
        Knowledge::Name => {
            let cue = inference_reason(unit).unwrap_or("its name");
            format!("{better}, told from its name: {cue}")
        }
        Knowledge::Nothing => better.to_owned(),
    }
}
