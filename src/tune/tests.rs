use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::catalog::{Catalog, LeverKind};
use crate::credentials::Credentials;
use crate::engine::Slot;
use crate::machine::Machine;
use crate::options::{Context, EngineKind, RunOptions};
use crate::plan::{Job, Planner};
use crate::profile::levers::Stack;
use crate::profile::{Bottleneck, Diagnosis};

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
    pub(crate) fn entry(&self, extra: Value) {
        let mut entry = json!({
            "name": "x", "scripts": "scripts/x", "n_gpus": "0", "tags": ["cpu"], "args": "--a 1",
        });
        entry.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        self.write("models.json", &format!("{:#}\n", json!([entry])));
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().join("catalog")
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    fn planner(&self, options: RunOptions, context: Value) -> Planner<'static> {
        let catalog: &'static Catalog = Box::leak(Box::new(Catalog::load(&self.root())));
        let machine =
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/machines/8x-mi300x.json");
        let machine = Machine::from_file(machine.as_ref()).unwrap();
        let Value::Object(context) = context else { panic!("no object") };
        Planner::for_process(catalog, machine, options, Context(context), Credentials::default())
    }

    /// The Job of `x` as this engine runs it.
    pub(crate) fn planned(&self, engine: EngineKind, context: Value) -> Job {
        let options = RunOptions { engine: Some(engine), ..RunOptions::default() };
        let planner = self.planner(options, context);
        planner.variants(&planner.catalog.models[0]).unwrap().remove(0)
    }

    /// The Job of `x` on the host, with these changes.
    pub(crate) fn job(&self, changes: &[Change]) -> Job {
        apply(&self.planned(EngineKind::Host, json!({})), changes, &self.root()).unwrap()
    }

    /// Where an Execution of it may write.
    pub(crate) fn slot(&self, dir: &str) -> Slot {
        Slot {
            dir: self.root().join(dir),
            run: "r".to_owned(),
            cache: self.root().join("cache"),
            executions: (1, 1),
            running: self.root().join("running"),
            gpus: Vec::new(),
            cores: Vec::new(),
            live_output: false,
            keep_work: false,
            keep_container: false,
            activity: crate::progress::Activity::silent(),
        }
    }

    fn refused(&self, job: &Job, change: Change) -> String {
        format!("{:#}", apply(job, &[change], &self.root()).unwrap_err())
    }
}

