//! What a run leaves behind: perf.csv, JUnit, records, tables; gates, plans and secrets.

mod common;

use std::process::Command;

use common::{Fixture, check, json_file, redact};
use serde_json::{Value, json};

/// What differs from host to host in records.
const HOST: [&str; 14] = [
    "machine",
    "machine_class",
    "run",
    "started",
    "held",
    "id",
    "version",
    "duration_s",
    "build_duration_s",
    "entry",
    "load",
    "command",
    "root",
    "environment",
];

/// A CSV entry whose script does `body`.
fn csv(body: &str) -> Fixture {
    let extra = json!({ "multiple_results": "results.csv" });
    // Validation shall see that the file can be written.
    let body = format!("if [ -n \"${{NEVER_SET:-}}\" ]; then echo > results.csv; fi\n{body}");
    Fixture::empty().entry("m", &body, extra)
}

/// Prints a file with these rows to results.csv.
fn writes(rows: &str) -> String {
    format!("printf '{rows}' > results.csv")
}

#[track_caller]
fn csv_fails(fixture: &Fixture, words: &[&str]) {
    fixture.mad(&["benchmark"]).run().exits(3).says(words);
    assert_eq!(fixture.rows().len(), 1);
    assert_eq!(fixture.rows()[0].get("status"), "FAILURE");
}

#[test]
fn a_csv_of_results_makes_a_row_each() {
    let rows = "temperature,model, performance,metric\\n40,small,010,tok/s\\n41,big,2.5e1,tok/s\\n";
    let fixture = csv(&format!("{}; echo 'performance: 1 x/s'", writes(rows)));
    fixture.mad(&["benchmark"]).run().exits(0);
    let rows: Vec<[String; 4]> = fixture
        .rows()
        .iter()
        .map(|r| ["model", "performance", "metric", "status"].map(|c| r.get(c).to_owned()))
        .collect();
    assert_eq!(
        rows,
        [["m_small", "010", "tok/s", "SUCCESS"], ["m_big", "2.5e1", "tok/s", "SUCCESS"]]
    );
    let extended = json_file(&fixture.path("perf_entry_super.json"));
    assert_eq!(extended[0]["performance"], 10.0);
    assert_eq!(extended[0]["multi_results"]["temperature"], "40");
}

#[test]
fn a_csv_that_the_script_did_not_write_is_stale() {
    let fixture = csv("echo done");
    fixture.write("scripts/m/results.csv", "model,performance,metric\na,1,x/s\n");
    csv_fails(&fixture, &["results.csv is left over from an earlier run"]);
    // Rows that are appended come alone.
    fixture.write(
        "scripts/m/run.sh",
        "printf 'model,performance,metric\\nb,2,x/s\\n' >> results.csv\n",
    );
    fixture.mad(&["benchmark"]).run().exits(0);
    assert_eq!(fixture.rows()[1].get("model"), "m_b");
    assert_eq!(fixture.rows().len(), 2);
}

#[test]
fn a_csv_without_usable_numbers_fails() {
    csv_fails(&csv("echo 'performance: 1 x/s'"), &["wrote no", "counts only without"]);
    csv_fails(&csv("touch results.csv"), &["results.csv"]);
    csv_fails(&csv(&writes("model,performance,metric\\n")), &["has no rows"]);
    csv_fails(&csv(&writes("model,performance\\na,1\\n")), &["metric"]);
    let mixed = "model,performance,metric\\ngood,1,x/s\\nbad,fast,x/s\\nworse,nan,x/s\\n";
    csv_fails(&csv(&writes(mixed)), &["line 3", "bad", "fast", "line 4", "worse"]);
    csv_fails(&csv("mkdir results.csv"), &["results.csv"]);
}

