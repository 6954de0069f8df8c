//! What is asked of a search.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::catalog::{Catalog, Model};
use crate::history::Lessons;
use crate::plan::{Job, Planner};
use crate::profile::Diagnosis;
use crate::profile::levers::detect;
use crate::slug::digest;
use crate::tune::metric::Goal;
use crate::tune::{Candidate, Choice, Strategy, Tuning, propose};

/// What is asked of a search.
#[derive(Clone, Debug)]
pub struct Request {
    /// How candidates are chosen.
    pub strategy: Strategy,
    /// Candidates at most, from 1; all that there are without.
    pub candidates: Option<u8>,
    /// What shall become better, if not the entry's primary metric.
    pub goal: Option<Goal>,
    /// Tools that are attached to find out what holds the entry back.
    pub tools: Vec<String>,
    /// An existing trace that is read instead.
    pub trace: Option<PathBuf>,
    /// Whether what may change the answer is tried without a metric that shows it.
    pub allow_numerics: bool,
    /// Smallest gain that is looked for (0.02 = 2 %).
    pub min_effect: Option<f64>,
    /// Most Executions of each side of a comparison.
    pub max_samples: u32,
    /// Seconds of all processes after which nothing further is begun.
    pub budget: Option<Duration>,
    /// Decides the order of the Executions.
    pub seed: Option<u64>,
    /// Share of searches among equal candidates that may recommend anything.
    pub false_alarms: f64,
    /// What earlier searches teach.
    pub lessons: Lessons,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Request {
    /// The flags that decide what is measured, by name.
    pub(super) fn flags(&self, planner: &Planner<'_>) -> BTreeMap<String, String> {
        let options = planner.options;
        let text = |value: Option<String>| value.unwrap_or_default();
        // It can hold secrets, which no record has.
        let context = Some(&planner.context.0).filter(|c| !c.is_empty());
        let context = context.map(|c| {
            let mut sorted = c.clone();
            sorted.sort_keys();
            digest(serde_json::Value::from(sorted).to_string(), 8)
        });
        let trace = self.trace.as_ref().map(|path| path.display().to_string());
        let flags = [
            ("candidates", text(self.candidates.map(|n| n.to_string()))),
            ("target", text(self.goal.map(|goal| goal.to_string()))),
            ("profile-tool", if trace.is_some() { String::new() } else { self.tools.join(",") }),
            ("trace", text(trace)),
            ("allow-numerics", if self.allow_numerics { "yes".into() } else { String::new() }),
            ("min-effect", text(self.min_effect.map(|e| e.to_string()))),
            ("max-samples", self.max_samples.to_string()),
            ("additional-context", text(context)),
            ("ngpus", text(options.count().map(|n| n.to_string()))),
            ("engine", text(options.engine.map(|e| e.to_string()))),
            ("use-image", text(options.images.use_image.clone())),
            ("samples", text(options.samples.map(|n| n.to_string()))),
            ("warmup", text(options.warmup.map(|n| n.to_string()))),
            ("cpus-per-cell", text(options.cpus_per_cell.map(|n| n.to_string()))),
        ];
        let given = flags.into_iter().filter(|(_, value)| !value.is_empty());
        given.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Chooses what is tried of `job`, or `on_paper` what would be.
    ///
    /// # Errors
    /// As for [`propose`].
    pub(crate) fn propose(
        &self,
        catalog: &Catalog,
        job: &Job,
        diagnosis: Option<&Diagnosis>,
        on_paper: bool,
    ) -> Result<Vec<Candidate>> {
        let (stack, class) = (detect(catalog, &job.model).stack, job.machine_class());
        propose(&Choice {
            catalog,
            job,
            stack,
            diagnosis,
            learned: &|lever, value, bottleneck| {
                self.lessons.learned(lever, value, bottleneck, stack.word(), &class)
            },
            most: self.candidates.map_or(usize::MAX, usize::from),
            allow_numerics: self.numerics_allowed(&job.model),
            on_paper,
        })
    }

    /// Whether what may change the answer of `model` is tried.
    fn numerics_allowed(&self, model: &Model) -> bool {
        let accuracy = model.entry().tune.as_ref().and_then(|tune| tune.accuracy.as_ref());
        self.allow_numerics || accuracy.is_some()
    }
}

impl Tuning {
    /// The command that goes on with the search, with the flags that it began with; of the
    /// context, which may hold secrets, it has no more than that there was one.
    pub fn resume_command(&self) -> String {
        let model = self.model.as_str();
        let command: &[&str] = match self.strategy {
            Strategy::Search => &["tune-search", "--tag", model],
            Strategy::Greedy => &["tune", model],
            Strategy::Halving => &["tune", model, "--strategy", "halving"],
        };
        let all = [&["mad"], command, &["--resume", &self.run]].concat();
        let mut words: Vec<String> = all.into_iter().map(str::to_owned).collect();
        for (flag, value) in &self.flags {
            words.push(format!("--{flag}"));
            match flag.as_str() {
                "allow-numerics" => {}
                "additional-context" => words.push("<the same as then>".to_owned()),
                _ => words.push(value.clone()),
            }
        }
        shell_words::join(words)
    }
}
