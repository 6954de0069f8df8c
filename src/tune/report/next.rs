//! What to do after a search.

use serde_json::{Map, Value, json};

use super::{NextStep, TuningConclusion, words};
use crate::catalog::LeverKind;
use crate::tune::{Change, Phase, Tuning};

/// Where the patch of the recommendation is written in the commands that are proposed.
const PATCH: &str = "tuned.patch";

/// Additional context that sets the variables among `changes`; none if there are none.
pub fn context(changes: &[Change]) -> Option<Value> {
    let env = changes.iter().filter(|change| change.kind == LeverKind::Env);
    let variables: Map<String, Value> =
        env.map(|change| (change.lever.clone(), change.value.clone().into())).collect();
    (!variables.is_empty()).then(|| json!({ "docker_env_vars": variables }))
}

pub(super) fn steps(tuning: &Tuning, conclusion: TuningConclusion) -> Vec<NextStep> {
    let step = |what: &str, command: String| NextStep { what: what.to_owned(), command };
    let model = shell_words::quote(&tuning.model);
    let resume = tuning.resume_command();
    let mut steps = Vec::new();
    if tuning.phase != Phase::Done {
        steps.push(step("go on with the search", resume.clone()));
    }
    let recommended = tuning.recommendation.as_ref();
    let Some(changes) = recommended.filter(|_| conclusion == TuningConclusion::Better) else {
        if conclusion == TuningConclusion::NoBaseline {
            steps.push(step("see why it does not run", format!("mad benchmark {model}")));
        }
        return steps;
    };
    let changes = &changes.changes;
    if let Some(context) =
        context(changes).filter(|_| changes.iter().all(|c| c.kind == LeverKind::Env))
    {
        let context = context.to_string();
        let context = shell_words::quote(&context);
        steps.push(step("measure it by hand", format!("mad benchmark {model} -c {context}")));
    }
    steps.push(step("write it as a patch", format!("{resume} --write-patch {PATCH}")));
    steps.push(step("apply that", format!("git apply {PATCH}")));
    steps.push(step("measure the entry as it is then", format!("mad benchmark {model}")));
    let why = format!("tuned: {}", words(changes));
    let accept = format!("mad baseline accept {model} --new-level --why {}", quote(&why));
    steps.push(step("accept the new level", accept));
    steps
}

fn quote(text: &str) -> String {
    shell_words::quote(text).into_owned()
}
