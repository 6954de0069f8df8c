//! `mad baseline accept`.

use std::collections::HashSet;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::json;

use super::RunPlace;
use super::review::Review;
use crate::baseline::{Acceptance, who};
use crate::catalog::{Catalog, Model};
use crate::cli::{Exit, Global, print, print_json, select};
use crate::record::{self, Measurement, RunDir};
use crate::regress::count;
use crate::run::{Acceptor, Candidate, latest_run};

#[derive(Args, Debug)]
#[command(after_help = "\
A first baseline takes several runs that agree (3, or what `[baseline] agree` in mad.toml says): the
last run and those before it. Later, each accepted run joins the current level, or starts the next
one if neither the tolerance nor noise explains its distance; that takes a reason.

Examples:
  mad baseline accept                       all entries of the last run
  mad baseline accept rust_gemm --last 3    one entry, its last three runs
  mad baseline accept --why 'new compiler'  a change that is right
  mad baseline accept --interactive         look at each entry first")]
pub(in crate::cli) struct Accept {
    /// Names, tags, `scope/tag`; everything the run measured without
    #[arg(value_name = "TAG")]
    words: Vec<String>,
    /// Accept this run (id, directory, `latest`); repeatable
    #[arg(long, value_name = "RUN", conflicts_with = "last")]
    run: Vec<String>,
    /// Accept each of the last N runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    last: Option<u32>,
    /// Show one entry after the other and ask
    #[arg(long, short, conflicts_with_all = ["json", "force"])]
    interactive: bool,
    /// Runs that must agree before numbers are first accepted
    #[arg(long, value_name = "N", env = "MAD_AGREE", value_parser = clap::value_parser!(u32).range(1..))]
    agree: Option<u32>,
    /// Accept fewer runs, or some that disagree; the file tells. Takes a reason
    #[arg(long, requires = "why")]
    force: bool,
    /// Start a new level, whatever the numbers say. Takes a reason
    #[arg(long)]
    new_level: bool,
    /// Who accepts; without: who started the CI job, git's user.name, the user
    #[arg(long, value_name = "NAME", env = "MAD_ACCEPTED_BY")]
    by: Option<String>,
    /// Why the numbers are right
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    #[command(flatten)]
    place: RunPlace,
}

impl Accept {
    pub(super) fn run(&self, global: &Global, catalog: &Catalog) -> Result<Exit> {
        let by = self.by.clone().unwrap_or_else(|| who(&catalog.root));
        let mut acceptor = Acceptor::new(catalog, by).force(self.force).new_level(self.new_level);
        if let Some(runs) = self.agree {
            acceptor = acceptor.agree(runs as usize);
        }
        let (candidates, mut refused) = self.candidates(catalog, &acceptor)?;
        if candidates.is_empty() && refused.is_empty() {
            eprintln!("error: the run measured nothing that was asked for");
            return Ok(Exit::Findings);
        }
        let why = self.why.as_deref().unwrap_or_default();
        if self.interactive {
            tell_refused(&refused);
            return Review::new(&acceptor, why).of(&candidates);
        }
        let mut accepted = Vec::new();
        for candidate in &candidates {
            match accept(&acceptor, candidate, why) {
                Ok(line) => accepted.push(line),
                Err(e) => refused.push(format!("{}: {e:#}", candidate.id())),
            }
        }
        if global.json {
            print_json(&json!({
                "schema": "mad-accept/1", "accepted": accepted, "refused": refused,
            }))?;
        } else {
            print(&accepted.iter().map(|l| format!("{l}\n")).collect::<String>())?;
        }
        tell_refused(&refused);
        Ok(if accepted.is_empty() || !refused.is_empty() { Exit::Findings } else { Exit::Ok })
    }

    /// What may be accepted, and the entries of which no record can be read.
    fn candidates(
        &self,
        catalog: &Catalog,
        acceptor: &Acceptor<'_>,
    ) -> Result<(Vec<Candidate>, Vec<String>)> {
        let selected = select(catalog, &self.words, &[])?;
        // A plain name means the entry with whatever arguments it ran.
        let means = |s: &Model, m: &Measurement| {
            s.id() == m.id || s.extra_args.is_empty() && s.name == m.model
        };
        let wanted =
            |m: &Measurement| self.words.is_empty() || selected.iter().any(|s| means(s, m));
        let named = self.last.is_some() || !self.run.is_empty();
        let candidates = acceptor.candidates(&self.runs()?, wanted)?;
        if named {
            return Ok((candidates, Vec::new()));
        }
        let all = RunDir::all(&self.place.run_dir)?;
        let (mut whole, mut refused) = (Vec::new(), Vec::new());
        for candidate in candidates {
            let id = candidate.id().to_owned();
            match acceptor.with_earlier(candidate, &all) {
                Ok(candidate) => whole.push(candidate),
                Err(e) => refused.push(format!("{id}: {e:#}")),
            }
        }
        Ok((whole, refused))
    }

    /// The runs that are meant, oldest first, each once.
    fn runs(&self) -> Result<Vec<RunDir>> {
        let base = &self.place.run_dir;
        if let Some(n) = self.last {
            let mut runs = RunDir::all(base)?;
            let n = n as usize;
            ensure!(
                runs.len() >= n,
                "there are {} runs in {}, not {n}",
                runs.len(),
                base.display()
            );
            return Ok(runs.split_off(runs.len() - n));
        }
        if self.run.is_empty() {
            return Ok(vec![latest_run(base)?]);
        }
        let named: Result<Vec<RunDir>> =
            self.run.iter().map(|name| RunDir::find(base, name)).collect();
        let mut seen = HashSet::new();
        Ok(named?.into_iter().filter(|run| seen.insert(run.id.clone())).collect())
    }
}

/// Accepts, and says what was done.
pub(super) fn accept(acceptor: &Acceptor<'_>, candidate: &Candidate, why: &str) -> Result<String> {
    let (path, done) = acceptor.accept(candidate, why)?;
    let metrics = count(candidate.metrics().len(), "metric");
    let runs = count(candidate.runs.len(), "run");
    let path = path.display();
    let Acceptance { baseline, new_level, objection, .. } = &done;
    let level = match (done.created, new_level.as_slice()) {
        (true, _) => String::new(),
        (false, []) => format!(", level {}", baseline.current_level()),
        (false, _) => format!(", a new level ({})", baseline.current_level()),
    };
    let forced = if objection.is_some() { ", forced" } else { "" };
    let mut text =
        format!("accepted {}: {metrics} of {runs}{level}{forced} → {path}", candidate.id());
    for reason in new_level.iter().chain(objection) {
        text += &format!("\n  {reason}");
    }
    let before = baseline.accepted.iter().rev().nth(candidate.runs.len());
    let now = record::now();
    if let Some(before) = before.filter(|before| before.at > now) {
        eprintln!(
            "warning: {}: it is {now}, and run {} was accepted at {}: a clock was set back; runs \
             stay in the order in which they were accepted",
            candidate.id(),
            before.run,
            before.at
        );
    }
    Ok(text)
}

pub(super) fn tell_refused(refused: &[String]) {
    for line in refused {
        eprintln!("refused: {line}");
    }
}
