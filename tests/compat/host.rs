//! What madengine's own tests try, as far as it needs no container.

use std::fs;

use clap::Parser;
use mad_harness::catalog::Catalog;
use mad_harness::credentials::Credentials;
use mad_harness::machine::Machine;
use mad_harness::options::{self, Context, RunOptions};
use mad_harness::plan::{self, Plan, Planner};
use serde_json::{Value, json};

use crate::catalog::{fixture, has_python};
use crate::common::{Fixture, Ran, json_file, read};
use crate::entries::outcomes;
use crate::outcome::{cells, check};

const MACHINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/machines");

/// `mad benchmark` on the host.
fn benchmark(fixture: &Fixture, args: &[&str]) -> Ran {
    fixture.mad(&[&["benchmark", "--engine", "host"], args].concat()).run()
}

/// The plan of one entry.
fn plan(fixture: &Fixture, args: &[&str]) -> Value {
    let args = [&["--json", "benchmark", "--engine", "host", "--plan"], args].concat();
    fixture.mad(&args).run().exits(0).json()["plans"][0].clone()
}

pub(crate) fn time_limits() {
    let fixture = fixture();
    let limit = |args: &[&str]| plan(&fixture, args)["timeout_s"].clone();
    assert_eq!(limit(&["plain"]), 7200.0);
    assert_eq!(limit(&["second"]), 360.0);
    assert_eq!(limit(&["second", "--timeout", "-1"]), 360.0);
    assert_eq!(limit(&["second", "--timeout", "60"]), 60.0);
    assert_eq!(limit(&["second", "--timeout", "0"]), Value::Null);
    assert_eq!(limit(&["second", "--timeout", "7200"]), 7200.0);
    benchmark(&fixture, &["second", "--timeout", "-5"]).exits(4);
    let text = benchmark(&fixture, &["second", "--plan"]).exits(0);
    text.says(&["timeout 360 s"]);
}

pub(crate) fn a_script_that_takes_too_long() {
    for (args, said) in [
        (&["--json"][..], "not finished after 4 s"),
        (&["--json", "--timeout", "0.5"], "not finished after 0.5 s"),
    ] {
        let fixture = fixture();
        let ran = benchmark(&fixture, &[args, &["time_is_up"]].concat()).exits(3);
        assert_eq!(cells(&fixture)[0]["status"], "FAILURE");
        // What it printed is there, which it would not be without --live-output.
        assert!(fixture.log("time_is_up").contains("performance: 1 never_counts"));
        ran.says(&[said]);
    }
}

pub(crate) fn contexts() {
    let fixture = fixture();
    let number = |args: &[&str]| {
        let _ = fs::remove_file(fixture.path("perf.csv"));
        benchmark(&fixture, &[&["context"], args].concat()).exits(0);
        let row = cells(&fixture).pop().expect("a row");
        format!("{} {}", row["performance"], row["metric"])
    };
    let file = fixture.path("context.json");
    let context = json!({ "docker_env_vars": { "COMPAT_NUMBER": 1, "COMPAT_WORD": "file" } });
    fs::write(&file, context.to_string()).expect("a file");
    let file = file.to_str().expect("text");
    let both = r#"{"docker_env_vars": {"COMPAT_NUMBER": "2", "COMPAT_WORD": "json"}}"#;
    let one = "{'docker_env_vars': {'COMPAT_NUMBER': 3,},}";
    assert_eq!(number(&[]), "0 nothing");
    assert_eq!(number(&["-f", file]), "1 file");
    assert_eq!(number(&["-c", both]), "2 json");
    assert_eq!(number(&["-c", one]), "3 nothing");
    // Key by key at the top, not below.
    assert_eq!(number(&["-f", file, "-c", one]), "3 nothing");
    assert_eq!(number(&["-f", file, "-c", "{'other': 1}"]), "1 file");
    for wrong in ["[]", "no", "{'docker_env_vars': 1}", "{'slurm': {}, 'k8s': {}}"] {
        benchmark(&fixture, &["context", "-c", wrong]).exits(4);
    }
}

