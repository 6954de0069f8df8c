//! The test target under the real `cargo nextest`, a process per case.

mod common;

use std::path::Path;
use std::process::Command;

use common::Fixture;
use serde_json::json;

/// `cargo nextest` on the test target of this package, with the catalog of `fixture`.
fn nextest(fixture: &Fixture, args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(["nextest"]).args(args).args(["--test", "models", "--offline", "--color=never"]);
    // The build that is there anyway, rather than one of another profile.
    let built = Path::new(env!("CARGO_BIN_EXE_mad")).parent().and_then(Path::file_name);
    if built.is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    // Cargo needs its own environment; what steers the harness must be ours.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["MAD_", "NEXTEST"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(&*name);
        }
    }
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("MAD_ROOT", fixture.root())
        .env("MAD_RUN_DIR", fixture.path("mad"))
        .env("MAD_LEASE_DIR", fixture.path("leases"))
        .env("MAD_OUTPUT", fixture.path("perf.csv"))
        .env("DIR", fixture.path(""));
    command
}

fn said(command: &mut Command) -> (bool, String) {
    let output = command.output().expect("cargo starts");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn nextest_lists_runs_and_skips() {
    let installed = Command::new("cargo").args(["nextest", "--version"]).output();
    if !installed.is_ok_and(|o| o.status.success()) {
        eprintln!("skipped: cargo-nextest is not installed");
        return;
    }
    let script = "echo x >> \"$DIR/starts\"; echo \"performance: ${VALUE:-100} tok/s\"";
    let fixture = Fixture::empty().entry("runs", script, json!({})).entry(
        "huge",
        script,
        json!({ "n_gpus": 4000 }),
    );
    fixture.mad(&["benchmark"]).run().exits(0);
    fixture.mad(&["baseline", "accept"]).run().exits(0);
    std::fs::remove_file(fixture.path("starts")).expect("it was started");

    let (good, text) = said(&mut nextest(&fixture, &["list"]));
    assert!(good, "{text}");
    assert!(text.contains("bench::runs") && !text.contains("bench::huge"), "{text}");

    let (good, text) = said(&mut nextest(&fixture, &["run"]));
    assert!(good, "{text}");
    assert!(text.contains("5 tests run: 5 passed") && text.contains("2 skipped"), "{text}");
    assert_eq!(fixture.text("starts").lines().count(), 1, "two cases, one measurement");
    assert_eq!(fixture.rows().len(), 3, "accepted, skipped and measured");
    fixture.mad(&["report", "--gate"]).run().exits(0);

    let (good, text) = said(nextest(&fixture, &["run"]).env("VALUE", "50"));
    assert!(!good, "{text}");
    assert!(text.contains("Error: tok/s: regressed: 50 is 50.0 % worse"), "{text}");
    // nextest's own status says that something failed, not what.
    fixture.mad(&["report", "--gate"]).run().exits(5);
}
