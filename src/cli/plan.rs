//! `--plan`: what would run, what would not, and the command for where it could.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Exit, Global, print, print_json};
use crate::catalog::Model;
use crate::diagnostic::{Diagnostic, relative};
use crate::engine::{absolute, container, madengine, slurm};
use crate::plan::{Job, Plan, Planner};
use crate::validate::Validator;

/// Prints the Plan of each entry; runs nothing.
pub(super) fn print_plan(global: &Global, planner: &Planner<'_>, models: &[Model]) -> Result<Exit> {
    let (exit, text, plans) = plans(planner, models);
    if global.json {
        print_json(&json!({ "schema": "mad-plan/1", "plans": plans }))?;
    } else {
        print(&text)?;
    }
    Ok(exit)
}

/// The Plan of each entry, as text and as JSON; what it would end with by itself.
pub(super) fn plans(planner: &Planner<'_>, models: &[Model]) -> (Exit, String, Vec<Value>) {
    let validator = Validator::new(planner.catalog);
    let described = planner.options.machine.is_some();
    let mut exit = Exit::Ok;
    let mut json_plans = Vec::new();
    let mut text = String::new();
    for model in models {
        let errors: Vec<String> = validator
            .model(model)
            .iter()
            .filter(|d| Diagnostic::is_error(d))
            .map(ToString::to_string)
            .collect();
        let id = model.id();
        let command = planner.command_for(model);
        let (state, detail): (&str, Value) = if !errors.is_empty() {
            exit = exit.max(Exit::Findings);
            text.push_str(&format!("invalid  {id}\n"));
            for error in &errors {
                text.push_str(&format!("           {error}\n"));
            }
            ("invalid", json!({ "errors": errors }))
        } else {
            match planner.plan(model) {
                Plan::Run(jobs) => {
                    let limit = |job: &Job| match job.timeout_s {
                        Some(s) => format!("{s} s"),
                        None => "none".to_owned(),
                    };
                    text.push_str(&format!("run      {id}\n           {command}\n"));
                    for job in &jobs {
                        text.push_str(&format!(
                            "           {} engine, {}, {} warm-up + {} executions, timeout {}\n",
                            job.engine,
                            match job.n_gpus {
                                1 => "1 GPU".to_owned(),
                                n => format!("{n} GPUs"),
                            },
                            job.warmup,
                            job.samples,
                            limit(job),
                        ));
                        let root = absolute(&planner.catalog.root);
                        let directory = match relative(&root, &job.script_dir) {
                            root if root.as_os_str().is_empty() => ".".into(),
                            below => below.display().to_string(),
                        };
                        text.push_str(&format!(
                            "           in {directory}: {}\n",
                            job.command_line(),
                        ));
                        for line in container::commands(job, described)
                            .into_iter()
                            .chain(madengine::commands(job))
                            .chain(slurm::commands(job))
                        {
                            text.push_str(&format!("           {line}\n"));
                        }
                    }
                    let detail = |job: &Job| {
                        let mut detail = json!({
                            "id": job.id,
                            "engine": job.engine.to_string(),
                            "n_gpus": job.n_gpus,
                            "warmup": job.warmup,
                            "samples": job.samples,
                            "timeout_s": job.timeout_s,
                            "argv": job.command,
                            "container": container::commands(job, described),
                            "warnings": job.warnings,
                        });
                        if job.slurm.is_some() {
                            detail["slurm"] = json!(slurm::commands(job));
                        }
                        if job.madengine.is_some() {
                            detail["madengine"] = json!(madengine::commands(job));
                        }
                        detail
                    };
                    // One Measurement is the rule; its details stand beside the plan.
                    let mut all: Vec<Value> = jobs.iter().map(detail).collect();
                    match all.len() {
                        1 => ("run", all.remove(0)),
                        _ => ("run", json!({ "measurements": all })),
                    }
                }
                Plan::Impossible(why) => {
                    exit = exit.max(Exit::NoMatch);
                    text.push_str(&format!("cannot  {id}\n           {why}\n"));
                    ("impossible", json!({ "reason": why }))
                }
                Plan::Skip(skip) => {
                    if planner.demanded(&skip).is_some() {
                        exit = exit.max(Exit::RunFailed);
                    }
                    text.push_str(&format!("skip     {id}\n           {command}\n"));
                    text.push_str(&format!("           {}\n", skip.reason));
                    ("skip", json!({ "reason": skip.reason, "lacks": skip.lacks }))
                }
            }
        };
        let mut plan = json!({ "id": id, "plan": state, "command": command });
        if let (Some(plan), Value::Object(detail)) = (plan.as_object_mut(), detail) {
            plan.extend(detail);
        }
        json_plans.push(plan);
    }
    (exit, text, json_plans)
}
