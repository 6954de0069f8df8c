//! `mad baseline accept --interactive`: one entry after the other, as `cargo insta review` does.

use std::cell::Cell;
use std::io::BufRead as _;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use super::accept::{accept, tell_refused};
use crate::baseline::{Acceptance, Baseline};
use crate::cli::{Exit, print};
use crate::engine::Cancel;
use crate::record;
use crate::regress::{Outcome, count, judge, median, number, percent, relative_spread};
use crate::results::Table;
use crate::run::{Acceptor, Candidate, VerdictRecord};

/// How long a Ctrl-C may go unnoticed while nobody types.
const PATIENCE: Duration = Duration::from_millis(50);

const KEYS: &str = "a accept · r reject, and never offer it again · s skip · q quit · A accept this \
                    and all that follow";

/// A review in progress.
pub(super) struct Review<'a> {
    acceptor: &'a Acceptor<'a>,
    why: String,
    accepted: usize,
    rejected: usize,
    refused: usize,
}

/// What somebody typed.
enum Line {
    Text(String),
    End,
    Interrupted,
}

/// How a review goes on.
enum Next {
    /// With the next entry.
    On,
    /// With all that follow accepted unseen.
    AcceptRest,
    /// Not at all: somebody quit.
    Stop,
}

impl<'a> Review<'a> {
    pub(super) fn new(acceptor: &'a Acceptor<'a>, why: &str) -> Review<'a> {
        Review { acceptor, why: why.to_owned(), accepted: 0, rejected: 0, refused: 0 }
    }

    /// Asks about each candidate. Each one is accepted as soon as somebody says so, so that
    /// nothing of it is lost when the review ends early.
    pub(super) fn of(mut self, candidates: &[Candidate]) -> Result<Exit> {
        let cancel = Cancel::default();
        cancel.on_signals()?;
        let answers = Answers { lines: lines(), cancel, heard: Cell::new(false) };
        let mut all = false;
        let mut ended = None;
        for (i, candidate) in candidates.iter().enumerate() {
            let preview = match self.acceptor.preview(candidate) {
                Ok(preview) => preview,
                Err(e) => {
                    self.refuse(candidate, &e);
                    continue;
                }
            };
            eprint!("\n[{} of {}] {}", i + 1, candidates.len(), self.shown(candidate, &preview)?);
            let next = match all {
                true => self.take(candidate, &preview, &answers, all)?,
                false => self.ask(candidate, &preview, &answers)?,
            };
            match next {
                Ok(Next::On) => {}
                Ok(Next::AcceptRest) => all = true,
                Ok(Next::Stop) => break,
                Err(end) => {
                    ended = Some(end);
                    break;
                }
            }
        }
        if matches!(ended, Some(Line::End)) && !answers.heard.get() {
            bail!(
                "nobody answers: standard input has no lines; run this in a terminal, pipe the \
                 answers in (a, r, s, q or A, one a line), or accept without --interactive"
            );
        }
        self.close(candidates.len(), ended)
    }

    /// Says what was done, and what not.
    fn close(self, all: usize, ended: Option<Line>) -> Result<Exit> {
        let Review { accepted, rejected, refused, .. } = self;
        let left = all - accepted - rejected - refused;
        let counts = [
            (accepted, "accepted"),
            (rejected, "rejected"),
            (refused, "refused"),
            (left, "left as they were"),
        ];
        let counts = counts.iter().filter(|(n, _)| *n > 0);
        let counts: Vec<String> = counts.map(|(n, what)| format!("{n} {what}")).collect();
        eprintln!("\n{}", counts.join(", "));
        Ok(match ended {
            Some(Line::Interrupted) => {
                eprintln!("error: interrupted; what was accepted so far is in the files");
                Exit::Findings
            }
            Some(_) => {
                eprintln!("error: standard input ended in the middle");
                Exit::Findings
            }
            None if refused == 0 => Exit::Ok,
            None => Exit::Findings,
        })
    }

    /// Asks what to do with a candidate, and does it.
    fn ask(
        &mut self,
        candidate: &Candidate,
        preview: &Acceptance,
        answers: &Answers,
    ) -> Result<Result<Next, Line>> {
        eprintln!("{KEYS}");
        loop {
            let answer = match answers.ask("? ") {
                Line::Text(answer) => answer,
                end => return Ok(Err(end)),
            };
            match answer.trim() {
                "a" => return self.take(candidate, preview, answers, false),
                "A" => {
                    let taken = self.take(candidate, preview, answers, true)?;
                    return Ok(taken.map(|_| Next::AcceptRest));
                }
                "r" => {
                    self.acceptor.reject(candidate)?;
                    self.rejected += 1;
                    print(&format!("rejected {}\n", candidate.id()))?;
                    return Ok(Ok(Next::On));
                }
                "s" => return Ok(Ok(Next::On)),
                "q" => return Ok(Ok(Next::Stop)),
                other => eprintln!("`{other}` is no answer: {KEYS}"),
            }
        }
    }

    /// Accepts a candidate; asks for the reason that a new level takes, unless one is given. The
    /// reason holds for the rest, too, if that is accepted with it.
    fn take(
        &mut self,
        candidate: &Candidate,
        preview: &Acceptance,
        answers: &Answers,
        rest: bool,
    ) -> Result<Result<Next, Line>> {
        let mut why = self.why.clone();
        while !preview.new_level.is_empty() && why.trim().is_empty() {
            match answers.ask("why? ") {
                Line::Text(text) => why = text.trim().to_owned(),
                end => return Ok(Err(end)),
            }
        }
        if rest {
            self.why.clone_from(&why);
        }
        match accept(self.acceptor, candidate, &why) {
            Ok(line) => {
                print(&format!("{line}\n"))?;
                self.accepted += 1;
            }
            // Somebody else may have changed the file meanwhile.
            Err(e) => self.refuse(candidate, &e),
        }
        Ok(Ok(Next::On))
    }

    fn refuse(&mut self, candidate: &Candidate, error: &anyhow::Error) {
        let line = format!("{}: {error:#}", candidate.id());
        tell_refused(&[line]);
        self.refused += 1;
    }

    /// What would change: each metric's old level, new value and verdict.
    fn shown(&self, candidate: &Candidate, preview: &Acceptance) -> Result<String> {
        let before = self.acceptor.store().load(&candidate.key())?;
        let (run, m) = candidate.newest();
        let verdict: Option<VerdictRecord> =
            record::read_json(&run.model(&m.id).join("verdict.json"))?;
        let mut table =
            Table::new(["METRIC", "LEVEL", "SPREAD", "NEW", "SPREAD", "CHANGE", "VERDICT"]);
        let values = m.values();
        for (key, medians) in candidate.metrics() {
            let of_key = values.iter().find(|(k, _)| *k == key).map(|(_, samples)| samples);
            let unit = of_key.and_then(|s| s.first()).map_or("", |s| s.metric.as_str());
            let executions: Vec<f64> =
                of_key.into_iter().flatten().map(|sample| sample.value).collect();
            // Of one run, how its executions vary is all there is to see.
            let new = if medians.len() > 1 { &medians } else { &executions };
            let level = before.as_ref().map(|b| b.window(&key)).unwrap_or_default();
            let policy = self.acceptor.policy_of(candidate, &key, unit)?;
            let judged = judge(&level, &[median(&medians)], &policy);
            let outcome = verdict.as_ref().and_then(|v| v.metrics.get(&key)).map(|v| v.outcome);
            let word = match outcome {
                Some(outcome) => outcome.to_string(),
                None if judged.outcome == Outcome::NoBaseline => "new".to_owned(),
                None if judged.needs_confirmation => "suspected".to_owned(),
                None => judged.outcome.to_string(),
            };
            let spread = |values: &[f64]| relative_spread(values).map_or("-".into(), percent);
            table.row([
                key,
                match level.is_empty() {
                    true => "-".to_owned(),
                    false => format!("{} ({})", number(median(&level)), count(level.len(), "run")),
                },
                spread(&level),
                format!("{} ({})", number(median(&medians)), count(medians.len(), "run")),
                spread(new),
                judged.change.map_or("-".into(), |c| format!("{:+.2}%", 100.0 * c)),
                word,
            ]);
        }
        let gone = before
            .iter()
            .flat_map(Baseline::metric_keys)
            .filter(|key| values.iter().all(|(k, _)| k != key));
        for key in gone {
            let level = before.as_ref().map(|b| b.window(key)).unwrap_or_default();
            let level = format!("{} ({})", number(median(&level)), count(level.len(), "run"));
            let dash = || "-".to_owned();
            table.row([key.to_owned(), level, dash(), dash(), dash(), dash(), "gone".to_owned()]);
        }
        let mut text = format!("{} on {}\n{table}", candidate.id(), candidate.key().machine_class);
        if !preview.new_level.is_empty() {
            text += "it starts a new level, and takes a reason:\n";
        }
        for reason in &preview.new_level {
            text += &format!("  {reason}\n");
        }
        Ok(text)
    }
}

/// Where answers come from.
struct Answers {
    lines: Receiver<String>,
    cancel: Cancel,
    /// Whether there was any.
    heard: Cell<bool>,
}

impl Answers {
    /// The next line; a signal ends the wait for it.
    fn ask(&self, prompt: &str) -> Line {
        eprint!("{prompt}");
        loop {
            if self.cancel.is_cancelled() {
                return Line::Interrupted;
            }
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => {
                    self.heard.set(true);
                    return Line::Text(line);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Line::End,
            }
        }
    }
}

/// Lines of standard input. Read by a thread, since nothing ends a read but a line.
fn lines() -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}