pub(crate) fn live_output() {
    let fixture = fixture();
    let silent = benchmark(&fixture, &["plain"]).exits(0);
    assert!(!silent.said().contains("starting plain"), "{}", silent.said());
    assert!(fixture.log("plain").contains("starting plain"));
    benchmark(&fixture, &["plain", "--live-output"]).exits(0).says(&["starting plain"]);
}

pub(crate) fn output() {
    let fixture = fixture();
    benchmark(&fixture, &["plain", "--output", "results/own.csv"]).exits(0);
    let text = fixture.text("results/own.csv");
    assert!(text.starts_with("model,n_gpus,nnodes,gpus_per_node,"), "{text}");
    assert!(!fixture.path("perf.csv").exists());
}

pub(crate) fn python() {
    if !has_python() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let fixture = fixture();
    let names = ["python", "program/listed", "program/completed"];
    let ran = benchmark(&fixture, &["--json", "--tags", &names.join(",")]).exits(0);
    check(&fixture, &ran.json(), &outcomes(&names.map(str::to_owned)));
}

/// What a nested catalog raises is told, and ends nothing else.
pub(crate) fn a_program_that_raises() {
    if !has_python() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let fixture = fixture();
    fixture.write("scripts/broken/get_models_json.py", "raise ValueError('out of models')\n");
    let ran = fixture.mad(&["discover", "plain"]).run().exits(1);
    let ran = ran.says(&["scripts/broken/get_models_json.py", "out of models"]);
    assert!(ran.stdout.contains("plain"), "{}", ran.said());
    // Paths are resolved once, whoever selects the entry.
    let listed = fixture.mad(&["--json", "discover", "program", "program/completed"]).run().json();
    assert_eq!(listed[1]["scripts"], "scripts/compat/number.sh");
}

pub(crate) fn a_repository() {
    let fixture = fixture();
    let git = |args: &[&str]| {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=t", "-c", "user.email=t@example.org"]);
        let done = git.args(args).current_dir(fixture.path("")).output().expect("git");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "--quiet", "trainer"]);
    let report = "{'train_samples_per_second': 4.23}\n";
    fs::write(fixture.path("trainer/report"), report).expect("a file");
    git(&["-C", "trainer", "add", "report"]);
    git(&["-C", "trainer", "commit", "--quiet", "--message", "a report"]);
    git(&["clone", "--quiet", "--bare", "trainer", "remote/trainer"]);
    let entry = json!([{
        "name": "clone",
        "url": fixture.path("remote/trainer"),
        "scripts": "scripts/clone",
        "n_gpus": "0",
        "args": "",
        "tags": [],
    }]);
    fixture.write("models.json", entry.to_string());
    fixture.write("scripts/clone/run.sh", "basename \"$PWD\"\ncat report\n");
    benchmark(&fixture, &["clone"]).exits(0);
    let row = cells(&fixture).pop().expect("a row");
    assert_eq!((&*row["performance"], &*row["metric"]), ("4.23", "samples_per_second"));
    assert_eq!(row["git_commit"].len(), 40, "{row:?}");
}

/// Which entries are skipped on GPUs of these products.
pub(crate) fn architectures_to_skip() {
    let fixture = fixture();
    let mut h100 = json_file(&std::path::Path::new(MACHINES).join("1x-h200.json"));
    h100["gpus"][0]["product"] = "NVIDIA H100 80GB HBM3".into();
    fs::write(fixture.path("h100.json"), h100.to_string()).expect("a file");
    let (mi300x, h200) = (format!("{MACHINES}/8x-mi300x.json"), format!("{MACHINES}/1x-h200.json"));
    for (machine, arch) in [(&*mi300x, "gfx942"), ("h100.json", "H100")] {
        let skipped = plan(&fixture, &["not_there", "--machine", machine]);
        assert_eq!(skipped["plan"], "skip");
        let reason = skipped["reason"].as_str().expect("a reason");
        assert!(reason.contains(&format!("must not run on {arch} (skip_gpu_arch)")), "{reason}");
        let flag = "--disable-skip-gpu-arch";
        assert_eq!(plan(&fixture, &["not_there", "--machine", machine, flag])["plan"], "run");
    }
    assert_eq!(plan(&fixture, &["not_there", "--machine", &h200])["plan"], "run");
}

