//! Accepted numbers for a Run: those of exactly its conditions or, told as such, the nearest ones.

use clap::ValueEnum;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Outcome as CaseOutcome, Session};
use crate::baseline::{Baseline, BaselineError, Key, Store};
use crate::catalog::Model;
use crate::plan::{Job, Planner};
use crate::record::Measurement;
use crate::regress::{Outcome, Verdict};

/// How far from the conditions of a Run accepted numbers may be to judge it by.
///
/// Never further: another architecture, GPU count, precision or unit is not compared.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    ValueEnum,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Only the same class of machines with the same driver and kernel
    None,
    /// The same class of machines with another driver or kernel
    Software,
    /// Also another product with as many GPUs of the same architecture, which never fails
    #[default]
    Product,
}

/// How the accepted numbers that a Run was judged by are not of exactly its conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fallback {
    /// How far it reached: `software` or `product`.
    pub reach: Reach,
    /// Class of the machines that the accepted numbers are of.
    pub machine_class: String,
    /// What differs, in words.
    pub differences: Vec<String>,
}

impl Fallback {
    /// In one sentence.
    pub fn words(&self) -> String {
        let differences = self.differences.join(", ");
        match self.reach {
            Reach::Product => format!(
                "judged by numbers accepted on {}, another product: {differences}; such a \
                 judgement never fails",
                self.machine_class
            ),
            _ => format!("no accepted run had this software: {differences}"),
        }
    }

    /// The verdict as it stands: numbers of another product can raise a doubt, no more.
    pub(super) fn weaken(&self, verdict: &mut Verdict) {
        if self.reach != Reach::Product {
            return;
        }
        // Nor do they tell a slower machine from a slower one of its kind.
        verdict.worse_by = None;
        if matches!(verdict.outcome, Outcome::Regressed | Outcome::Improved) {
            verdict.outcome = Outcome::Ambiguous;
            verdict.settle =
                Some("accept runs of this machine with `mad baseline accept`".to_owned());
        }
    }
}

/// Accepted numbers, and how they were come by.
pub(super) struct Found {
    pub(super) baseline: Baseline,
    /// The difference that is known before anything is measured.
    pub(super) fallback: Option<Fallback>,
}

/// Whether there are accepted numbers to judge an entry by on this machine, sound or not.
pub fn has_baseline(planner: &Planner<'_>, store: &Store, model: &Model) -> bool {
    let jobs = planner.variants(model).unwrap_or_default();
    jobs.iter().any(|job| !matches!(accepted_for(planner, store, job), Ok(None)))
}

/// The accepted numbers for a Job: its own, else those of the nearest product, if that is
/// allowed. A missing baseline that must not be missing is not made up for.
pub(super) fn accepted_for(
    planner: &Planner<'_>,
    store: &Store,
    job: &Job,
) -> Result<Option<Found>, BaselineError> {
    let key = job.baseline_key();
    if let Some(baseline) = store.load(&key)? {
        return Ok(Some(Found { baseline, fallback: None }));
    }
    if reach(planner) < Reach::Product || planner.options.require_baseline {
        return Ok(None);
    }
    let Some(prefix) = job.same_architecture() else { return Ok(None) };
    let alike = |other: &Key| {
        let class = &other.machine_class;
        // `_` joins the kinds of a mixed machine.
        class.starts_with(&prefix)
            && !class.contains('_')
            && other.n_gpus == key.n_gpus
            && other.precision == key.precision
    };
    let others = store.of_model(&key.model).into_iter().filter(|b| alike(&b.key()));
    let newest = others.max_by(|a, b| {
        let at = |b: &Baseline| b.accepted.last().map(|a| a.at.clone());
        (at(a), &a.machine_class).cmp(&(at(b), &b.machine_class))
    });
    Ok(newest.map(|baseline| {
        let differences = vec![format!("this is {}", key.machine_class)];
        let (reach, machine_class) = (Reach::Product, baseline.machine_class.clone());
        Found { baseline, fallback: Some(Fallback { reach, machine_class, differences }) }
    }))
}

/// How far the user lets judgements reach, else the catalog.
pub(super) fn reach(planner: &Planner<'_>) -> Reach {
    planner.options.fallback.unwrap_or(planner.catalog.config.baseline.fallback)
}

/// Where there are accepted numbers of a model that are not comparable with those of `key`, in
/// words.
fn accepted_elsewhere(store: &Store, key: &Key) -> Option<String> {
    let keys = store.of_model(&key.model).into_iter().map(|b| b.key());
    let mut others: Vec<String> = keys
        .filter(|other| other != key)
        .map(|other| format!("{} with {} GPUs", other.machine_class, other.n_gpus))
        .collect();
    others.dedup();
    (!others.is_empty()).then(|| others.join(", "))
}

/// How the software of a measurement differs from that of every accepted run it is judged by.
pub(super) fn other_software(baseline: &Baseline, measurement: &Measurement) -> Option<Fallback> {
    let now = measurement.facts();
    let same = |then: &std::collections::BTreeMap<String, String>| {
        ["driver", "kernel"].iter().all(|what| then.get(*what) == now.get(*what))
    };
    let window = baseline.recent();
    let newest = window.last()?;
    if window.iter().any(|run| same(&run.provenance)) {
        return None;
    }
    let word = |value: Option<&String>| value.map_or("unknown".to_owned(), Clone::clone);
    let differences = ["driver", "kernel"]
        .iter()
        .map(|what| (*what, newest.provenance.get(*what), now.get(*what)))
        .filter(|(_, then, now)| then != now)
        .map(|(what, then, now)| format!("{what} {} → {}", word(then), word(now)))
        .collect();
    let (reach, machine_class) = (Reach::Software, baseline.machine_class.clone());
    Some(Fallback { reach, machine_class, differences })
}

impl Session<'_> {
    /// What comes of a case without numbers to judge by; `why`, where it is not plain.
    pub(super) fn no_baseline(&self, job: &Job, why: &str) -> CaseOutcome {
        let key = job.baseline_key();
        let id = shell_words::quote(&job.model.id()).into_owned();
        let times = match self.planner.catalog.config.baseline.agree {
            1 => String::new(),
            n => format!(" {n} times"),
        };
        let mut message = format!(
            "no baseline for {}; measure{times} and accept: mad benchmark {id}, then mad baseline \
             accept {id}",
            key.machine_class
        );
        let elsewhere = match why {
            "" => accepted_elsewhere(&self.store, &key)
                .map(|others| format!("there are numbers of {others}, which say nothing here")),
            why => Some(why.to_owned()),
        };
        message.extend(elsewhere.iter().map(|elsewhere| format!(" ({elsewhere})")));
        let outcome = match self.planner.options.require_baseline {
            true => CaseOutcome::failed("no-baseline", format!("{message} (--require-baseline)")),
            false => CaseOutcome::ignored("no-baseline", message),
        };
        outcome.with(elsewhere.map(|e| ("elsewhere".to_owned(), e)).into_iter().collect())
    }
}
