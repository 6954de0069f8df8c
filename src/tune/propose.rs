//! Levers and what was found → [`Candidate`]s, the most promising first.

use anyhow::Result;

use super::mention::{Mention, Texts};
use super::{Candidate, Change, Learned, Status, Trust, change, config};
use crate::catalog::{Catalog, Lever, LeverKind};
use crate::diagnostic::relative;
use crate::engine::absolute;
use crate::plan::Job;
use crate::profile::levers::{self, Catalogs, Stack};
use crate::profile::{Bottleneck, Diagnosis};
use crate::regress::{count, percent};
use crate::sweep::part;

/// What earlier searches found about a lever, a value of it, and the bottleneck.
pub type Memory<'a> = dyn Fn(&str, &str, Option<Bottleneck>) -> Option<Learned> + 'a;

/// What candidates are chosen from.
#[derive(Clone, Copy)]
pub struct Choice<'a> {
    /// Where the entry is.
    pub catalog: &'a Catalog,
    /// The entry as it is, and what was kept of earlier changes.
    pub job: &'a Job,
    /// What it is built on.
    pub stack: Stack,
    /// What holds it back, if that is known; without, only levers of the entry and of `mad.toml`
    /// are tried.
    pub diagnosis: Option<&'a Diagnosis>,
    /// What earlier searches found.
    pub learned: &'a Memory<'a>,
    /// Candidates to be measured.
    pub most: usize,
    /// Whether levers that may change the answer are measured.
    pub allow_numerics: bool,
    /// Whether nothing is measured: without a diagnosis the levers that the entry's script or
    /// Dockerfile mentions are named as well.
    pub on_paper: bool,
}

/// A lever that may help.
struct Idea {
    lever: Lever,
    from: String,
    target: Option<Bottleneck>,
    because: String,
    mention: Option<Mention>,
    doubt: Option<String>,
}

impl Idea {
    /// Whether the user named it.
    fn is_own(&self) -> bool {
        self.from == "entry" || self.from == "mad.toml"
    }
}

/// What is tried first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hope {
    /// It helped before.
    Helped,
    /// Something speaks for it.
    Open,
    /// It is not likely to reach what is measured.
    Doubtful,
    /// It did not help before.
    DidNotHelp,
}

/// Chooses what is to be tried: one value of one lever each, each with what speaks for it.
///
/// What helped before comes first, by its gain; then the first value of every lever, the second
/// ones, and so on, in the order of [`levers::all`]; then what nothing in the entry's files reads;
/// last what did not help before. Values that are set already are no candidates. At most
/// [`Choice::most`] are to be measured ([`Status::Waiting`]); behind them stand those that must
/// not be, with the reason.
///
/// # Errors
/// Never: see [`levers::shipped`].
pub fn propose(of: &Choice<'_>) -> Result<Vec<Candidate>> {
    let texts = Texts::of(of.catalog, of.job);
    let catalogs = Catalogs { config: Some(&of.catalog.config), model: Some(&of.job.model) };
    let all = levers::all(of.stack, catalogs)?;
    let (mut ranked, mut skipped) = (Vec::new(), Vec::new());
    let ideas = all.iter().filter_map(|(lever, from)| of.idea(lever, from, &texts));
    // Levers that the diagnosis speaks for, or nothing speaks against, go before the entry's that
    // are for another bottleneck.
    let open = of.found().is_none();
    let fits = |idea: &Idea| open || idea.target.is_some() || idea.lever.targets.is_empty();
    let (first, second): (Vec<Idea>, Vec<Idea>) = ideas.partition(fits);
    for (i, idea) in first.iter().chain(&second).enumerate() {
        match of.values(idea, &all) {
            Ok(candidates) => {
                for (n, (candidate, hope)) in candidates.into_iter().enumerate() {
                    let gain = candidate.learned.filter(|_| hope == Hope::Helped);
                    match candidate.status {
                        Status::Skipped => skipped.push(candidate),
                        _ => ranked.push(((hope, gain.map_or(0.0, |l| -l.gain), n, i), candidate)),
                    }
                }
            }
            Err(Some(why)) => skipped.extend(of.skipped(idea, why)),
            Err(None) => {}
        }
    }
    ranked.sort_by(|((hope, gain, n, i), _), ((hope2, gain2, n2, i2), _)| {
        (hope.cmp(hope2)).then(gain.total_cmp(gain2)).then((n, i).cmp(&(n2, i2)))
    });
    let mut chosen: Vec<Candidate> = ranked.into_iter().map(|(_, c)| c).take(of.most).collect();
    chosen.extend(skipped);
    for i in 1..chosen.len() {
        let (before, rest) = chosen.split_at_mut(i);
        // An argument and a variable may have the same name but for dashes.
        while before.iter().any(|other| other.id == rest[0].id) {
            rest[0].id = part(&format!("{}.again", rest[0].id));
        }
    }
    Ok(chosen)
}

