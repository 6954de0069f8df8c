//! What a search would try, and how to try it by hand.

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::super::{Global, print, print_json};
use crate::plan::{Job, Planner};
use crate::profile::Diagnosis;
use crate::profile::levers::detect;
use crate::regress::count;
use crate::run::diagnosed;
use crate::tune::{self, Candidate, Request, Status, by_hand};

/// A candidate, and the lines that measure it.
#[derive(Serialize)]
struct Planned {
    #[serde(flatten)]
    candidate: Candidate,
    commands: Vec<String>,
}

/// Prints what would be tried, the most promising first; runs nothing. `cannot` says why it
/// cannot run here, if so.
///
/// # Errors
/// When the trace says nothing.
pub(super) fn print_plan(
    global: &Global,
    planner: &Planner<'_>,
    job: &Job,
    request: &Request,
    cannot: Option<&str>,
) -> Result<()> {
    let (catalog, model) = (planner.catalog, &job.model);
    let found: Option<Diagnosis> =
        request.trace.as_ref().map(|path| diagnosed(path, catalog, model)).transpose()?;
    let stack = detect(catalog, model);
    let candidates = request.propose(catalog, job, found.as_ref(), true)?;
    let base = by_hand(planner, model, &[], 0)?;
    let planned = |candidate: Candidate| -> Result<Planned> {
        let commands = by_hand(planner, model, &candidate.changes, candidate.warmup)?;
        Ok(Planned { candidate, commands })
    };
    let candidates: Vec<Planned> = candidates.into_iter().map(planned).collect::<Result<_>>()?;
    if global.json {
        return print_json(&json!({
            "schema": "mad-tune-plan/1",
            "model": model.id(),
            "strategy": request.strategy,
            "stack": stack,
            "cannot_run": cannot,
            "diagnosis": found,
            "baseline": base,
            "candidates": candidates,
        }));
    }
    let mut out = String::new();
    if let Some(why) = cannot {
        out.push_str(&format!("{} cannot run here: {why}\n", model.id()));
    }
    match &found {
        Some(found) => out.push_str(&format!("{}\n", found.headline())),
        None => out.push_str("bottleneck: not known without a trace (--trace)\n"),
    }
    out.push_str(&format!("stack: {} ({})\n", stack.stack.word(), stack.because));
    out.push_str(&format!("as it is\n{}", indented(&base)));
    let open = candidates.iter().filter(|p| p.candidate.status == Status::Waiting).count();
    for (n, Planned { candidate, commands }) in candidates.iter().enumerate() {
        let number = match candidate.status {
            Status::Waiting => format!("{}.", n + 1),
            _ => "not".to_owned(),
        };
        let from = &candidate.from;
        out.push_str(&format!("{number} {}  ({from})\n", tune::words(&candidate.changes)));
        out.push_str(&format!("     {}\n", candidate.evidence));
        match &candidate.trust {
            Some(trust) => out.push_str(&indented(&trust.because)),
            None => out.push_str(&indented(commands)),
        }
    }
    out.push_str(&match open {
        0 => "nothing to try: name levers in the entry (`tune.levers`) or in mad.toml\n".to_owned(),
        n => format!("{} to try, each in turn with the entry as it is\n", count(n, "candidate")),
    });
    print(&out)
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("     {line}\n")).collect()
}
