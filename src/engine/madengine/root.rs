//! The private catalog that madengine works in: the files of the real one, one entry.
//!
//! madengine writes into its catalog (results, logs, `scripts/common`, `run_directory`) and
//! picks up what earlier runs left there, so no two runs may share one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::super::container::labels;
use super::super::{Slot, work};
use super::manifest::MANIFEST;
use crate::catalog::split_commas;
use crate::plan::{ImageSource, Job, MadengineSpec};

/// The additional context.
pub(super) const CONTEXT: &str = "context.json";
/// Files that may hold secrets.
const SECRET: [&str; 3] = [CONTEXT, MANIFEST, "credential.json"];

/// Makes the private catalog of `slot`. Returns whether a results file of an earlier run
/// was among its files; it is not in the copy.
pub(super) fn make(job: &Job, spec: &MadengineSpec, slot: &Slot) -> Result<bool> {
    let root = slot.work();
    copy(job, spec, slot).with_context(|| format!("cannot copy {}", spec.root.display()))?;
    write_json(&root, "models.json", &json!([entry(job, spec, slot)]))?;
    write_json(&root, CONTEXT, &Value::Object(context(job, spec, slot)))?;
    let scripts = root.join(job.script_dir.strip_prefix(&spec.root).unwrap_or(&job.script_dir));
    work::edit(job, &scripts)?;
    let mut stale = false;
    if let Some(name) = &job.results_csv {
        for path in [root.join(name), scripts.join(name)] {
            if path.exists() {
                fs::remove_file(&path)
                    .with_context(|| format!("cannot remove the stale {}", path.display()))?;
                stale = true;
            }
        }
    }
    Ok(stale)
}

/// Removes the private catalog, or of one that is kept the files with secrets; trouble is
/// told.
pub(super) fn remove(slot: &Slot) -> Option<String> {
    if slot.keep_work {
        for name in SECRET {
            let _ = fs::remove_file(slot.work().join(name));
        }
    }
    work::remove(slot)
}

