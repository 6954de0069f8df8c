use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::catalog::{Catalog, LeverKind};
use crate::credentials::Credentials;
use crate::machine::Machine;
use crate::options::{Context, EngineKind, RunOptions};
use crate::plan::{Job, Planner};

/// A catalog with entries in a directory of its own.
pub(crate) struct Fixture(tempfile::TempDir);

impl Fixture {
    /// With the entry `x`, whose script is this one.
    pub(crate) fn with(script: &str) -> Fixture {
        let fixture = Fixture(tempfile::tempdir().unwrap());
        fixture.write("scripts/x/run.sh", script);
        fixture.entry(json!({}));
        fixture
    }

    /// The entry `x` with these keys on top.
    fn entry(&self, extra: Value) {
        let mut entry = json!({
            "name": "x", "scripts": "scripts/x", "n_gpus": "0", "tags": ["cpu"], "args": "--a 1",
        });
        entry.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.write("models.json", &format!("{:#}\n", json!([entry])));
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.path().join(path)).unwrap()
    }

    fn planner(&self, options: RunOptions, context: Value) -> Planner<'static> {
        let catalog: &'static Catalog = Box::leak(Box::new(Catalog::load(&self.root())));
        let machine =
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/machines/8x-mi300x.json");
        let machine = Machine::from_file(machine.as_ref()).unwrap();
        let Value::Object(context) = context else { panic!("no object") };
        Planner::for_process(catalog, machine, options, Context(context), Credentials::default())
    }

    fn planned(&self, engine: EngineKind, context: Value) -> Job {
        let options = RunOptions { engine: Some(engine), ..RunOptions::default() };
        let planner = self.planner(options, context);
        planner.variants(&planner.catalog.models[0]).unwrap().remove(0)
    }

    /// The Job of `x` on the host, with these changes.
    pub(crate) fn job(&self, changes: &[Change]) -> Job {
        apply(&self.planned(EngineKind::Host, json!({})), changes, &self.root()).unwrap()
    }

    fn refused(&self, job: &Job, change: Change) -> String {
        format!("{:#}", apply(job, &[change], &self.root()).unwrap_err())
    }
}

fn change(kind: LeverKind, lever: &str, value: &str) -> Change {
    Change {
        lever: lever.to_owned(),
        kind,
        file: None,
        value: value.to_owned(),
        was: None,
        keep: Vec::new(),
    }
}

#[test]
fn a_change_is_what_the_context_would_have_said() {
    let fixture = Fixture::with("#!/bin/bash\n");
    fixture.write("docker/x.Dockerfile", "# CONTEXT {'gpu_vendor': 'AMD'}\nFROM scratch\n");
    fixture.entry(json!({ "dockerfile": "docker/x", "env_vars": { "SPEED": "0" } }));
    let slurm = json!({ "MAD_CONTAINER_IMAGE": "a/b:1" });
    for (engine, context) in [
        (EngineKind::Host, json!({})),
        (EngineKind::Host, json!({ "env_vars": { "SPEED": "1" }, "model_args": "--b" })),
        (EngineKind::Container, json!({ "docker_env_vars": { "SPEED": "1" } })),
        (EngineKind::Slurm, slurm),
        (EngineKind::Madengine, json!({})),
        (EngineKind::Madengine, json!({ "docker_env_vars": { "SPEED": "1" } })),
    ] {
        let base = fixture.planned(engine, context.clone());
        let mut said = context.clone();
        said["docker_env_vars"]["SPEED"] = json!("2 '$x'");
        let overlaid =
            apply(&base, &[change(LeverKind::Env, "SPEED", "2 '$x'")], &fixture.root()).unwrap();
        let planned = fixture.planned(engine, said);
        // madengine drops the entry's variable, and says so, where the context has none.
        if engine == EngineKind::Madengine {
            assert_eq!(overlaid.env, planned.env, "{engine} {context}");
            let context = |job: &Job| job.madengine.clone().unwrap().context;
            assert_eq!(context(&overlaid), context(&planned));
        } else {
            assert_eq!(format!("{overlaid:?}"), format!("{planned:?}"), "{engine} {context}");
        }
        let mut said = context.clone();
        let args = context["model_args"].as_str().unwrap_or("--a 1");
        said["model_args"] = json!(format!("{args} --c 'x y'"));
        let overlaid =
            apply(&base, &[change(LeverKind::Arg, "--c", "x y")], &fixture.root()).unwrap();
        assert_eq!(overlaid.command, fixture.planned(engine, said).command);
        if let Some(spec) = &overlaid.madengine {
            assert_eq!(spec.entry["args"], json!("--a 1 --c 'x y'"));
        }
    }
}