pub(crate) fn change(kind: LeverKind, lever: &str, value: &str) -> Change {
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

/// What a profile of a workload that computes would say.
fn diagnosis(bottleneck: &str, gemm: f64) -> Diagnosis {
    let kernels = json!({
        "calls": 10, "total_s": 1.0, "mean_us": 100.0, "short_share": 0.0,
        "kinds": [{ "kind": "gemm", "share": gemm, "calls": 10 }],
    });
    let diagnosis = json!({
        "schema": "mad-diagnosis/1", "path": "t", "bottleneck": bottleneck,
        "because": "GEMM kernels take most of the time", "rules": [], "gpu": null,
        "kernels": kernels, "hotspots": [], "communication": null, "host": null, "stack": null,
        "levers": [], "sources": [], "left_out": [], "problems": [], "notes": [],
    });
    serde_json::from_value(diagnosis).unwrap()
}

/// The candidates as lines: what, from where, why.
fn lines(candidates: &[Candidate]) -> String {
    let line = |c: &Candidate| {
        let change = &c.changes[0];
        let was = change.was.as_ref().map(|was| format!(" (was {was})")).unwrap_or_default();
        let why =
            c.trust.as_ref().map(|t| format!(" [{}]", t.because.join("; "))).unwrap_or_default();
        let (lever, value) = (&change.lever, &change.value);
        format!("{:?} {}: {lever}={value}{was} < {}: {}{why}", c.status, c.id, c.from, c.evidence)
    };
    candidates.iter().map(line).collect::<Vec<_>>().join("\n")
}

const NOTHING: &Memory<'static> = &|_, _, _| None;

fn proposed<'a>(
    fixture: &Fixture,
    context: Value,
    stack: Stack,
    how: impl FnOnce(&mut Choice<'a>),
) -> String {
    let planner = fixture.planner(RunOptions::default(), context);
    let job = planner.variants(&planner.catalog.models[0]).unwrap().remove(0);
    let job: &'static Job = Box::leak(Box::new(job));
    let mut choice = Choice {
        catalog: planner.catalog,
        job,
        stack,
        diagnosis: None,
        learned: NOTHING,
        most: 4,
        allow_numerics: false,
        on_paper: false,
    };
    how(&mut choice);
    lines(&propose(&choice).unwrap())
}

fn levers(levers: Value) -> Value {
    json!({ "tune": { "levers": levers } })
}

#[test]
fn candidates_go_from_what_helped_to_what_did_not() {
    let script = "#!/bin/bash\n# UNREAD is only in a comment\nbatch=${BATCH:-8}\n\
                  export FIXED=3\npython3 x.py --tile \"$TILE\"\n";
    let fixture = Fixture::with(script);
    fixture.write("scripts/x/c.yml", "train:\n  workers: 2\n");
    fixture.entry(levers(json!([
        { "name": "MAD_UNREAD", "kind": "env", "values": ["1"] },
        { "name": "BATCH", "kind": "env", "values": ["8", "16", "32"], "targets": ["compute"] },
        { "name": "FIXED", "kind": "env", "values": ["4"] },
        { "name": "--a", "kind": "arg", "values": ["1", "2"], "targets": ["memory"] },
        { "name": "--other", "kind": "arg", "values": [""] },
        { "name": "train.workers", "kind": "config", "file": "*.yml", "values": ["2", "4", "x"] },
        { "name": "train.worker", "kind": "config", "file": "*.yml", "values": ["4"] },
        { "name": "PRECISION", "kind": "env", "values": ["fp8"], "numerics": true },
        { "name": "TWIN", "kind": "env", "values": ["1"], "conflicts": ["SET"] },
        { "name": "KNOWN", "kind": "env", "values": ["1", "2", "3"] },
    ])));
    fixture.write("mad.toml", "[[levers]]\nname = \"SET\"\nkind = \"env\"\nvalues = [\"2\"]\n");
    let learned = |lever: &str, value: &str, _: Option<Bottleneck>| {
        let (gain, interval) = match (lever, value) {
            ("KNOWN", "2") => (0.12, Some((0.08, 0.15))),
            ("KNOWN", "3") => (0.5, None),
            ("KNOWN", "1") => (0.01, Some((-0.01, 0.03))),
            _ => return None,
        };
        Some(Learned { tried: 3, gain, interval })
    };
    let context = json!({ "docker_env_vars": { "SET": "1" } });
    let found = diagnosis("compute", 0.8);
    insta::assert_snapshot!(proposed(&fixture, context.clone(), Stack::Generic, |choice| {
        (choice.most, choice.learned) = (20, &learned);
    }));
    // With a diagnosis, what acts on the bottleneck comes before what is only named.
    insta::assert_snapshot!(proposed(&fixture, context, Stack::Pytorch, |choice| {
        (choice.most, choice.allow_numerics, choice.diagnosis) = (12, true, Some(&found));
    }));
}

#[test]
fn shipped_levers_need_a_finding_or_on_paper_a_mention() {
    let fixture =
        Fixture::with("#!/bin/bash\nbatch=${MAD_MODEL_BATCH_SIZE:-16}\nvllm serve \"$@\"\n");
    fixture.entry(json!({ "args": "--max-num-seqs 256" }));
    let nothing = proposed(&fixture, json!({}), Stack::Vllm, |_| ());
    assert_eq!(nothing, "");
    insta::assert_snapshot!(proposed(&fixture, json!({}), Stack::Vllm, |choice| {
        (choice.most, choice.on_paper) = (8, true);
    }));
    let unknown = diagnosis("unknown", 0.0);
    let nothing = proposed(&fixture, json!({}), Stack::Vllm, |c| c.diagnosis = Some(&unknown));
    assert_eq!(nothing, "");
}

/// Applies a patch as a user would.
fn git_apply(fixture: &Fixture, patch: &Patch) {
    fixture.write("../tune.patch", &patch.diff);
    let git = |dir: PathBuf, args: &[&str]| {
        let mut git = std::process::Command::new("git");
        let done = git.args(args).current_dir(dir).env_remove("GIT_DIR").status().unwrap();
        assert!(done.success(), "git {args:?}\n{}", patch.diff);
    };
    // The catalog is a part of a repository, whose other parts must not be meant.
    git(fixture.root().join(".."), &["init", "--quiet"]);
    git(fixture.root(), &["apply", "--whitespace=nowarn", "../tune.patch"]);
}

#[test]
fn a_patch_makes_of_the_files_what_was_measured() {
    let fixture = Fixture::with("#!/bin/bash\n# Licence.\n\necho \"$BATCH $1\"\r\n");
    fixture.write("scripts/x/c.yml", "a: 1\nbatch: 'x'   # keep");
    fixture.write("models.json", "[ {\"name\" : \"w\", \"scripts\": \"scripts/w\"},\n  {\"name\": \"x\", \"args\": \"--a  'b c' $D\",\n   \"scripts\": \"scripts/x/run.sh\", \"n_gpus\": \"0\", \"env_vars\": {\"E\": 1}}]");
    let changes = [
        change(LeverKind::Env, "BATCH", "16 \"$\""),
        change(LeverKind::Arg, "--a", "8"),
        change(LeverKind::Arg, "--flag", ""),
        change(LeverKind::Env, "E", "2"),
        Change { file: Some("*.yml".into()), ..change(LeverKind::Config, "batch", "y z") },
    ];
    let host = |fixture: &Fixture| {
        let planner = fixture.planner(RunOptions::default(), json!({}));
        let model = planner.catalog.models.iter().find(|m| m.name == "x").unwrap().clone();
        (planner, planner.variants(&model).unwrap().remove(0))
    };
    let (planner, job) = host(&fixture);
    let measured = apply(&job, &changes, &fixture.root()).unwrap();
    let patch = patch(&planner, &job, &changes).unwrap();
    assert_eq!(patch.remarks, Vec::<String>::new());
    insta::assert_snapshot!(patch.diff.replace('\r', "<CR>"));
    git_apply(&fixture, &patch);
    let (_, patched) = host(&fixture);
    assert_eq!(patched.command, measured.command);
    assert_eq!(patched.env.get("E"), measured.env.get("E"));
    let text = fixture.read("scripts/x/c.yml");
    assert_eq!(text, "a: 1\nbatch: 'y z'   # keep");
    let script = fixture.read("scripts/x/run.sh");
    assert!(script.contains("export BATCH="), "{script}");
    let again = super::patch(&host(&fixture).0, &patched, &changes).unwrap();
    assert_eq!(again.diff, "", "there is nothing left to do");
}

#[test]
fn what_no_patch_can_do_is_said() {
    let fixture = Fixture::with("#!/bin/bash\n");
    let entry =
        |name: &str, script: &str| json!({ "name": name, "scripts": script, "n_gpus": "0" });
    fixture.write("scripts/x/only.py", "print()\n");
    let all = json!([
        entry("x", "scripts/x"),
        entry("y", "scripts/x/run.sh"),
        entry("z", "scripts/x/only.py")
    ]);
    fixture.write("models.json", &format!("{all:#}\n"));
    fixture.write("scripts/x/c.json", "{\"b\": 1}");
    let config = Change { file: Some("*.json".into()), ..change(LeverKind::Config, "b", "2") };
    let changes = [change(LeverKind::Env, "A", "it's"), change(LeverKind::Arg, "--b", "2"), config];
    let mut said = Vec::new();
    for (index, context) in [(0, json!({})), (2, json!({ "model_args": "--c" }))] {
        let planner = fixture.planner(RunOptions::default(), context);
        let job = planner.variants(&planner.catalog.models[index]).unwrap().remove(0);
        let patch = patch(&planner, &job, &changes).unwrap();
        said.push(format!("{}:\n{}\n{}", job.id, patch.remarks.join("\n"), patch.diff));
        said.push(by_hand(&planner, &job.model, &changes, 0).unwrap().join("\n"));
    }
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn the_command_is_safe_and_says_what_it_takes() {
    let fixture = Fixture::with("#!/bin/bash\n");
    let context = json!({ "docker_env_vars": { "MINE": "1", "HF_TOKEN": "hf_secret" } });
    let planner =
        fixture.planner(RunOptions { samples: Some(5), ..RunOptions::default() }, context);
    let keep = vec!["tunableop_results*.csv".to_owned()];
    let changes = [
        Change { keep, ..change(LeverKind::Env, "A", "it's \"$x\"; rm -rf /") },
        change(LeverKind::Arg, "--b", "x y"),
    ];
    let lines = by_hand(&planner, &planner.catalog.models[0], &changes, 1).unwrap();
    insta::assert_snapshot!(lines.join("\n"));
    let words = shell_words::split(lines.last().unwrap()).unwrap();
    let at = words.iter().position(|w| w == "--additional-context").unwrap();
    let context: Value = serde_json::from_str(&words[at + 1]).unwrap();
    assert_eq!(context["docker_env_vars"]["A"], "it's \"$x\"; rm -rf /");
    assert_eq!(context["docker_env_vars"]["MINE"], "1");
    assert_eq!(context["model_args"], "--a 1 --b 'x y'");
}