/// What is not run is told all the same.
pub(crate) fn skipped_entries() {
    let fixture = fixture();
    benchmark(&fixture, &["not_there", "--ngpus", "999"]).exits(1).says(&["needs 999 GPUs"]);
    assert_eq!(cells(&fixture)[0]["status"], "SKIPPED");
}

#[derive(Parser)]
struct Options {
    #[command(flatten)]
    run: RunOptions,
}

/// Of entries that need GPUs: what is planned for a host that has them.
pub(crate) fn launchers() {
    let fixture = fixture();
    let catalog = Catalog::load(&fixture.root());
    let machine = Machine::from_file(&std::path::Path::new(MACHINES).join("8x-mi300x.json"));
    let machine = machine.expect("a machine");
    let runner = |name: &str, context: &str| {
        let args = ["mad", "--engine", "host", "-c", context].map(Into::into);
        let options = options::parse::<Options>(args.into_iter()).expect("options").run;
        let context = Context::load(&options).expect("a context");
        let credentials = Credentials::default();
        let config = plan::data_config(&catalog.root, &options, &context);
        let data = plan::data_resolver(&config, &catalog.root, &options, &credentials);
        let planner = Planner {
            catalog: &catalog,
            machine: &machine,
            options: &options,
            context: &context,
            credentials: &credentials,
            data: &data,
            variation: "",
        };
        let model = catalog.select(&[name]).expect("an entry").remove(0);
        let Plan::Run(jobs) = planner.plan(&model) else { panic!("{name} is not run") };
        jobs[0].env.get("MAD_MULTI_NODE_RUNNER").cloned()
    };
    for (launcher, expected) in [
        ("none", "torchrun --standalone --nproc_per_node=2"),
        ("torchrun", "torchrun --standalone --nproc_per_node=1"),
        ("megatron_lm", "torchrun --standalone --nproc_per_node=2"),
        ("torchtitan", "torchrun --standalone --nproc_per_node=8"),
        ("deepspeed", "deepspeed --num_gpus=4"),
        ("vllm", ""),
        ("sglang", ""),
        ("sglang_disagg", ""),
        ("primus", ""),
    ] {
        let name = format!("launcher_{launcher}");
        assert_eq!(runner(&name, "{}").as_deref(), Some(expected), "{name}");
    }
    let eight = Some("deepspeed --num_gpus=8".to_owned());
    assert_eq!(runner("launcher_deepspeed", "{'n_gpus': -1}"), eight);
    let own = "{'docker_env_vars': {'MAD_MULTI_NODE_RUNNER': 'mpirun -n 4'}}";
    assert_eq!(runner("launcher_deepspeed", own).as_deref(), Some("mpirun -n 4"));
    // A CPU entry has none.
    assert_eq!(runner("plain", "{}"), None);
}

/// An entry's `--config` is attached to no row: madengine attaches the first of its rows to
/// each.
pub(crate) fn configurations() {
    let fixture = fixture();
    fixture.write("scripts/compat/configs/good.csv", "model,size\nsmall,1\nlarge,3\n");
    benchmark(&fixture, &["table:config=configs/good.csv"]).exits(0);
    let records = json_file(&fixture.path("perf_entry_super.json"));
    let records = records.as_array().expect("records").iter();
    let told: Vec<_> = records.map(|r| (&r["model"], &r["configs"], &r["multi_results"])).collect();
    let (none, temperature) = (Value::Null, |t: &str| json!({ "temperature": t }));
    let expected = [
        (&json!("table_small"), &none, &temperature("21")),
        (&json!("table_large"), &none, &temperature("22")),
    ];
    assert_eq!(told, expected);
}