#[test]
fn rows_say_what_ran_and_what_did_not() {
    let fixture = Fixture::empty()
        .entry(
            "good",
            "echo 'performance: 007 tok/s'",
            json!({ "tags": "a,b", "training_precision": "fp16", "args": "--x 'a,b'",
                    "additional_docker_run_options": "--shm-size 1g" }),
        )
        .entry("bad", "exit 1", json!({}))
        .entry("huge", "echo 'performance: 1 x/s'", json!({ "n_gpus": 4000 }));
    fixture.mad(&["benchmark"]).env("BUILD_NUMBER", "12").env("pipeline", "nightly").run().exits(3);
    let rows = fixture.rows();
    let hosts = ["machine_name", "build_duration", "test_duration", "gpu_architecture"];
    let header = fixture.text("perf.csv").lines().next().expect("a header").to_owned();
    let shown: Vec<String> = rows
        .iter()
        .map(|row| {
            let columns =
                header.split(',').filter(|c| !hosts.contains(c) && !row.get(c).is_empty());
            columns.map(|c| format!("{c}: {}\n", row.get(c))).collect()
        })
        .collect();
    check(|| insta::assert_snapshot!("rows", format!("{header}\n\n{}", shown.join("\n"))));
    // A second run appends and changes nothing.
    let before = fixture.text("perf.csv");
    fixture.mad(&["benchmark", "good"]).run().exits(0);
    assert!(fixture.text("perf.csv").starts_with(&before));
    assert_eq!(fixture.rows().len(), 4);
}

#[test]
fn the_table_of_a_run() {
    let fixture = several();
    let ran = fixture.mad(&["benchmark"]).env("VALUE", "50").run().exits(3);
    check(|| insta::assert_snapshot!("benchmark_table", ran.stdout));
    let report = fixture.mad(&["report"]).run().exits(1).stdout;
    check(|| insta::assert_snapshot!("report", report));
}

/// A good entry with a baseline of 100, a failing one, one that needs other hardware.
fn several() -> Fixture {
    let fixture =
        Fixture::empty().entry("good", "echo \"performance: ${VALUE:-100} tok/s\"", json!({}));
    fixture.mad(&["benchmark"]).run().exits(0);
    fixture.mad(&["baseline", "accept"]).run().exits(0);
    std::fs::remove_dir_all(fixture.path("mad")).expect("the run");
    fixture.entry("bad", "echo 'odd ]]> & <characters> \\x01'; exit 1", json!({})).entry(
        "huge",
        "echo 'performance: 1 x/s'",
        json!({ "n_gpus": 4000 }),
    )
}

#[test]
fn junit_is_valid_and_complete() {
    let fixture = several();
    fixture.target(&["bench", "regress", "--test-threads=1"]).env("VALUE", "50").run().exits(101);
    let xml = fixture.text("mad/junit.xml");
    // One element per line reads better.
    let shown = xml.replace("><", ">\n<");
    check(|| insta::assert_snapshot!("junit", shown));
    validates(&fixture.path("mad/junit.xml"));

    fixture.target(&[]).run().exits(101);
    validates(&fixture.path("mad/junit.xml"));
    let again = fixture.mad(&["report", "--format", "junit"]).run().exits(1).stdout;
    assert_eq!(again.matches("<testcase").count(), 10);
}

/// Checks a report against the common format of JUnit reports.
#[track_caller]
fn validates(xml: &std::path::Path) {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/junit.xsd");
    let lint = Command::new("xmllint").args(["--noout", "--schema", schema]).arg(xml).output();
    match lint {
        Ok(lint) => assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stderr)),
        Err(e) if std::env::var_os("MAD_TESTS_REQUIRE_XMLLINT").is_some() => panic!("xmllint: {e}"),
        Err(e) => eprintln!("skipped: xmllint: {e}"),
    }
}

#[test]
fn records_have_this_shape() {
    let fixture = several();
    fixture.mad(&["benchmark", "good"]).env("VALUE", "50").run().exits(5);
    for (name, path) in [
        ("record_measurement", "good/attempt-1/measurement.json"),
        ("record_verdict", "good/verdict.json"),
        ("record_run", "run.json"),
        ("record_case", "cases/bench%3A%3Agood.json"),
    ] {
        let record = redact(fixture.record(path), &HOST);
        check(|| insta::assert_snapshot!(name, format!("{record:#}")));
    }
}

#[test]
fn json_output_is_one_document() {
    let fixture = several();
    let ran = fixture.mad(&["--json", "benchmark"]).run().exits(3).json();
    assert_eq!(ran["schema"], "mad-benchmark/1");
    assert_eq!(ran["exit"], 3);
    assert_eq!(ran["cases"].as_array().map(Vec::len), Some(6));
    let report = fixture.mad(&["--json", "report"]).run().exits(1).json();
    assert_eq!(report["cases"].as_array().map(Vec::len), Some(6));
    for args in [&["baseline", "list"][..], &["baseline", "diff"], &["discover"], &["machine"]] {
        let args: Vec<&str> = args.iter().chain(&["--json"]).copied().collect();
        fixture.mad(&args).run().exits(0).json();
    }
}

