//! A [`Change`] laid over a planned [`Job`]. Nothing of the user's is touched.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use super::{Change, args, config};
use crate::catalog::LeverKind;
use crate::contract::is_secret;
use crate::options::{EngineKind, is_variable_name};
use crate::plan::{Job, Target};

/// Variables that say which GPUs an Execution was leased.
const DEVICES: [&str; 3] = ["CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"];

/// `job` with `changes`, in their order. `root` is the catalog's.
///
/// * `env`: as if `docker_env_vars` of the context said so, whichever engine runs it.
/// * `arg`: in the words of the command line, replaced or appended.
/// * `config`: in the private copy of the script's directory that each Execution gets
///   ([`Job::edits`]).
///
/// Files that a lever wants kept ([`Change::keep`]) go from one Execution of the Job to the next
/// ([`Job::keep`]). The warm-up is the caller's: [`Job::warmup`].
///
/// The Job keeps its id, so both sides of a comparison have the same.
///
/// # Errors
/// When a change cannot be made; the message names the lever.
pub fn apply(job: &Job, changes: &[Change], root: &Path) -> Result<Job> {
    let mut job = job.clone();
    for change in changes {
        apply_one(&mut job, change, root)
            .with_context(|| format!("the lever `{}`", change.lever))?;
    }
    Ok(job)
}

fn apply_one(job: &mut Job, change: &Change, root: &Path) -> Result<()> {
    match change.kind {
        LeverKind::Env => set_variable(job, &change.lever, &change.value)?,
        LeverKind::Arg => set_argument(job, &change.lever, &change.value)?,
        LeverKind::Config => {
            let edit = config::edit(job, change, root)?;
            job.edits.push(edit);
        }
    }
    if !change.keep.is_empty() {
        let carries = matches!(job.engine, EngineKind::Host | EngineKind::Container);
        ensure!(
            carries,
            "the {} engine does not carry `{}` from one execution to the next, without which \
             every one of them is cold",
            job.engine,
            change.keep.join("`, `")
        );
        job.keep.extend(change.keep.iter().cloned());
    }
    Ok(())
}

/// What the lever of `change` is set to in `job`, secrets masked; `None` if nobody says.
///
/// # Errors
/// When that cannot be found out: a configuration file without the value, arguments that cannot
/// be split.
pub fn current(job: &Job, change: &Change, root: &Path) -> Result<Option<String>> {
    let value = match change.kind {
        LeverKind::Env => variable(job, &change.lever),
        LeverKind::Arg => args::current(&arguments(job), &change.lever)?,
        LeverKind::Config => Some(config::current(job, change, root)?),
    };
    Ok(value.map(|value| job.masker().mask_str(&value).into_owned()))
}

fn variable(job: &Job, name: &str) -> Option<String> {
    let set = job.env.get(name).cloned();
    // A script on the host sees what the harness sees, but for what steers it.
    let inherits = job.engine == EngineKind::Host
        && !crate::options::variables().iter().any(|variable| variable == name);
    set.or_else(|| std::env::var(name).ok().filter(|_| inherits))
}

fn set_variable(job: &mut Job, name: &str, value: &str) -> Result<()> {
    ensure!(is_variable_name(name), "no name of a variable");
    ensure!(!value.contains('\0'), "the value holds a zero byte");
    if DEVICES.contains(&name) {
        bail!("which GPUs an execution sees is decided by the lease");
    }
    if is_secret(name) && !value.is_empty() {
        job.secrets.push(value.to_owned());
    }
    job.env.insert(name.to_owned(), value.to_owned());
    if let Some(spec) = &mut job.madengine {
        let mut set = |key: &str| {
            let object = spec.context.entry(key).or_insert_with(|| Map::new().into());
            if let Some(object) = object.as_object_mut() {
                object.insert(name.to_owned(), value.into());
            }
        };
        set("docker_env_vars");
        if spec.target != Target::Local {
            set("env_vars");
        }
    }
    Ok(())
}

/// The arguments as text.
fn arguments(job: &Job) -> String {
    let of_madengine = job.madengine.as_ref().and_then(|spec| {
        let args = spec.context.get("model_args").or(spec.entry.get("args"));
        args.and_then(Value::as_str)
    });
    // Behind the interpreter and the script.
    of_madengine.map_or_else(|| shell_words::join(&job.command[2..]), str::to_owned)
}

fn set_argument(job: &mut Job, name: &str, value: &str) -> Result<()> {
    ensure!(!name.trim().is_empty(), "an argument has a name");
    let args = args::set(&arguments(job), name, value)?.args;
    job.command.truncate(2);
    job.command.extend(shell_words::split(&args)?);
    if let Some(spec) = &mut job.madengine {
        if let Some(of_context) = spec.context.get_mut("model_args") {
            *of_context = args.as_str().into();
        }
        spec.entry.insert("args".to_owned(), args.into());
    }
    Ok(())
}
