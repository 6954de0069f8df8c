//! How runs end: by themselves, late, by a signal, by force; with nothing left behind.
//! And what happens when two run at once, or when files cannot be written.

mod common;

use std::fs;
use std::path::Path;

use common::{Fixture, alive, eventually, send, supervisor};
use serde_json::json;

/// A word that is in the command line of the processes of one fixture, and nowhere else.
fn marker(fixture: &Fixture) -> String {
    fixture.path("marker").display().to_string()
}

/// A script that says it has started and then sleeps, by name, for ever.
fn sleeper(before: &str) -> Fixture {
    Fixture::with(
        "m",
        &format!(
            "{before}\ntouch \"$DIR/started\"\n\
             (exec -a \"$DIR/marker\" sleep 1000)\necho 'performance: 1 x/s'"
        ),
    )
}

fn started(fixture: &Fixture) {
    eventually("the script starts", || fixture.path("started").exists() && alive(&marker(fixture)));
}

/// The next run finds no lease held and nothing that confuses it.
fn next_run_works(fixture: &Fixture) {
    fixture.write("scripts/m/run.sh", "echo 'performance: 2 x/s'\n");
    fixture.mad(&["benchmark"]).run().exits(0);
    fixture.mad(&["report"]).run().exits(0).says(&["2", "x/s"]);
}

#[test]
fn a_script_that_takes_too_long_is_ended() {
    let fixture = sleeper("");
    let mad = fixture.mad(&["benchmark", "--timeout", "0.5"]);
    mad.run().exits(3).says(&["not finished after 0.5 s (see --timeout)"]);
    assert!(!alive(&marker(&fixture)));
    let execution = &fixture.record("m/attempt-1/measurement.json")["executions"][0];
    assert_eq!(execution["exit"], json!({ "timed-out": {"after_s": 0.5} }));
    next_run_works(&fixture);
}

#[test]
fn the_entry_and_the_catalog_have_a_timeout_too() {
    let fixture = Fixture::empty().entry(
        "m",
        "sleep 1000; echo 'performance: 1 x/s'",
        json!({ "timeout": "0.2" }),
    );
    fixture.mad(&["benchmark"]).run().exits(3).says(&["not finished after 0.2 s"]);
    let fixture = Fixture::with("m", "sleep 1000; echo 'performance: 1 x/s'");
    fixture.write("mad.toml", "[defaults]\ntimeout = 0.3\n");
    fixture.mad(&["benchmark"]).run().exits(3).says(&["not finished after 0.3 s"]);
}

#[test]
fn a_script_that_ignores_sigterm_is_killed() {
    let fixture = sleeper("trap '' TERM");
    let mad = fixture.mad(&["benchmark", "--timeout", "0.2"]);
    mad.run().exits(3).says(&["not finished after 0.2 s"]);
    assert!(!alive(&marker(&fixture)));
}

#[test]
fn a_script_has_time_to_say_goodbye() {
    let fixture = Fixture::with(
        "m",
        "trap 'echo goodbye; exit 0' TERM\ntouch \"$DIR/started\"\nsleep 1000 & wait\n\
         echo 'performance: 1 x/s'",
    );
    let running = fixture.mad(&["benchmark", "--kill-grace", "60"]).start();
    eventually("the script starts", || fixture.path("started").exists());
    running.signal("TERM");
    running.wait().exits(3);
    assert_eq!(fixture.log("m"), "goodbye\n");
}

#[test]
fn what_a_script_leaves_behind_ends_with_it() {
    // One child keeps the output open, one is a daemon as `nohup` and two forks make it.
    let fixture = Fixture::with(
        "m",
        "(exec -a \"$DIR/marker\" sleep 1000) &\n\
         setsid nohup bash -c '(exec -a \"$DIR/marker\" sleep 1001) &' >/dev/null 2>&1 </dev/null\n\
         echo 'performance: 1 x/s'",
    );
    fixture.mad(&["benchmark"]).run().exits(0);
    assert!(!alive(&marker(&fixture)));
    assert_eq!(fixture.rows()[0].get("performance"), "1");
}

