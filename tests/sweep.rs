//! `mad sweep` and `mad merge`, through the command.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Fixture, Mad, check, eventually, json_file, read};
use serde_json::{Value, json};

/// Reports what it was given.
const BODY: &str = r#"echo "performance: $((100 * MAD_RUNTIME_NGPUS)) samples_per_second""#;

/// Two entries with GPUs and one without, and a machine of 8 pretended GPUs.
fn fixture(body: &str) -> Fixture {
    let gpu = json!({"n_gpus": "1", "tags": ["gpu"]});
    let fixture = Fixture::empty().entry("one", body, gpu.clone()).entry("two", body, gpu).entry(
        "cpu",
        "echo 'performance: 7 ms'",
        json!({}),
    );
    let machine = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/machines/8x-mi300x.json");
    let mut machine: Value = json_file(Path::new(machine));
    machine["simulated"] = json!(true);
    fs::write(fixture.path("sim.json"), machine.to_string()).expect("a file");
    fixture
}

fn sweep(fixture: &Fixture, args: &[&str]) -> Mad {
    fixture.mad(&[&["sweep", "--machine", "sim.json"], args].concat())
}

/// The newest run that is a sweep.
fn newest(fixture: &Fixture) -> PathBuf {
    fixture.runs().into_iter().rfind(|run| run.join("sweep.json").is_file()).expect("a sweep")
}

fn report(fixture: &Fixture) -> Value {
    json_file(&newest(fixture).join("sweep-report.json"))
}

fn statuses(report: &Value) -> Vec<(String, String)> {
    let cells = report["cells"].as_array().expect("cells").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    cells.map(|c| (text(&c["id"]), text(&c["status"]))).collect()
}