#[test]
fn what_is_set_now_is_known() {
    let fixture = Fixture::with("");
    fixture.write("scripts/x/c.yml", "a:\n  b: 4 # c\n");
    let token = json!({ "env_vars": { "SPEED": "1", "HF_TOKEN": "abcdefgh" } });
    let job = fixture.planned(EngineKind::Host, token);
    let now = |kind, lever: &str| {
        let change = Change { file: Some("*.yml".into()), ..change(kind, lever, "9") };
        current(&job, &change, &fixture.root()).unwrap()
    };
    assert_eq!(now(LeverKind::Env, "SPEED").as_deref(), Some("1"));
    assert_eq!(now(LeverKind::Env, "NOBODY_SETS_IT"), None);
    assert_eq!(now(LeverKind::Env, "HF_TOKEN").as_deref(), Some("***"));
    assert_eq!(now(LeverKind::Arg, "--a").as_deref(), Some("1"));
    assert_eq!(now(LeverKind::Arg, "--b"), None);
    assert_eq!(now(LeverKind::Config, "a.b").as_deref(), Some("4"));
    let set =
        Change { file: Some("scripts/x/c.yml".into()), ..change(LeverKind::Config, "a.b", "8") };
    let job = apply(&job, std::slice::from_ref(&set), &fixture.root()).unwrap();
    assert_eq!(current(&job, &set, &fixture.root()).unwrap().as_deref(), Some("8"));
    assert_eq!(fixture.read("scripts/x/c.yml"), "a:\n  b: 4 # c\n", "the user's file stays");
}

#[test]
fn what_cannot_be_changed_says_why() {
    let fixture = Fixture::with("");
    fixture.write("scripts/x/a.yml", "batch: 4\nname: x\n");
    fixture.write("scripts/x/sub/b.yml", "batch: 8\n");
    fixture.write("scripts/x/bad.json", "{");
    fixture.write("scripts/x/c.txt", "batch: 8\n");
    let host = fixture.planned(EngineKind::Host, json!({}));
    let config = |file: &str, path: &str, value: &str| Change {
        file: Some(file.to_owned()),
        ..change(LeverKind::Config, path, value)
    };
    let mut all: Vec<String> = [
        change(LeverKind::Env, "A B", "1"),
        change(LeverKind::Env, "HIP_VISIBLE_DEVICES", "1"),
        change(LeverKind::Config, "batch", "1"),
        config("*.yml", "batch", "1"),
        config("*.yml", "batches", "1"),
        config("*.toml", "batch", "1"),
        config("a.yml", "batch", "many"),
        config("bad.json", "batch", "1"),
        config("c.txt", "batch", "1"),
    ]
    .into_iter()
    .map(|change| fixture.refused(&host, change))
    .collect();
    fixture.entry(json!({ "args": "--a 'x" }));
    let unclosed = Job { command: vec!["bash".into(), "run.sh".into()], ..host };
    let slurm = Job { engine: EngineKind::Slurm, ..unclosed };
    let keep = Change { keep: vec!["a*".into()], ..change(LeverKind::Env, "A", "1") };
    all.push(fixture.refused(&slurm, keep));
    insta::assert_snapshot!(all.join("\n"));
}
