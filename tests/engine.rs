//! What a script may do, and what is concluded from it: `mad benchmark` on the host.

mod common;

use std::fs;

use common::{Fixture, Ran};
use serde_json::json;

/// Runs one entry whose script is `body`.
fn bench(body: &str) -> (Fixture, Ran) {
    let fixture = Fixture::with("m", body);
    let ran = fixture.mad(&["benchmark"]).run();
    (fixture, ran)
}

/// A script that does this fails with these words, and leaves a row that says so.
#[track_caller]
fn fails(body: &str, words: &[&str]) {
    let (fixture, ran) = bench(body);
    let ran = ran.exits(3).says(words);
    assert!(ran.stdout.contains("FAILURE"), "{}", ran.said());
    assert_eq!(fixture.rows()[0].get("status"), "FAILURE");
    assert_eq!(fixture.rows()[0].get("performance"), "");
    fixture.target(&["--exact", "bench::m"]).run().exits(101).says(words);
}

/// A script that does this is measured as `value`, and `words` are said about it.
#[track_caller]
fn measures(body: &str, value: &str, words: &[&str]) {
    let (fixture, ran) = bench(body);
    ran.exits(0).says(words);
    assert_eq!(fixture.rows()[0].get("performance"), value);
}

#[test]
fn no_number_is_a_failure() {
    fails("echo hello", &["printed no \"performance: <value> <metric>\" line", "hello"]);
    fails("true", &["the log is empty"]);
    fails("echo 'performance: nan tok/s'", &["reports nan tok/s, which is not a finite number"]);
    fails("echo 'performance: inf tok/s'", &["reports inf tok/s"]);
    fails("echo 'performance: fast'", &["performance: fast"]);
}

#[test]
fn a_number_counts_only_with_exit_status_0() {
    fails("echo 'performance: 1 x/s'; exit 7", &["exit status 7"]);
    fails("echo 'performance: 1 x/s'; kill -SEGV $$", &["SIGSEGV"]);
    fails("echo 'performance: 1 x/s'; no_such_command", &["exit status 127", "not found"]);
}

#[test]
fn the_first_of_two_numbers_counts() {
    let two = "echo 'performance: 10 a/s'; echo 'performance: 20 a/s'";
    measures(two, "10", &["more than one number", "line 1: 10 a/s", "line 2: 20 a/s"]);
    let (_, ran) = bench("echo 'performance: 10 a/s'; echo 'performance: 10 a/s'");
    assert!(!ran.said().contains("more than one"), "the same twice: {}", ran.said());
}

#[test]
fn numbers_are_found_where_scripts_put_them() {
    measures("echo 'Eager mode performance: 12.5 ms'", "12.5", &[]);
    measures("printf '50%%\\rperformance: 3 x/s\\r99%%\\n'", "3", &[]);
    measures("printf '\\033[32mperformance:\\033[0m 4 x/s\\n'", "4", &[]);
    measures("echo 'performance: 5 x/s' >&2", "5", &[]);
    measures("echo \"'train_samples_per_second': 6.5,\"", "6.5", &[]);
}

/// Bounded memory is what the address space limit asks for: the log is far larger.
#[test]
fn a_number_after_endless_output_without_a_newline() {
    let fixture = Fixture::with(
        "m",
        "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo 'performance: 9 x/s'",
    );
    let limited = "ulimit -d 65536; exec \"$@\"";
    fixture.mad(&["benchmark"]).through_shell(limited).run().exits(0);
    assert_eq!(fixture.rows()[0].get("performance"), "9");
}

#[test]
fn every_execution_has_a_private_copy_of_the_scripts() {
    let fixture = Fixture::with(
        "m",
        "test ! -e trace; touch trace; echo new > data.txt; rm run.sh; echo 'performance: 1 x/s'",
    );
    fixture.write("scripts/m/data.txt", "old\n");
    fixture.write("scripts/m/sub/deep.txt", "deep\n");
    let listing = || {
        let mut names: Vec<_> = fs::read_dir(fixture.root().join("scripts/m"))
            .expect("the scripts")
            .map(|e| e.expect("an entry").file_name())
            .collect();
        names.sort();
        names
    };
    let before = listing();
    fixture.mad(&["benchmark", "--samples", "2", "--keep-alive"]).run().exits(0);
    assert_eq!(listing(), before);
    assert_eq!(common::read(&fixture.root().join("scripts/m/data.txt")), "old\n");
    let work = fixture.runs()[0].join("m/attempt-1/execution-2/work");
    assert_eq!(common::read(&work.join("data.txt")), "new\n");
    assert_eq!(common::read(&work.join("sub/deep.txt")), "deep\n");
    fixture.mad(&["benchmark"]).run().exits(0);
    assert!(!fixture.runs()[1].join("m/attempt-1/execution-1/work").exists());
}

#[test]
fn arguments_arrive_as_they_were_written() {
    let args = r#"plain 'two words' "dou\"ble" * $HOME $(touch /tmp/never) ;ls '' a\ b"#;
    let fixture = Fixture::empty().entry(
        "m",
        "printf '<%s>\\n' \"$@\"; echo 'performance: 1 x/s'",
        json!({ "args": args }),
    );
    fixture.mad(&["benchmark", "m:size=7"]).run().exits(0);
    let log = fixture.log("m:size=7".replace(':', "%3A").replace('=', "%3D").as_str());
    let words: Vec<&str> = log.lines().filter(|l| l.starts_with('<')).collect();
    assert_eq!(
        words,
        [
            "<plain>",
            "<two words>",
            "<dou\"ble>",
            "<*>",
            "<$HOME>",
            "<$(touch>",
            "</tmp/never)>",
            "<;ls>",
            "<>",
            "<a b>",
            "<--size>",
            "<7>"
        ]
    );
}