/// All `measurement.json` below a run.
fn measurements(run: &Path) -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![run.to_owned()]);
    while let Some(dir) = open.pop() {
        // What runs meanwhile removes directories of its own.
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.ends_with("measurement.json") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn a_matrix_of_entries_counts_and_values() {
    let fixture =
        fixture(r#"echo "performance: $((MAD_RUNTIME_NGPUS * BATCH)) samples_per_second""#);
    let ran = sweep(&fixture, &["gpu", "--ngpus", "1,4", "--axis", "docker_env_vars.BATCH=8,16"])
        .run()
        .exits(0);
    check(|| insta::assert_snapshot!("matrix", ran.stdout));
    let run = newest(&fixture);
    // One file per cell, and all of them in one.
    let rows = |name: &str| read(&run.join(name)).lines().count() - 1;
    assert_eq!(rows("perf_one--4gpu--BATCH.16.csv"), 1);
    assert_eq!(rows("perf.csv"), 8);
    assert_eq!(fixture.rows().len(), 8);
    // What is pretended says so, and is no baseline for what is real.
    let record = json_file(&run.join("one--4gpu--BATCH.16/attempt-1/measurement.json"));
    assert_eq!(record["machine_class"], "simulated-4x-gfx942-amd-instinct-mi300x");
    assert_eq!(record["provenance"]["machine"]["simulated"], true);
    assert_eq!(record["id"], "one+docker_env_vars.BATCH=16");
    assert!(fixture.rows()[0].get("machine_name").starts_with("simulated-"));
}

#[test]
fn the_entry_says_which_way_is_better() {
    let cost =
        json!({ "n_gpus": "1", "regress": { "metrics": { "cost": { "direction": "lower" } } } });
    let body = r#"echo "performance: $((8 / MAD_RUNTIME_NGPUS)) cost""#;
    let fixture = fixture(BODY).entry("dear", body, cost);
    sweep(&fixture, &["dear", "--ngpus", "1,4"]).run().exits(0);
    let report = report(&fixture);
    assert_eq!(report["extremes"][0]["best"], json!(["dear--4gpu", 2.0]));
    assert_eq!(report["scaling"][0]["points"][1]["efficiency"], 1.0);
}

#[test]
fn nothing_that_has_no_number_reads_as_success() {
    let fixture = fixture(BODY)
        .entry("fails", "echo oops; exit 3", json!({"n_gpus": "2", "tags": ["gpu"]}))
        .entry("slow", "sleep 600", json!({"n_gpus": "1", "tags": ["gpu"], "timeout": 1}));
    sweep(&fixture, &["gpu", "nope", "--ngpus", "1,16"]).run().exits(2);
    let report = report(&fixture);
    let expected = [
        ("one--1gpu", "success"),
        ("one--16gpu", "skipped"),
        ("two--1gpu", "success"),
        ("two--16gpu", "skipped"),
        ("fails--1gpu", "failure"),
        ("fails--16gpu", "skipped"),
        ("slow--1gpu", "timeout"),
        ("slow--16gpu", "skipped"),
        ("nope--unresolved", "unresolved"),
    ];
    let expected: Vec<(String, String)> =
        expected.iter().map(|(id, s)| ((*id).to_owned(), (*s).to_owned())).collect();
    assert_eq!(statuses(&report), expected);
    let rows = read(&newest(&fixture).join("perf.csv"));
    assert_eq!(rows.matches(",SUCCESS,").count(), 2);
    assert_eq!(rows.matches(",FAILURE,").count(), 3, "{rows}");
    assert_eq!(rows.matches(",SKIPPED,").count(), 4);
    // A failure alone is 3, and skips alone are nothing done.
    sweep(&fixture, &["fails"]).run().exits(3);
    sweep(&fixture, &["one", "--ngpus", "16"]).run().exits(1);
    sweep(&fixture, &["one", "--ngpus", "16", "--require-gpu"]).run().exits(3);
}

#[test]
fn labels_that_look_alike_are_cells_of_their_own() {
    let fixture = Fixture::empty()
        .entry("a/b", "echo 'performance: 1 ms'", json!({}))
        .entry("a-b", "echo 'performance: 2 ms'", json!({}))
        .entry("a b", "echo 'performance: 3 ms'", json!({}));
    fixture.mad(&["sweep"]).run().exits(0);
    let run = newest(&fixture);
    let files = fs::read_dir(&run).unwrap().flatten().map(|e| e.file_name());
    let files = files.filter(|n| n.to_string_lossy().starts_with("perf_")).count();
    assert_eq!(files, 3);
    assert_eq!(measurements(&run).len(), 3);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_runs() {
    let fixture = fixture(BODY);
    for (args, expected) in [
        (vec!["--axis", "precision=fp8,fp16"], "precision is not an axis"),
        (vec!["--axis", "docker_env_var.X=1"], "did you mean `docker_env_vars`?"),
        (vec!["-c", "[1]"], "the context must be an object"),
        (vec!["-c", "{"], "neither JSON"),
        (vec!["--ngpus", "1,x"], "expected"),
        (vec!["--shard", "3/2"], "expected i/n"),
        (vec!["--resume", "nothing"], "there is no run"),
        (vec!["-c", "{\"env_vars\": 1}", "--axis", "docker_env_vars.X=1"], "must be an object"),
    ] {
        let ran = sweep(&fixture, &[&["one"], args.as_slice()].concat()).run().exits(4);
        assert!(ran.stderr.contains(expected), "{args:?}: {}", ran.stderr);
    }
    let ran = fixture.mad(&["benchmark", "one", "--ngpus", "1,2"]).run().exits(4);
    assert!(ran.stderr.contains("for `mad sweep`"), "{}", ran.stderr);
    let ran = sweep(&fixture, &["onne"]).run().exits(2);
    assert!(ran.stderr.contains("did you mean `one`?"), "{}", ran.stderr);
    assert!(fixture.runs().is_empty());
}

#[test]
fn a_plan_runs_nothing_and_knows_how_long() {
    let fixture = fixture(BODY);
    let args = ["gpu", "--ngpus", "1,8", "--plan"];
    let ran = sweep(&fixture, &args).run().exits(0);
    assert!(ran.stdout.contains("4 of them were never measured"), "{}", ran.stdout);
    assert!(fixture.runs().is_empty());
    sweep(&fixture, &args[..3]).run().exits(0);
    let plan = sweep(&fixture, &[&args[..], &["--json"]].concat()).run().exits(0);
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["guessed"], 0);
    // The wide ones exclude each other, the narrow ones go together.
    let estimate = |id: &str| {
        let cells = plan["cells"].as_array().unwrap();
        cells.iter().find(|c| c["id"] == id).unwrap()["estimate_s"].as_f64().unwrap()
    };
    let wide = estimate("one--8gpu") + estimate("two--8gpu");
    let narrow = estimate("one--1gpu").max(estimate("two--1gpu"));
    let makespan = plan["makespan_s"].as_f64().unwrap();
    assert!((makespan - wide - narrow).abs() < 1e-6, "{makespan} {wide} {narrow}");
    assert_eq!(fixture.runs().len(), 1);
}

#[test]
fn a_sweep_that_was_killed_goes_on_and_measures_nothing_twice() {
    // The second entry waits until it may go on, so that the kill comes in the middle.
    let body = r#"[ "$MAD_MODEL_NAME" = one ] || while [ ! -e "$GATE" ]; do sleep 0.05; done
echo "performance: $((100 * MAD_RUNTIME_NGPUS)) samples_per_second""#;
    let fixture = fixture(body);
    let gate = fixture.path("gate");
    let context = json!({"docker_env_vars": {"GATE": gate}}).to_string();
    let running =
        sweep(&fixture, &["gpu", "--ngpus", "1,2,4", "-c", &context, "--kill-grace", "0"]).start();
    eventually("three cells", || {
        fixture.runs().first().is_some_and(|run| measurements(run).len() == 3)
    });
    // While it goes on, nobody else does.
    let id = newest(&fixture).file_name().unwrap().to_string_lossy().into_owned();
    let refused = fixture.mad(&["sweep", "--resume", &id]).run().exits(4);
    assert!(refused.stderr.contains("is still going on"), "{}", refused.stderr);
    running.signal("KILL");
    running.wait();
    fs::write(&gate, "").unwrap();

    fixture.mad(&["sweep", "--resume", &id]).run().exits(0);
    let run = newest(&fixture);
    assert_eq!(measurements(&run).len(), 6);
    assert_eq!(read(&run.join("perf.csv")).matches(",SUCCESS,").count(), 6);
    assert_eq!(fixture.rows().len(), 6, "each once in the file of all runs");
    assert_eq!(fixture.runs().len(), 1);
    // And once more, when there is nothing left to do.
    fixture.mad(&["sweep", "--resume", "latest"]).run().exits(0);
    assert_eq!((measurements(&run).len(), fixture.rows().len()), (6, 6));
    assert_eq!(report(&fixture)["counts"]["passed"], 6);
}

/// In a disk of its own, which is full after some Cells: sweeps, makes room, and goes on.
const ON_A_FULL_DISK: &str = r#"
mkdir mad && mount -t tmpfs -o size=8m none mad || exit 99
head -c 7400k /dev/zero >mad/ballast
"$@" >first.out 2>first.err && exit 98
find mad -name measurement.json | wc -l >before
rm mad/ballast
"$1" sweep --resume latest --retry-failed 1
status=$?
cp -a mad kept && umount mad && cp -a kept/. mad/ || exit 97
exit "$status"
"#;

#[test]
fn a_disk_that_was_full_costs_no_cell() {
    let inside = |script: &str| format!("unshare --user --map-root-user --mount {script}");
    let probe = inside("mount -t tmpfs none /mnt");
    let probe = std::process::Command::new("bash").args(["-c", &probe]).output();
    if !probe.is_ok_and(|output| output.status.success()) {
        let required = std::env::var_os("MAD_TESTS_REQUIRE_MOUNT").is_some();
        assert!(!required, "no file system can be mounted here, also not in a namespace");
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let body = "head -c 100000 /dev/zero | tr '\\0' '\\n'\necho $N >>\"$DIR/starts\"\n\
        echo \"performance: $N ms\"";
    let fixture = Fixture::with("one", body);
    fs::write(fixture.path("on-a-full-disk.sh"), ON_A_FULL_DISK).unwrap();
    let axis = "env_vars.N=1,2,3,4,5,6,7,8,9,10,11,12";
    let mad = fixture.mad(&["sweep", "one", "--axis", axis, "--serial"]);
    mad.through_shell(&inside("bash on-a-full-disk.sh \"$@\"")).run().exits(0);
    assert!(fixture.text("first.err").contains("No space left on device"));
    let before: usize = fixture.text("before").trim().parse().unwrap();
    assert!((1..12).contains(&before), "{before}");
    assert_eq!(report(&fixture)["counts"]["passed"], 12);
    let mut rows: Vec<String> =
        fixture.rows().iter().map(|row| row.get("performance").to_owned()).collect();
    rows.sort();
    rows.dedup();
    assert_eq!((rows.len(), fixture.rows().len()), (12, 12));
    // What was measured before is not measured again.
    let starts = fixture.text("starts");
    assert_eq!(starts.lines().filter(|n| *n == "1").count(), 1, "{starts}");
}

#[test]
fn what_failed_is_tried_again_when_asked_and_enough_is_enough() {
    let body = r#"[ -e "$FLAG" ] || { [ "$MAD_MODEL_NAME" = two ] && exit 1; }
echo 'performance: 1 samples_per_second'"#;
    let fixture = fixture(body);
    let flag = fixture.path("flag");
    let context = json!({"env_vars": {"FLAG": flag}}).to_string();
    let base = ["gpu", "--ngpus", "1,2", "-c", &context, "--serial"];
    sweep(&fixture, &[&base[..], &["--retry-failed", "1"]].concat()).run().exits(3);
    let run = newest(&fixture);
    assert_eq!(measurements(&run).len(), 2 + 2 * 2);
    // It stays as it is, unless more tries are asked for.
    fixture.mad(&["sweep", "--resume", "latest"]).run().exits(3);
    assert_eq!(measurements(&run).len(), 6);
    fs::write(&flag, "").unwrap();
    fixture.mad(&["sweep", "--resume", "latest", "--retry-failed", "2"]).run().exits(0);
    assert_eq!(measurements(&run).len(), 8);
    assert_eq!(report(&fixture)["counts"]["passed"], 4);

    fs::remove_file(&flag).unwrap();
    let ran = sweep(
        &fixture,
        &["two", "one", "--ngpus", "1,2,4", "-c", &context, "--serial", "--max-failures", "2"],
    );
    let ran = ran.run().exits(3);
    assert!(ran.stderr.contains("stopped after so many failures"), "{}", ran.stderr);
    let counts = report(&fixture)["counts"].clone();
    assert_eq!((&counts["failed"], &counts["not_run"]), (&json!(2), &json!(1)));
    sweep(&fixture, &["two", "--ngpus", "1,2,4", "-c", &context, "--serial", "--fail-fast"])
        .run()
        .exits(3);
    assert_eq!(report(&fixture)["counts"]["not_run"], 2);
}

#[test]
fn a_benchmark_goes_on_as_well() {
    let body = r#"[ "$MAD_MODEL_NAME" = one ] || while [ ! -e "$GATE" ]; do sleep 0.05; done
echo 'performance: 1 samples_per_second'"#;
    let fixture = fixture(body);
    let gate = fixture.path("gate");
    let context = json!({"docker_env_vars": {"GATE": gate}}).to_string();
    let args = ["benchmark", "gpu", "--machine", "sim.json", "-c", &context, "--kill-grace", "0"];
    let running = fixture.mad(&args).start();
    eventually("one entry", || {
        fixture.runs().first().is_some_and(|run| measurements(run).len() == 1)
    });
    running.signal("KILL");
    running.wait();
    fs::write(&gate, "").unwrap();
    let ran = fixture.mad(&["sweep", "--resume", "latest"]).run().exits(4);
    assert!(ran.stderr.contains("is no sweep: `mad benchmark --resume"), "{}", ran.stderr);
    fixture.mad(&["benchmark", "--resume", "latest"]).run().exits(0);
    assert_eq!(measurements(&fixture.runs()[0]).len(), 2);
    assert_eq!(fixture.rows().len(), 2);
}

#[test]
fn what_changed_meanwhile_is_not_mixed() {
    let fixture = fixture(BODY);
    sweep(&fixture, &["gpu"]).run().exits(0);
    let run = newest(&fixture);
    let models = read(&fixture.root().join("models.json"));
    fs::write(
        fixture.root().join("models.json"),
        models.replace("\"args\": \"\"", "\"args\": \"-x\""),
    )
    .unwrap();
    let ran = fixture.mad(&["sweep", "--resume", "latest"]).run().exits(4);
    assert!(ran.stderr.contains("the catalog changed since the run"), "{}", ran.stderr);
    fs::write(fixture.root().join("models.json"), models).unwrap();

    let then = read(&run.join("run.json"));
    let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
    fs::write(run.join("run.json"), then.replace(&version, "\"version\": \"0.0.1\"")).unwrap();
    let ran = fixture.mad(&["sweep", "--resume", "latest"]).run().exits(4);
    assert!(ran.stderr.contains("was begun by version 0.0.1"), "{}", ran.stderr);
    fs::write(run.join("run.json"), then).unwrap();
    let record = read(&run.join("sweep.json"));
    fs::write(run.join("sweep.json"), record.replace("mad-sweep/1", "mad-sweep/9")).unwrap();
    let ran = fixture.mad(&["merge", &run.display().to_string()]).run().exits(4);
    assert!(ran.stderr.contains("has the format mad-sweep/9"), "{}", ran.stderr);
}

#[test]
fn shards_are_disjoint_and_merge_into_the_whole() {
    let fixture = fixture(BODY);
    let base = ["gpu", "nope", "--ngpus", "1,2,4,8"];
    for shard in ["1/3", "2/3", "3/3"] {
        sweep(&fixture, &[&base[..], &["--shard", shard]].concat()).run().exits(2);
    }
    let runs: Vec<String> = fixture.runs().iter().map(|r| r.display().to_string()).collect();
    let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
    let ran = fixture.mad(&[&["merge"], runs.as_slice()].concat()).run().exits(2);
    assert_eq!(ran.stderr, "");
    let merged = report(&fixture);
    assert_eq!(merged["counts"]["passed"], 8);
    assert_eq!(merged["counts"]["unresolved"], 1);
    assert_eq!(read(&newest(&fixture).join("perf.csv")).matches(",SUCCESS,").count(), 8);
    assert_eq!(merged["scaling"][0]["points"].as_array().unwrap().len(), 4);

    // What is in two of them is told, and counts once.
    sweep(&fixture, &["one", "--ngpus", "1"]).run().exits(0);
    let again = newest(&fixture).display().to_string();
    let ran = fixture.mad(&[&["merge"], runs.as_slice(), &[&again]].concat()).run().exits(2);
    assert!(ran.stderr.contains("one--1gpu is in several: taken from"), "{}", ran.stderr);
    assert_eq!(report(&fixture)["counts"]["passed"], 8);
    let ran = fixture.mad(&["merge", runs[0], runs[0]]).run().exits(4);
    assert!(ran.stderr.contains("is named twice"), "{}", ran.stderr);
}

#[test]
fn two_sweeps_at_once_share_the_machine_and_lose_nothing() {
    let fixture = fixture(BODY);
    let args = ["gpu", "--ngpus", "1,2,4,8", "--samples", "2"];
    let first = sweep(&fixture, &args).start();
    sweep(&fixture, &args).run().exits(0);
    first.wait().exits(0);
    assert_eq!(fixture.rows().len(), 16);
    let mut held: Vec<(u64, f64, f64)> = Vec::new();
    for file in fixture.runs().iter().flat_map(|run| measurements(run)) {
        for e in json_file(&file)["executions"].as_array().unwrap() {
            let (from, to) = (e["held"][0].as_f64().unwrap(), e["held"][1].as_f64().unwrap());
            let gpus = e["gpus"].as_array().unwrap().iter();
            held.extend(gpus.map(|gpu| (gpu.as_u64().unwrap(), from, to)));
        }
    }
    held.sort_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).unwrap());
    for pair in held.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].2 <= pair[1].1, "{pair:?}");
    }
}