#[test]
fn a_signal_ends_the_run_and_its_children() {
    for signal in ["INT", "TERM", "HUP"] {
        let fixture = sleeper("").entry("later", "echo 'performance: 1 x/s'", json!({}));
        let running = fixture.mad(&["benchmark"]).start();
        started(&fixture);
        running.signal(signal);
        let ran = running.wait().exits(3).says(&["interrupted", "cancelled"]);
        assert!(!alive(&marker(&fixture)), "{}", ran.said());
        assert!(fixture.record("m/attempt-1/measurement.json")["failure"].is_string());
        assert_eq!(fixture.rows().len(), 1, "nothing was started afterwards");
        fixture.mad(&["report"]).run().exits(1).says(&["cancelled"]);
        next_run_works(&fixture);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let fixture = sleeper("trap '' TERM");
    let running = fixture.mad(&["benchmark", "--kill-grace", "3600"]).start();
    started(&fixture);
    running.signal("INT");
    eventually("it is told", || running.said().contains("again: at once"));
    running.signal("INT");
    assert_eq!(running.wait().status, 130);
    eventually("the script ends", || !alive(&marker(&fixture)));
    next_run_works(&fixture);
}

#[test]
fn a_signal_ends_the_test_target_and_its_children() {
    let fixture = sleeper("").entry("later", "echo 'performance: 1 x/s'", json!({}));
    let running = fixture.target(&["--test-threads", "2"]).start();
    started(&fixture);
    running.signal("TERM");
    let ran = running.wait();
    assert_ne!(ran.status, 0, "{}", ran.said());
    assert!(!alive(&marker(&fixture)), "{}", ran.said());
}

#[test]
fn children_die_with_a_killed_harness() {
    let fixture = sleeper("trap '' TERM INT HUP");
    let running = fixture.mad(&["benchmark"]).start();
    started(&fixture);
    running.signal("KILL");
    assert_eq!(running.wait().status, -9);
    eventually("the script ends", || !alive(&marker(&fixture)));
    let ran = fixture.mad(&["report"]).run().exits(1);
    ran.says(&["nothing was measured", "m was begun and not recorded"]);
    next_run_works(&fixture);
}

#[test]
fn a_killed_supervisor_is_a_failure_and_leaves_nothing() {
    let fixture = sleeper("");
    let running = fixture.mad(&["benchmark"]).start();
    started(&fixture);
    send("KILL", &supervisor(&fixture));
    running.wait().exits(3).says(&["the supervisor ended without a word"]);
    eventually("the script ends", || !alive(&marker(&fixture)));
    next_run_works(&fixture);
}

/// A script that outlived its harness and its supervisor.
fn orphan() -> Fixture {
    let fixture = sleeper("");
    let running = fixture.mad(&["benchmark"]).start();
    started(&fixture);
    let supervisor = supervisor(&fixture);
    // Stopped first: it would end the script as soon as the harness is gone.
    send("STOP", &supervisor);
    running.signal("KILL");
    running.wait();
    send("KILL", &supervisor);
    assert!(alive(&marker(&fixture)));
    fixture
}

#[test]
fn clean_ends_what_outlived_harness_and_supervisor() {
    let fixture = orphan();
    // No engine is asked: what it has may be somebody else's.
    let clean = |args: &[&str]| {
        let mad = fixture.mad(&[&["clean"], args].concat());
        mad.env("PATH", fixture.path("nothing")).run().exits(0)
    };
    clean(&["--plan"]).says(&["process group", "a run that was killed", "would be removed"]);
    assert!(alive(&marker(&fixture)));
    let removed = clean(&[]);
    assert!(removed.stdout.contains("removed"), "{}", removed.said());
    eventually("the script ends", || !alive(&marker(&fixture)));
    assert_eq!(clean(&[]).stdout, "nothing is left over\n");
}

#[test]
fn the_next_run_ends_what_outlived_harness_and_supervisor() {
    let fixture = orphan();
    fixture.write("scripts/m/run.sh", "echo 'performance: 2 x/s'\n");
    fixture.mad(&["benchmark"]).run().exits(0).says(&["left over from a killed run"]);
    eventually("the script ends", || !alive(&marker(&fixture)));
}

/// Starts and ends of a critical section, as the scripts below wrote them.
const SECTION: &str = "echo \"start $MAD_MODEL_NAME $$\" >> \"$DIR/marks\"\n\
                       sleep 0.05\n\
                       echo \"end $MAD_MODEL_NAME $$\" >> \"$DIR/marks\"\n\
                       echo 'performance: 1 x/s'";

#[test]
fn two_runs_at_once_neither_overlap_nor_lose_rows() {
    let fixture = Fixture::empty()
        .entry("a", SECTION, json!({}))
        .entry("b", SECTION, json!({}))
        .entry("c", SECTION, json!({}));
    let start = |args: &[&str]| fixture.mad(args).start();
    let running = [start(&["benchmark"]), start(&["benchmark"]), start(&["__test-target"])];
    for run in running {
        run.wait().exits(0);
    }
    assert_eq!(fixture.rows().len(), 9);
    assert!(fixture.rows().iter().all(|r| r.get("status") == "SUCCESS"));
    let marks = fixture.text("marks");
    let marks: Vec<&str> = marks.lines().collect();
    assert_eq!(marks.len(), 18);
    for pair in marks.chunks(2) {
        let (start, end) = (pair[0].strip_prefix("start "), pair[1].strip_prefix("end "));
        assert_eq!(start, end, "{marks:?}");
    }
}

#[test]
fn entries_that_share_the_cpu_run_together() {
    // Each waits for the other: alone, neither would end.
    let meet = |mine: &str, other: &str| {
        format!(
            "touch \"$DIR/{mine}\"; until [ -e \"$DIR/{other}\" ]; do sleep 0.01; done; \
             echo 'performance: 1 x/s'"
        )
    };
    let shared = json!({ "bench": {"exclusive": false} });
    let fixture = Fixture::empty().entry("a", &meet("one", "two"), shared.clone()).entry(
        "b",
        &meet("two", "one"),
        shared,
    );
    let target = fixture.target(&["bench::", "--test-threads", "2"]);
    target.run().exits(0);
}

#[test]
fn places_that_cannot_be_written() {
    let fixture = Fixture::with("m", "echo 'performance: 1 x/s'");
    fs::write(fixture.path("file"), "").expect("a file");
    fs::create_dir(fixture.path("directory")).expect("a directory");
    let run_dir = fixture.mad(&["benchmark", "--run-dir", "file/runs"]).run().exits(4);
    run_dir.says(&["cannot make the run directory file/runs", "--run-dir or MAD_RUN_DIR"]);
    fixture.target(&["--run-dir", "file/runs"]).run().exits(4).says(&["--run-dir or MAD_RUN_DIR"]);
    for output in ["file/perf.csv", "directory", "/dev/full"] {
        let ran = fixture.mad(&["benchmark", "--output", output]).run().exits(3);
        ran.says(&[&format!("cannot append to {output}")]);
    }
    let leases = fixture.mad(&["benchmark"]).env("MAD_LEASE_DIR", fixture.path("file")).run();
    leases.exits(4).says(&["for lease files", "MAD_LEASE_DIR"]);
    fs::write(fixture.path("perf.csv"), "a,b\n").expect("a file");
    fixture.mad(&["benchmark"]).run().exits(3).says(&["it is no perf.csv", "--output"]);
    assert_eq!(fixture.text("perf.csv"), "a,b\n");
}

/// A limit on the size of files stands for a disk that is full for large ones.
#[test]
fn a_log_that_does_not_fit_on_the_disk() {
    let body = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo 'performance: 1 x/s'";
    let fixture = Fixture::with("m", body);
    let limited = "trap '' XFSZ; ulimit -f 256; exec \"$@\"";
    let ran = fixture.mad(&["benchmark"]).through_shell(limited).run().exits(0);
    ran.says(&["run.log is incomplete: File too large"]);
    assert_eq!(fixture.rows()[0].get("performance"), "1");
}

#[test]
fn a_disk_without_any_room() {
    let fixture = Fixture::with("m", "echo 'performance: 1 x/s'");
    let full = "trap '' XFSZ; exec 1>&- 2>\"$MAD_RUN_DIR.said\"; ulimit -f 0; exec \"$@\"";
    let ran = fixture.mad(&["benchmark"]).through_shell(full).run();
    assert_ne!(ran.status, 0, "{}", ran.said());
    assert!(!fixture.path("perf.csv").exists() || fixture.text("perf.csv").is_empty());
    assert_eq!(half_written(&fixture.path("mad")), Vec::<String>::new());
}

/// JSON files below `dir` that are none.
fn half_written(dir: &Path) -> Vec<String> {
    let mut broken = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            broken.extend(half_written(&path));
        } else if path.extension().is_some_and(|e| e == "json") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            if serde_json::from_str::<serde_json::Value>(&text).is_err() {
                broken.push(path.display().to_string());
            }
        }
    }
    broken
}