#[test]
fn nothing_measured_is_no_success() {
    let fixture =
        Fixture::empty().entry("huge", "echo 'performance: 1 x/s'", json!({ "n_gpus": 4000 }));
    fixture.mad(&["benchmark"]).run().exits(1).says(&["nothing was measured"]);
    let strict = fixture.mad(&["benchmark"]).env("MAD_REQUIRE_GPU", "yes").run().exits(3);
    strict.says(&["needs 4000 GPUs", "(--require-gpu)"]);
    fixture.mad(&["benchmark"]).env("MAD_REQUIRE_GPU", "0").run().exits(1);
    let fixture = Fixture::with("m", "echo 'performance: 1 x/s'");
    fixture.mad(&["benchmark", "--require-baseline"]).run().exits(1).says(&["no baseline for"]);
}

/// Entries that a host with eight MI300X treats differently.
fn planned() -> Fixture {
    Fixture::empty()
        .entry("cpu", "echo 'performance: 1 x/s'", json!({ "args": "--size 'a b'", "timeout": 60 }))
        .entry("eight", "echo 'performance: 1 x/s'", json!({ "n_gpus": "8" }))
        .entry("nine", "echo 'performance: 1 x/s'", json!({ "n_gpus": "9" }))
        .entry(
            "shy",
            "echo 'performance: 1 x/s'",
            json!({ "n_gpus": "1", "skip_gpu_arch": "gfx90a,gfx942" }),
        )
        .entry(
            "clone",
            "echo 'performance: 1 x/s'",
            json!({ "n_gpus": "-1", "url": "https://example.com/x.git" }),
        )
}

const MI300X: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/machines/8x-mi300x.json");

#[test]
fn a_plan_runs_nothing_and_says_all() {
    let fixture = planned();
    let plan = |args: &[&str]| {
        let args: Vec<&str> =
            ["benchmark", "--plan", "--machine", MI300X].iter().chain(args).copied().collect();
        fixture.mad(&args).run().exits(0).stdout.replace(MI300X, "8x-mi300x.json")
    };
    let text = plan(&[]);
    check(|| insta::assert_snapshot!("plan", text));
    let json = plan(&["--json"]);
    check(|| insta::assert_snapshot!("plan_json", json));
    let own = fixture.mad(&["benchmark", "cpu", "--dry-run", "--samples", "4"]).run().exits(0);
    check(|| insta::assert_snapshot!("plan_own", own.stdout));
    assert!(fixture.runs().is_empty());
    assert!(!fixture.path("perf.csv").exists());
}

/// Those that cannot be had for tests, too.
#[test]
fn a_plan_of_containers_on_the_nodes_of_a_cluster() {
    let fixture = Fixture::empty().entry(
        "m",
        "echo 'performance: 1 x/s'",
        json!({ "n_gpus": "8", "dockerfile": "docker/m", "args": "--size 'a b'",
                "additional_docker_run_options": "--shm-size 64g --name x" }),
    );
    fixture.write("docker/m.ubuntu.amd.Dockerfile", "# CONTEXT {'guest_os': 'UBUNTU'}\nFROM x\n");
    let plan = |container: &str, vendor: &str| {
        let context = json!({
            "slurm": { "container": container, "partition": "main" },
            "MAD_CONTAINER_IMAGE": "registry.example.com:5000/team/image:1",
            "docker_mounts": { "/in": "/data/$(id)" },
            "gpu_vendor": vendor,
        });
        let context = context.to_string();
        let args = ["benchmark", "--plan", "--machine", MI300X, "-c", &context];
        let text = fixture.mad(&args).run().exits(0).stdout;
        let line = text.lines().find(|line| line.contains("on each node")).expect("a command");
        format!("{container}: {}", line.trim())
    };
    let programs = ["docker", "podman", "apptainer", "singularity", "enroot", "pyxis"];
    let lines: Vec<String> = programs.iter().map(|program| plan(program, "AMD")).collect();
    check(|| insta::assert_snapshot!("plan_of_nodes_amd", lines.join("\n")));
    let lines: Vec<String> = ["docker", "apptainer"].iter().map(|p| plan(p, "NVIDIA")).collect();
    check(|| insta::assert_snapshot!("plan_of_nodes_nvidia", lines.join("\n")));
    // Built here, the image would be nowhere else.
    let args = ["benchmark", "--plan", "--machine", MI300X, "-c", "{'slurm': {}}"];
    fixture.mad(&args).run().exits(2).says(&["the nodes of a cluster need an image"]);
}

