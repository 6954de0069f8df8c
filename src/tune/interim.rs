//! Stands in for what chooses and applies changes.

use anyhow::{Result, bail};

use super::{Candidate, Change, Status};
use crate::catalog::{Catalog, Lever, LeverKind};
use crate::plan::{Job, Planner};
use crate::profile::Diagnosis;

pub(super) fn apply(_: &Planner<'_>, job: &Job, changes: &[Change]) -> Result<Job> {
    let mut job = job.clone();
    for change in changes {
        match change.kind {
            LeverKind::Env => {
                job.env.insert(change.lever.clone(), change.value.clone());
            }
            _ => bail!("only variables can be changed"),
        }
    }
    Ok(job)
}

pub(super) fn propose(
    catalog: &Catalog,
    job: &Job,
    _: Option<&Diagnosis>,
    most: usize,
) -> Vec<Candidate> {
    let own = job.model.entry().tune.as_ref().map(|t| t.levers.clone()).unwrap_or_default();
    let own = own.into_iter().map(|l| (l, "entry"));
    let all = own.chain(catalog.config.levers.iter().map(|l| (l.clone(), "mad.toml")));
    let of = |(lever, from): (Lever, &str)| {
        let from = from.to_owned();
        let values = lever.values.clone().into_iter();
        values.map(move |value| (lever.clone(), value, from.clone())).collect::<Vec<_>>()
    };
    let candidate = |(i, (lever, value, from)): (usize, (Lever, String, String))| Candidate {
        id: format!("c{}", i + 1),
        changes: vec![Change {
            lever: lever.name,
            kind: lever.kind,
            file: lever.file,
            value,
            was: None,
        }],
        on_top_of: Vec::new(),
        from,
        target: None,
        evidence: lever.why,
        learned: None,
        numerics: lever.numerics,
        warmup: lever.warmup,
        conflicts: lever.conflicts,
        status: Status::Waiting,
        promising: false,
        comparison: None,
        verification: None,
        trust: None,
        csv: None,
    };
    all.flat_map(of).take(most).enumerate().map(candidate).collect()
}
