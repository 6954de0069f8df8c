//! Stands in for what chooses and applies changes.

use super::{Candidate, Change, Status};
use crate::catalog::{Catalog, Lever};
use crate::plan::Job;
use crate::profile::Diagnosis;

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
            keep: lever.keep,
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