/// Whatever engine this host has, or has not.
#[test]
fn a_plan_of_containers_depends_on_the_described_host_alone() {
    let fixture = Fixture::empty().entry(
        "m",
        "echo 'performance: 1 x/s'",
        json!({ "n_gpus": "1", "dockerfile": "docker/m", "args": "--size 'a b'",
                "additional_docker_run_options": "--shm-size 64g --name x" }),
    );
    for (suffix, vendor) in [("amd", "AMD"), ("nvidia", "NVIDIA")] {
        let text = format!("# CONTEXT {{'gpu_vendor': '{vendor}'}}\nFROM x\n");
        fixture.write(&format!("docker/m.{suffix}.Dockerfile"), text);
    }
    fixture.write("hook.sh", "true\n");
    let context = json!({
        "docker_mounts": { "/in": "/data" },
        "docker_build_arg": { "A": "b c" },
        "pre_scripts": [{ "path": "hook.sh", "args": "1 '2 3'" }],
        "encapsulate_script": "time",
    });
    let context = context.to_string();
    let plan = |machine: &str, args: &[&str]| {
        let args = [&["benchmark", "--plan", "--machine", machine, "-c", &context], args].concat();
        let mad = fixture.mad(&args).env("MAD_SECRETS_TOKEN", "abcdefgh");
        let text = mad.run().exits(0).stdout;
        assert!(!text.contains("abcdefgh"), "{text}");
        text.lines().skip(2).map(|l| format!("{}\n", l.trim())).collect::<String>()
    };
    let h200 = MI300X.replace("8x-mi300x", "1x-h200");
    let plans = [
        plan(MI300X, &[]),
        plan(&h200, &["--clean", "--target-arch", "sm_90"]),
        plan(&h200, &["--container-engine", "podman", "--secrets-as-build-args"]),
        plan(MI300X, &["--use-image", "example.com/x:1", "--skip-model-run"]),
    ];
    check(|| insta::assert_snapshot!("plan_containers", plans.join("\n")));
    let here = ["benchmark", "--plan", "--require-containers", "-c", "{'n_gpus': 0}"];
    let cpu =
        fixture.entry("cpu", "echo 'performance: 1 x/s'", json!({ "dockerfile": "docker/m" }));
    let skipped = cpu.mad(&[&here[..], &["cpu"]].concat()).run().exits(3);
    skipped.says(&["skip     cpu", "none answers: docker version", "/nonexistent/docker.sock"]);
}

#[test]
fn a_described_host_is_never_measured() {
    let fixture = planned();
    let ran = fixture.mad(&["benchmark", "cpu", "--machine", MI300X]).run().exits(1);
    ran.says(&["which is not this one", "nothing was measured"]);
    let listed = fixture.target(&["--list", "--ignored", "bench::cpu"]).env("MAD_MACHINE", MI300X);
    assert_eq!(listed.run().exits(0).stdout, "bench::cpu: test\n");
    fixture.mad(&["benchmark", "--machine", "no/such.json"]).run().exits(4).says(&["no/such.json"]);
}

#[test]
fn an_architecture_can_be_ruled_out() {
    let fixture = planned();
    let plan = ["benchmark", "shy", "--plan", "--machine", MI300X];
    fixture.mad(&plan).run().exits(0).says(&["must not run on gfx942 (skip_gpu_arch)"]);
    let over = fixture.mad(&plan).env("MAD_DISABLE_SKIP_GPU_ARCH", "1").run().exits(0);
    assert!(!over.stdout.contains("must not run"), "{}", over.said());
}

#[test]
fn a_missing_secret_skips() {
    let fixture = Fixture::with(
        "m",
        "echo \"performance: ${#MAD_SECRETS_HFTOKEN} chars\"\n# $MAD_SECRETS_NO\n: $MAD_SECRETS_HFTOKEN",
    );
    fixture
        .mad(&["benchmark"])
        .run()
        .exits(1)
        .says(&["needs the secret MAD_SECRETS_HFTOKEN, which"]);
    fixture.mad(&["benchmark"]).env("MAD_SECRETS_HFTOKEN", "hush-hush").run().exits(0);
    let context = r#"{"docker_env_vars": {"MAD_SECRETS_HFTOKEN": "hush-hush"}}"#;
    fixture.mad(&["benchmark", "-c", context]).run().exits(0);
}