pub(crate) fn rows_stay_as_they_are() {
    let fixture = fixture();
    benchmark(&fixture, &["plain"]).exits(0);
    // As madengine would have changed it: numbers, and a column of the script's own.
    let first = fixture.text("perf.csv").replace(",14164,", ",0014164.50,");
    fs::write(fixture.path("perf.csv"), &first).expect("a file");
    benchmark(&fixture, &["table"]).exits(0);
    let text = fixture.text("perf.csv");
    assert!(text.starts_with(&first), "{text}");
    assert_eq!(text.lines().count(), 4);
}

pub(crate) fn changes_and_regressions() {
    let fixture = fixture();
    fixture.write("scripts/compat/number.sh", "echo \"performance: ${1:-8} ${2:-tok/s}\"\n");
    benchmark(&fixture, &["plain"]).exits(0);
    fixture.mad(&["baseline", "accept", "plain", "--why", "first"]).run().exits(0);
    fixture.write("scripts/compat/number.sh", "echo \"performance: ${1:-4} ${2:-tok/s}\"\n");
    benchmark(&fixture, &["plain"]).exits(5);
    assert_eq!(cells(&fixture)[1]["relative_change"], "-0.5000");
}

pub(crate) fn secrets() {
    let fixture = Fixture::with("m", "echo \"$MAD_SECRETS_TOKEN\"; echo 'performance: 1 x/s'");
    let secret = "tell-nobody-7";
    fixture.mad(&["benchmark"]).env("MAD_SECRETS_TOKEN", secret).run().exits(0);
    assert!(fixture.log("m").contains("***"));
    assert!(fixture.files_with(secret).is_empty());
}

pub(crate) fn two_runs_at_once() {
    let fixture = fixture();
    let args = |tag| ["benchmark", "--engine", "host", "--tags", tag];
    let (one, other) = (fixture.mad(&args("front")).start(), fixture.mad(&args("nested")).start());
    one.wait().exits(0);
    other.wait().exits(0);
    let mut names: Vec<String> =
        cells(&fixture).into_iter().map(|mut c| c.remove("model").expect("a name")).collect();
    names.sort();
    assert_eq!(names, ["first", "nested/entry", "second"]);
}

/// A part of a number from many processes is no number of the whole.
pub(crate) fn workers() {
    let fixture = fixture();
    fixture.write("scripts/compat/huggingface.sh", "[ -z \"$X\" ] || echo 'performance: 1 x'\n");
    let args = ["benchmark", "--engine", "host", "huggingface"];
    fixture.mad(&args).env("MAD_COLLECT_METRICS", "false").run().exits(3);
    assert_eq!(cells(&fixture)[0]["status"], "FAILURE");
}

pub(crate) fn catalog_files() {
    // Neither file nor directory is needed where the other has an entry.
    let nested = fixture();
    fs::remove_file(nested.root().join("models.json")).expect("a file");
    nested.mad(&["benchmark", "--engine", "host", "nested/all"]).run().exits(0);
    let root = Fixture::empty();
    root.write("run.sh", "echo 'performance: 1 x/s'\n");
    root.write("models.json", r#"[{"name": "m", "scripts": "run.sh", "n_gpus": "0"}]"#);
    benchmark(&root, &[]).exits(0);
    // A name is one entry's.
    let models = read(&nested.root().join("scripts/nested/models.json"));
    nested.write("scripts/nested/models.json", models.replace("\"front\"", "\"entry\""));
    nested.mad(&["discover"]).run().exits(1).says(&["nested/entry"]);
}

pub(crate) fn exit_statuses() {
    let fixture = fixture();
    benchmark(&fixture, &["no-such-entry"]).exits(2);
    benchmark(&fixture, &["plain", "--no-such-flag"]).exits(4);
    benchmark(&fixture, &["plain,fails"]).exits(3);
    // Nothing was measured.
    benchmark(&fixture, &["not_there", "--ngpus", "999"]).exits(1);
}