impl Choice<'_> {
    /// A diagnosis that says something.
    fn found(&self) -> Option<&Diagnosis> {
        self.diagnosis.filter(|d| d.bottleneck != Bottleneck::Unknown)
    }

    fn idea(&self, lever: &Lever, from: &str, texts: &Texts) -> Option<Idea> {
        let found = self.found();
        let mention = texts.mention(lever);
        let named = from == "entry" || (from == "mad.toml" && found.is_none());
        let (target, because) = match found.and_then(|d| levers::evidence(d, lever)) {
            Some((target, because)) => (Some(target), because),
            None if named && from == "entry" => (None, "the entry names it".to_owned()),
            None if named => (None, "mad.toml names it".to_owned()),
            None if found.is_none() && self.on_paper && mention.is_some() => (None, String::new()),
            None => return None,
        };
        let doubt = texts.doubt(lever, mention.as_ref());
        let (lever, from) = (lever.clone(), from.to_owned());
        Some(Idea { lever, from, target, because, mention, doubt })
    }

    /// The candidates of a lever; what keeps it from being tried; or nothing to say, where it is
    /// one of the shipped catalog that the entry has no place for.
    fn values(
        &self,
        idea: &Idea,
        all: &[(Lever, String)],
    ) -> Result<Vec<(Candidate, Hope)>, Option<String>> {
        let lever = &idea.lever;
        let change = self
            .change(lever)
            .map_err(|why| idea.is_own().then(|| format!("it cannot be tried: {why:#}")))?;
        let default = idea.mention.as_ref().and_then(|m| m.default.clone());
        let now = change.was.clone().or(default);
        let values: Vec<&String> =
            lever.values.iter().filter(|value| now.as_ref() != Some(value)).collect();
        if values.is_empty() {
            return Err(None);
        }
        if lever.numerics && !self.allow_numerics {
            return Err(Some(
                "it may change the answer, and nothing says that this is all right: \
                 --allow-numerics, or a metric that shows it (`tune.accuracy`)"
                    .to_owned(),
            ));
        }
        if let Some((other, value)) = self.conflict(lever, all) {
            let value = if value.is_empty() { String::new() } else { format!(" ({value})") };
            return Err(Some(format!("it must not go together with {other}, which is set{value}")));
        }
        let mut candidates = Vec::new();
        for value in values {
            let change = Change { value: value.clone(), was: now.clone(), ..change.clone() };
            match change::apply(self.job, std::slice::from_ref(&change), &self.catalog.root) {
                Ok(_) => candidates.push(self.candidate(idea, change)),
                Err(why) if idea.is_own() => {
                    let (candidate, hope) = self.candidate(idea, change);
                    let why = format!("it cannot be tried: {why:#}");
                    candidates.push((refused(candidate, why), hope));
                }
                Err(_) => {}
            }
        }
        Ok(candidates)
    }

    /// The change without its value.
    fn change(&self, lever: &Lever) -> Result<Change> {
        let mut change = Change {
            lever: lever.name.clone(),
            kind: lever.kind,
            file: lever.file.clone(),
            value: String::new(),
            was: None,
            keep: lever.keep.clone(),
        };
        if lever.kind == LeverKind::Config {
            let at = config::locate(self.job, &change, &self.catalog.root)?;
            let path = self.job.script_dir.join(at.file);
            let path = relative(&absolute(&self.catalog.root), &path).display().to_string();
            change.file = Some(path);
        }
        change.was = change::current(self.job, &change, &self.catalog.root)?;
        Ok(change)
    }

    /// A lever that is set now and must not go together with this one.
    fn conflict(&self, lever: &Lever, all: &[(Lever, String)]) -> Option<(String, String)> {
        let against = |other: &Lever| {
            lever.conflicts.contains(&other.name) || other.conflicts.contains(&lever.name)
        };
        all.iter().map(|(other, _)| other).filter(|other| against(other)).find_map(|other| {
            let value = self.change(other).ok()?.was?;
            Some((other.name.clone(), value))
        })
    }

    fn candidate(&self, idea: &Idea, change: Change) -> (Candidate, Hope) {
        let bottleneck = self.diagnosis.map(|d| d.bottleneck);
        let learned = (self.learned)(&change.lever, &change.value, bottleneck);
        let learned = learned.filter(|l| l.tried > 0);
        let hope = match (learned, &idea.doubt) {
            (Some(learned), _) if helped(&learned) => Hope::Helped,
            (Some(_), _) => Hope::DidNotHelp,
            (None, Some(_)) => Hope::Doubtful,
            (None, None) => Hope::Open,
        };
        let read = idea.mention.as_ref().map(|mention| match &mention.place {
            Some(place) => format!("{place} mentions it"),
            None => "it is among the entry's arguments".to_owned(),
        });
        let because = Some(idea.because.clone()).filter(|because| !because.is_empty());
        let evidence = [learned.as_ref().map(said), because, idea.doubt.clone().or(read)];
        let evidence: Vec<String> = evidence.into_iter().flatten().collect();
        let label = format!("{}.{}", change.lever.trim_start_matches('-'), change.value);
        let id = part(label.trim_end_matches('.'));
        let candidate = Candidate {
            changes: vec![change],
            target: idea.target,
            learned,
            numerics: idea.lever.numerics,
            warmup: idea.lever.warmup,
            conflicts: idea.lever.conflicts.clone(),
            ..Candidate::new(id, &idea.from, evidence.join("; "))
        };
        (candidate, hope)
    }

    /// The lever as a candidate that is not to be measured.
    fn skipped(&self, idea: &Idea, why: String) -> Option<Candidate> {
        let lever = &idea.lever;
        let change = Change {
            lever: lever.name.clone(),
            kind: lever.kind,
            file: lever.file.clone(),
            value: lever.values.first()?.clone(),
            was: None,
            keep: lever.keep.clone(),
        };
        Some(refused(self.candidate(idea, change).0, why))
    }
}

/// A candidate that is not to be measured.
fn refused(candidate: Candidate, why: String) -> Candidate {
    Candidate { status: Status::Skipped, trust: Some(Trust::none(vec![why])), ..candidate }
}

/// Whether it was better for sure, where an interval says how sure.
fn helped(learned: &Learned) -> bool {
    learned.gain > 0.0 && learned.interval.is_none_or(|(low, _)| low > 0.0)
}

fn said(learned: &Learned) -> String {
    let tried = count(learned.tried as usize, "time");
    let sign = if learned.gain > 0.0 { "+" } else { "" };
    let doubt = if helped(learned) { "" } else { ", which is no gain" };
    format!("tried {tried} here: {sign}{}{doubt}", percent(learned.gain))
}