#[test]
fn a_sample_can_be_measured_again_alone() {
    let fixture = fixture(BODY);
    sweep(&fixture, &["gpu", "--ngpus", "1,2", "--verify-isolation", "2"]).run().exits(0);
    let run = newest(&fixture);
    let record = json_file(&run.join("isolation.json"));
    assert_eq!(record["cells"].as_object().unwrap().len(), 2);
    // Numbers that do not move are no shift.
    assert_eq!(report(&fixture)["look_at"], json!([]));
    assert_eq!(fixture.runs().len(), 2, "what is measured alone is a run of its own");
}

#[test]
fn the_page_and_the_markdown_hold_no_markup_of_others() {
    let fixture = fixture("echo 'performance: 1 samples_per_second<script>'").entry(
        "bad",
        "echo '<img src=x onerror=alert(1)>'; exit 1",
        json!({"n_gpus": "1"}),
    );
    sweep(&fixture, &["bad", "gpu", "<b>nope", "--ngpus", "1,2"]).run().exits(2);
    let page = read(&newest(&fixture).join("sweep.html"));
    assert!(!page.contains("<img") && !page.contains("<script") && !page.contains("<b>nope"));
    assert!(page.contains("&lt;b&gt;nope"));
    let markdown = read(&newest(&fixture).join("sweep.md"));
    assert!(!markdown.contains("<b>") && !markdown.contains("<script>"), "{markdown}");
}