#[test]
fn the_environment_of_a_script() {
    let fixture = Fixture::empty().entry(
        "m",
        "env | grep -E '^(MAD_|NEXTEST|CARGO_PKG|JENKINS|FROM_)' | sort; echo 'performance: 1 x/s'",
        json!({ "env_vars": {"FROM_ENTRY": 1, "FROM_BOTH": "entry"} }),
    );
    let context = r#"{"docker_env_vars": {"FROM_CONTEXT": "yes", "FROM_BOTH": "context"}}"#;
    let steered = fixture
        .mad(&["benchmark", "-c", context, "--samples", "1"])
        .env("MAD_TIMEOUT", "60")
        .env("MAD_REQUIRE_BASELINE", "0")
        .env("MAD_MODEL_BATCH_SIZE", "8")
        .env("NEXTEST_RUN_ID", "run-1")
        .env("CARGO_PKG_NAME", "x")
        .env("BUILD_NUMBER", "17");
    steered.run().exits(0);
    let log = fixture.log("m");
    let seen: Vec<&str> = log.lines().filter(|l| !l.starts_with("MAD_GPU_")).collect();
    let gpus = seen.iter().filter(|l| l.contains("NGPUS") || l.contains("MAD_SYSTEM"));
    assert!(gpus.count() >= 2, "{log}");
    let rest: Vec<&&str> = seen
        .iter()
        .filter(|l| !l.starts_with("MAD_SYSTEM") && !l.starts_with("performance"))
        .collect();
    assert_eq!(
        rest,
        [
            &"FROM_BOTH=context",
            &"FROM_CONTEXT=yes",
            &"FROM_ENTRY=1",
            &"JENKINS_BUILD_NUMBER=17",
            &"MAD_MODEL_BATCH_SIZE=8",
            &"MAD_MODEL_NAME=m",
            &"MAD_RUNTIME_NGPUS=0",
        ]
    );
    let environment = &fixture.record("m/attempt-1/measurement.json")["provenance"]["environment"];
    assert_eq!(environment["MAD_MODEL_BATCH_SIZE"], "8");
    assert_eq!(environment.get("MAD_LEASE_DIR"), None, "{environment}");
}

#[test]
fn samples_count_and_warm_ups_do_not() {
    let fixture = Fixture::empty().entry(
        "m",
        "echo x >> \"$COUNTER\"; echo \"performance: $(wc -l < \"$COUNTER\")0 x/s\"",
        json!({ "bench": {"samples": 3, "warmup": 2} }),
    );
    let counter = fixture.path("counter");
    fixture.mad(&["benchmark"]).env("COUNTER", &counter).run().exits(0);
    // Executions 3, 4 and 5 count; 40 is their median.
    assert_eq!(fixture.rows()[0].get("performance"), "40");
    let executions = fixture.record("m/attempt-1/measurement.json")["executions"].clone();
    let warmups: Vec<bool> = executions
        .as_array()
        .expect("executions")
        .iter()
        .map(|e| e["warmup"].as_bool().expect("a flag"))
        .collect();
    assert_eq!(warmups, [true, true, false, false, false]);
    fixture.mad(&["benchmark", "--samples", "1", "--warmup", "0"]).env("COUNTER", &counter).run();
    assert_eq!(fixture.text("counter").lines().count(), 6);
}

#[test]
fn a_failed_warm_up_fails_the_measurement() {
    let fixture =
        Fixture::empty().entry("m", "exit 3", json!({ "bench": {"samples": 1, "warmup": 1} }));
    fixture.mad(&["benchmark"]).run().exits(3).says(&["exit status 3"]);
}

#[test]
fn lines_that_look_like_errors() {
    let handled = "echo 'ValueError: retried'; echo '0 FAILED'; echo 'performance: 1 x/s'";
    measures(handled, "1", &["ValueError: retried", "the run counts"]);
    fails("echo 'RuntimeError: out of luck'; exit 1", &["RuntimeError: out of luck"]);

    let chosen = Fixture::empty().entry(
        "m",
        "echo 'loss diverged'; echo 'performance: 1 x/s'",
        json!({ "log_error_patterns": ["diverged"] }),
    );
    chosen.mad(&["benchmark"]).run().exits(3).says(&["loss diverged", "diverged"]);
    let benign = r#"{"log_error_benign_patterns": ["loss diverged"]}"#;
    chosen.mad(&["benchmark", "-c", benign]).run().exits(0);
    let off = r#"{"log_error_pattern_scan": false}"#;
    chosen.mad(&["benchmark", "-c", off]).run().exits(0);
}

#[test]
fn python_scripts_and_single_files_run_too() {
    let fixture = Fixture::empty()
        .entry("dir", "echo 'performance: 1 x/s'", json!({}))
        .entry("file", "true", json!({ "scripts": "scripts/dir/run.sh" }))
        .entry("py", "true", json!({ "scripts": "scripts/py/main.py", "args": "7" }));
    fixture.write("scripts/py/main.py", "import sys\nprint('performance:', sys.argv[1], 'x/s')\n");
    fixture.mad(&["benchmark"]).run().exits(0);
    let values: Vec<String> =
        fixture.rows().iter().map(|r| r.get("performance").to_owned()).collect();
    assert_eq!(values, ["1", "1", "7"]);
}
