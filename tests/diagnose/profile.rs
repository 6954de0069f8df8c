//! `mad profile`: one execution with a tool, whose number never counts.

use serde_json::{Value, json};

use super::traces::{self, ops};
use super::{Fixture, mad};

const SCRIPT: &str = "sleep 3\necho performance: 5 x\n";

/// An entry, and tools of the catalog's own; `$TRACES` is where traces lie.
fn fixture(script: &str, tools: Value) -> Fixture {
    let fixture = Fixture::with("a", script);
    let traces = fixture.path("given");
    std::fs::create_dir(&traces).expect("a directory");
    traces::pytorch(&traces, &ops("launch"));
    traces::rtl_database(&traces, &ops("memory"));
    let text = json!({ "tools": tools }).to_string();
    let text = text.replace("$TRACES", &traces.to_string_lossy());
    fixture.write("scripts/common/tools.json", text);
    fixture
}

/// The record of the only execution.
fn execution(fixture: &Fixture) -> (Value, String) {
    let runs = std::fs::read_dir(fixture.path("mad/runs")).expect("a run");
    let run = runs.last().expect("a run").expect("a run").path();
    let attempt = run.join("a/attempt-1");
    let text = |name: &str| std::fs::read_to_string(attempt.join(name)).expect("a record");
    let record: Value = serde_json::from_str(&text("measurement.json")).expect("JSON");
    (record["executions"][0].clone(), text("execution-1/run.log"))
}

#[test]
fn the_builtin_needs_nothing_and_its_number_never_counts() {
    let fixture = fixture(SCRIPT, json!({}));
    let ran = mad(&fixture, &["--json", "profile", "a"]).exits(0);
    let said = ran.json();
    assert_eq!(said["schema"], "mad-profile/1");
    assert_eq!(said["tools"], json!(["builtin"]));
    let host = &said["diagnosis"]["host"];
    assert!(host["wall_s"].as_f64().is_some_and(|s| s > 0.0), "{host}");
    assert!(host["max_rss_bytes"].as_u64().is_some_and(|b| b > 0), "{host}");

    let (execution, _) = execution(&fixture);
    assert_eq!(execution["profiled"], true);
    assert_eq!(execution["samples"][0]["value"], 5.0);
    // No row, no baseline, no history.
    assert!(!fixture.path("perf.csv").exists());
    mad(&fixture, &["baseline", "accept"]).exits(1).says(&["was profiled"]);
    let history = mad(&fixture, &["--json", "history"]).exits(0).json();
    assert_eq!(history["series"], json!([]));
}

/// What a tool wrote is kept beside the record, and diagnosed; the scripts are not.
#[test]
fn what_a_tool_writes_is_diagnosed() {
    let tool = json!({"copier": {"cmd": "cp $TRACES/trace.db . &&", "env_vars": {"SEEN": "yes"}}});
    let fixture = fixture("echo \"performance: 5 seen_$SEEN\"", tool);
    let ran = mad(&fixture, &["profile", "a", "--tool", "copier"]).exits(0);
    let ran = ran.says(&["bottleneck: memory", "levers for generic", "do not count", "trace.db"]);
    assert!(!ran.stdout.contains("run.sh"), "{}", ran.stdout);
    let (execution, log) = execution(&fixture);
    assert_eq!(execution["samples"][0]["metric"], "seen_yes");
    assert!(log.contains("performance"), "{log}");
}

/// The last tool is outermost, and the same command is not put twice.
#[test]
fn stacked_tools_nest_as_those_of_madengine() {
    let fixture = fixture("echo performance: 5 x", json!({}));
    let tools = "test_tools_A,test_tools_B,test_tools_A";
    mad(&fixture, &["profile", "a", "--tool", tools]).exits(0);
    let (_, log) = execution(&fixture);
    let said: Vec<&str> = log.lines().filter(|line| line.starts_with("cmd_")).collect();
    assert_eq!(said, ["cmd_B", "cmd_A"]);
}

#[test]
fn a_tool_that_does_not_work_is_a_failure_with_what_to_do() {
    let tools = json!({
        "absent": {"cmd": "absent-profiler --", "program": "absent-profiler"},
        "broken": {"cmd": "exit 7;"},
        "silent": {"cmd": "true &&"},
        // As on a full disk: the trace ends somewhere.
        "cut": {"cmd": "head -c 20000 $TRACES/*.json >cut.json;"},
        "scripted": {"cmd": "", "pre_scripts": [{"path": "scripts/common/pre.sh"}]},
    });
    let fixture = fixture("echo performance: 5 x", tools);
    for (tool, status, parts) in [
        ("rocprofv3_compote", 4, ["did you mean `rocprofv3_compute`?", ""]),
        ("absent", 4, ["needs `absent-profiler`, which is not on the PATH", "mad profile --list"]),
        ("broken", 3, ["the profiled execution failed", "7"]),
        ("silent", 1, ["the tool wrote nothing that can be diagnosed", ""]),
        ("cut", 1, ["ends in the middle", "bottleneck: launch"]),
        ("scripted", 4, ["run in a container only", "--engine container"]),
    ] {
        mad(&fixture, &["profile", "a", "--tool", tool]).exits(status).says(&parts);
    }
    assert!(!fixture.path("perf.csv").exists());
}

#[test]
fn the_tools_are_listed() {
    let fixture = fixture("", json!({"mine": {"cmd": "x", "about": "my own"}}));
    mad(&fixture, &["profile", "--list"]).exits(0).says(&["rocprofv3_compute", "nsys", "my own"]);
    mad(&fixture, &["profile", "absent"]).exits(2);
    fixture.write("scripts/common/tools.json", "{\"tools\": [");
    mad(&fixture, &["profile", "a"]).exits(4).says(&["tools.json"]);
}