pub(super) fn write_json(root: &Path, name: &str, value: &Value) -> Result<()> {
    let path = root.join(name);
    fs::write(&path, format!("{value:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn copy(job: &Job, spec: &MadengineSpec, slot: &Slot) -> std::io::Result<()> {
    let root = slot.work();
    fs::create_dir_all(&root)?;
    let parts = parts(job, spec);
    if parts.contains(Path::new("")) {
        work::copy_as_is(&spec.root, &root, &slot.dir)?;
    } else {
        for part in &parts {
            let (from, to) = (spec.root.join(part), root.join(part));
            if from.is_dir() {
                work::copy_as_is(&from, &to, &slot.dir)?;
            } else if from.is_file() {
                fs::copy(from, to)?;
            }
        }
    }
    // madengine inspects every directory of scripts/, and wants there to be one.
    fs::create_dir_all(root.join("scripts"))?;
    for dir in fs::read_dir(root.join("scripts"))? {
        for catalog in ["models.json", "get_models_json.py"] {
            remove_file(&dir.as_ref().map(fs::DirEntry::path).unwrap_or_default().join(catalog))?;
        }
    }
    for (name, wanted) in [
        ("credential.json", has_text(&spec.entry, "cred") || job.runs_elsewhere()),
        ("data.json", has_text(&spec.entry, "data")),
        ("ctx_test", true),
    ] {
        remove_file(&root.join(name))?;
        if wanted && spec.root.join(name).is_file() {
            fs::copy(spec.root.join(name), root.join(name))?;
        }
    }
    only_dockerfile(spec, &root)
}

/// What is copied, as paths relative to the catalog's root: whole top-level directories.
fn parts(job: &Job, spec: &MadengineSpec) -> BTreeSet<PathBuf> {
    let mut paths =
        vec![spec.root.join("scripts"), spec.root.join("docker"), job.script_dir.clone()];
    if let ImageSource::Build(build) = &spec.image {
        paths.extend([build.context.clone(), spec.root.join(&build.dockerfile)]);
    }
    for key in ["pre_scripts", "post_scripts"] {
        let hooks = spec.context.get(key).and_then(Value::as_array).into_iter().flatten();
        paths.extend(hooks.filter_map(|hook| Some(spec.root.join(hook["path"].as_str()?.trim()))));
    }
    paths.extend(data_scripts(spec).into_iter().map(|path| spec.root.join(path)));
    let top = |path: &PathBuf| {
        let inside = path.strip_prefix(&spec.root).ok()?;
        Some(match inside.components().next() {
            Some(Component::Normal(name)) => PathBuf::from(name),
            _ => PathBuf::new(),
        })
    };
    paths.iter().filter_map(top).collect()
}

/// The scripts that get the entry's data (provider `custom`).
fn data_scripts(spec: &MadengineSpec) -> Vec<String> {
    let names = spec.entry.get("data").and_then(Value::as_str).unwrap_or_default();
    // What is wrong with the file madengine will say.
    let data = fs::read(spec.root.join("data.json")).unwrap_or_default();
    let data: Value = serde_json::from_slice(&data).unwrap_or_default();
    let path = |name: &str| data[name]["custom"]["path"].as_str().map(str::to_owned);
    split_commas(names).filter_map(path).collect()
}

/// Of the Dockerfiles that go by the entry's prefix, only the one of this Job stays:
/// madengine would build and run all that fit.
fn only_dockerfile(spec: &MadengineSpec, root: &Path) -> std::io::Result<()> {
    let (ImageSource::Build(build), Some(Value::String(prefix))) =
        (&spec.image, spec.entry.get("dockerfile"))
    else {
        return Ok(());
    };
    let prefix = Path::new(prefix);
    let stem = format!("{}.", prefix.file_name().unwrap_or_default().to_string_lossy());
    let dir = prefix.parent().unwrap_or(Path::new(""));
    for file in fs::read_dir(root.join(dir))? {
        let name = file?.file_name();
        let competes = name.to_string_lossy().starts_with(&stem);
        if competes && dir.join(&name) != build.dockerfile {
            remove_file(&root.join(dir).join(&name))?;
        }
    }
    Ok(())
}

/// The entry, with labels for its container, by which others find it.
fn entry(job: &Job, spec: &MadengineSpec, slot: &Slot) -> Map<String, Value> {
    let mut entry = spec.entry.clone();
    let key = "additional_docker_run_options";
    let mut options = entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    for label in labels::labels(&slot.run, &job.id) {
        options.push_str(&format!(" --label {}", shell_words::quote(&label)));
    }
    entry.insert(key.to_owned(), options.trim().into());
    entry
}

/// The context, with the GPUs that were leased.
fn context(job: &Job, spec: &MadengineSpec, slot: &Slot) -> Map<String, Value> {
    let mut context = spec.context.clone();
    if !slot.gpus.is_empty() {
        let gpus: Vec<String> =
            slot.gpus.iter().map(|&i| job.machine.gpus[i].index.to_string()).collect();
        context.insert("docker_gpus".to_owned(), gpus.join(",").into());
    }
    context
}

fn has_text(entry: &Map<String, Value>, key: &str) -> bool {
    entry.get(key).and_then(Value::as_str).is_some_and(|text| !text.trim().is_empty())
}

fn remove_file(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::LeverKind;
    use crate::options::EngineKind;
    use crate::tune::tests::{Fixture, change};
    use crate::tune::{Change, apply};

    #[test]
    fn changes_are_in_the_private_catalog_alone() {
        let fixture = Fixture::with("#!/bin/bash\n");
        fixture.write("docker/x.Dockerfile", "# CONTEXT {'gpu_vendor': 'AMD'}\nFROM scratch\n");
        fixture.write("scripts/x/c.yml", "depth: 2 # layers\n");
        fixture.entry(json!({ "dockerfile": "docker/x" }));
        let base = fixture.planned(EngineKind::Madengine, json!({}));
        let file = Some("c.yml".to_owned());
        let changes = [
            Change { file, ..change(LeverKind::Config, "depth", "4") },
            change(LeverKind::Arg, "--a", "2"),
            change(LeverKind::Env, "A", "b c"),
        ];
        let job = apply(&base, &changes, &fixture.root()).unwrap();
        let slot = fixture.slot("run/execution-1");
        make(&job, job.madengine.as_ref().unwrap(), &slot).unwrap();
        let text = |path: &str| fs::read_to_string(slot.work().join(path)).unwrap();
        let json = |path: &str| serde_json::from_str::<Value>(&text(path)).unwrap();
        assert_eq!(text("scripts/x/c.yml"), "depth: 4 # layers\n");
        assert_eq!(json("models.json")[0]["args"], "--a 2");
        assert_eq!(json(CONTEXT)["docker_env_vars"]["A"], "b c");
        let own = fs::read_to_string(fixture.root().join("scripts/x/c.yml")).unwrap();
        assert_eq!(own, "depth: 2 # layers\n");
    }
}
