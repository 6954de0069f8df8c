//! `mad mcp`, called by the official Python client: what `client.py` asks, and what it must be
//! told.

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use common::{Fixture, Mad, alive, eventually, shipped_for_agents};
use serde_json::{Value, json};

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mcp/client.py");

/// The interpreter that has the package `mcp`, if there is one; where it must be, it is an error
/// that there is none.
fn python() -> Option<String> {
    let python = std::env::var("MAD_TEST_MCP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import mcp"]).output();
    let found = found.is_ok_and(|o| o.status.success());
    let required = std::env::var_os("MAD_TESTS_REQUIRE_MCP").is_some();
    assert!(found || !required, "MAD_TESTS_REQUIRE_MCP: {python} has no package `mcp`");
    if !found {
        eprintln!("skipped: {python} has no package `mcp` (MAD_TEST_MCP_PYTHON names another)");
    }
    found.then_some(python)
}

/// The client, about to play a scenario.
fn client(fixture: &Fixture, python: &str, scenario: &str) -> Mad {
    let script = format!("exec '{python}' -u '{CLIENT}' {scenario} \"$@\"");
    fixture.mad(&["mcp"]).through_shell(&script)
}

/// An entry that leaves word when it was run.
fn counted() -> Fixture {
    Fixture::with("m", "echo \"${FACTOR:-1}\" >>\"$DIR/was-run\"\necho 'performance: 5 x/s'")
}

/// An entry that runs until it is ended.
fn sleeper() -> Fixture {
    Fixture::with("m", "(exec -a \"$DIR/marker\" sleep 1000)\necho 'performance: 1 x/s'")
}

fn marker(fixture: &Fixture) -> String {
    fixture.path("marker").display().to_string()
}

#[test]
fn the_tools_and_what_they_take() {
    let Some(python) = python() else { return };
    let listed = client(&counted(), &python, "tools").run().exits(0).stdout;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let named: BTreeSet<String> = shipped_for_agents()
        .iter()
        .flat_map(|(_, text)| text.split("mcp__mad__").skip(1))
        .map(|rest| rest.split(|c: char| !(c.is_alphanumeric() || c == '-')).next().unwrap_or(""))
        .map(str::to_owned)
        .collect();
    let tools = listed.as_array().expect("a list").iter();
    let tools: BTreeSet<String> =
        tools.map(|t| t["name"].as_str().expect("a name").to_owned()).collect();
    assert_eq!(named, tools, "what agents/ names, and what there is");
    insta::assert_json_snapshot!(listed);
}

#[test]
fn every_tool_answers() {
    let Some(python) = python() else { return };
    let fixture = counted().entry("fails", "exit 1", json!({}));
    client(&fixture, &python, "every_tool").run().exits(0);
}

#[test]
fn a_regression_is_an_answer() {
    let Some(python) = python() else { return };
    let fixture = Fixture::with("m", "echo 'performance: 100 x/s'");
    fixture.mad(&["benchmark", "--samples", "5"]).run();
    fixture.mad(&["baseline", "accept"]).run().exits(0);
    fixture.write("scripts/m/run.sh", "echo 'performance: 10 x/s'\n");
    client(&fixture, &python, "regression").run().exits(0);
}

#[test]
fn a_call_that_is_cancelled_ends_its_script() {
    let Some(python) = python() else { return };
    client(&sleeper(), &python, "cancel").run().exits(0);
}

#[test]
fn a_client_that_goes_takes_its_runs_with_it() {
    let Some(python) = python() else { return };
    client(&sleeper(), &python, "disconnect").run().exits(0);
}

#[test]
fn a_server_that_is_killed_leaves_nothing() {
    let Some(python) = python() else { return };
    client(&sleeper(), &python, "kill").run();
}

#[test]
fn a_client_that_is_killed_leaves_nothing() {
    let Some(python) = python() else { return };
    let fixture = sleeper();
    let running = client(&fixture, &python, "die").start();
    eventually("the script runs", || alive(&marker(&fixture)));
    running.signal("KILL");
    eventually("the script is gone", || !alive(&marker(&fixture)));
}

#[test]
fn bad_input_is_refused_and_the_server_goes_on() {
    let Some(python) = python() else { return };
    let fixture = counted();
    std::os::unix::fs::symlink("/etc/passwd", fixture.root().join("link")).expect("a link");
    client(&fixture, &python, "bad").run().exits(0);
}

#[test]
fn standard_output_has_nothing_but_the_protocol() {
    let Some(python) = python() else { return };
    let fixture = Fixture::with_catalog("[{");
    client(&fixture, &python, "raw").run().exits(0);
}

#[test]
fn a_root_that_is_not_there_is_an_error() {
    let fixture = counted();
    let missing = fixture.mad(&["mcp", "--root", "/nonexistent"]).run();
    missing.exits(4).says(&["/nonexistent", "no such directory"]);
    // Nobody on the other side.
    fixture.mad(&["mcp"]).run().exits(0);
    assert!(Path::new(CLIENT).exists());
}