#[test]
fn a_secret_that_the_script_can_do_without_does_not_skip() {
    for guard in ["${MAD_SECRETS_HFTOKEN:-}", "${MAD_SECRETS_HFTOKEN+set}"] {
        let body = format!(
            "if [ -n \"{guard}\" ]; then export HF_TOKEN=$MAD_SECRETS_HFTOKEN; fi\n\
             echo 'performance: 1 x/s'"
        );
        Fixture::with("m", &body).mad(&["benchmark"]).run().exits(0);
    }
}

#[test]
fn secrets_appear_nowhere() {
    let fixture = csv(
        "echo \"$MAD_SECRETS_TOKEN\"; echo \"$MAD_SECRETS_CONTEXT\"; \
         printf 'model,performance,metric,note\\nrow,1,x/s,%s\\n' \"$MAD_SECRETS_TOKEN\" > results.csv",
    )
    .entry(
        "fails",
        "echo \"ValueError: $MAD_SECRETS_TOKEN $MAD_SECRETS_CONTEXT\"; exit 1",
        json!({}),
    )
    .entry("huge", "echo 'performance: 1 x/s'", json!({ "n_gpus": 4000 }));
    let context = r#"{"docker_env_vars": {"MAD_SECRETS_CONTEXT": "whispered-word"}}"#;
    for args in [&["benchmark", "-l", "-c", context][..], &["__test-target", "-c", context]] {
        let mad = fixture.mad(args).env("MAD_SECRETS_TOKEN", "spoken-word");
        let ran = mad.run().says(&["ValueError: *** ***"]);
        assert!(!ran.said().contains("spoken-word"), "{}", ran.said());
        assert!(!ran.said().contains("whispered-word"), "{}", ran.said());
    }
    assert!(fixture.log("m").starts_with("***\n***\n"));
    for secret in ["spoken-word", "whispered-word"] {
        assert_eq!(fixture.files_with(secret), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn the_context_is_json_or_python_from_text_and_file() {
    let script = "echo \"$ONE $TWO $MAD_MODEL_NAME $*\"; echo 'performance: 1 x/s'";
    let fixture = Fixture::empty().entry("m", script, json!({ "args": "own" }));
    let log = |args: &[&str]| {
        let args: Vec<&str> = ["benchmark"].iter().chain(args).copied().collect();
        fixture.mad(&args).run().exits(0);
        fixture.log("m").lines().next().expect("a line").to_owned()
    };
    assert_eq!(log(&["-c", r#"{"docker_env_vars": {"ONE": 1}}"#]), "1  m own");
    assert_eq!(log(&["-c", "{'docker_env_vars': {'ONE': 'a', 'TWO': 2,},}"]), "a 2 m own");
    std::fs::write(
        fixture.path("context.json"),
        r#"{"docker_env_vars": {"ONE": "file"}, "model_args": "of file"}"#,
    )
    .expect("a file");
    assert_eq!(log(&["-f", "context.json"]), "file  m of file");
    assert_eq!(log(&["-f", "context.json", "-c", "{'model_args': 'text'}"]), "file  m text");
    for (args, words) in [
        (["-c", "[1]"], "the context must be an object"),
        (["-c", "{broken"], "neither JSON"),
        (["-c", r#"{"docker_env_vars": 3}"#], "`docker_env_vars` must be an object"),
        (["-c", r#"{"n_gpus": "some"}"#], "`n_gpus` must be a count"),
        (["-c", r#"{"slurm": {}, "k8s": {}}"#], "exclude each other"),
        (["-f", "missing.json"], "missing.json"),
        (["-f", "perf.csv"], "perf.csv"),
    ] {
        fixture.mad(&["benchmark", args[0], args[1]]).run().exits(4).says(&[words]);
        fixture.target(&args).run().exits(4).says(&[words]);
    }
}

#[test]
fn keys_that_the_host_cannot_honour_skip() {
    let fixture = Fixture::with("m", "echo 'performance: 1 x/s'");
    let ran = fixture.mad(&["benchmark", "-c", "{'tools': [{'name': 'rocprof'}]}"]).run().exits(1);
    ran.says(&["the host engine cannot honour `tools` of the context"]);
}

#[test]
fn every_schema_is_json() {
    let fixture = Fixture::empty();
    for document in ["catalog", "config", "baseline", "measurement", "verdict", "case", "machine"] {
        let schema: Value = fixture.mad(&["schema", document]).run().exits(0).json();
        assert!(schema["$schema"].is_string(), "{document}");
    }
}
