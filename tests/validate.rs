//! `mad validate` for other programs: formats, mending, watching.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{Fixture, eventually};
use serde_json::json;

/// A catalog in which every kind of thing is wrong that can be mended.
fn mendable() -> Fixture {
    let fixture = Fixture::with_catalog(
        "\u{feff}[\n  {\n    \"name\": \"a\", \"scripts\": \"s/run.sh\", \"onwer\": \"me, myself\",\n    \
         \"dockerfile\": \"docker/a\", \"tags\": [\"x\",], \"n_gpus\": 0, \"training_precision\": \"\",\n  },\n]\n",
    );
    fixture.write("s/run.sh", "#!/bin/bash\r\necho 'performance: 1 x/s'\r\n");
    let script = fixture.root().join("s/run.sh");
    fs::set_permissions(script, fs::Permissions::from_mode(0o750)).unwrap();
    fixture.write("docker/a.ubuntu.amd.Dockerfile", "FROM x\n");
    fixture
}

fn text(fixture: &Fixture, path: &str) -> String {
    fs::read_to_string(fixture.root().join(path)).unwrap()
}

#[test]
fn what_can_be_mended_is_mended() {
    let fixture = mendable();
    let ran = fixture.mad(&["validate", "--fix"]).run().exits(0);
    ran.says(&[
        "fixed models.json:4",
        "MAD001",
        "MAD022",
        "MAD031",
        "MAD060",
        "6 fixed",
        "1 entry: nothing to complain about",
    ]);
    assert_eq!(
        text(&fixture, "models.json"),
        "\u{feff}[\n  {\n    \"name\": \"a\", \"scripts\": \"s/run.sh\", \"owner\": \"me, myself\",\n    \
         \"dockerfile\": \"docker/a\", \"tags\": [\"x\"], \"n_gpus\": 0, \"training_precision\": \"\"\n  }\n]\n"
    );
    assert_eq!(text(&fixture, "s/run.sh"), "#!/bin/bash\necho 'performance: 1 x/s'\n");
    let mode = fixture.root().join("s/run.sh").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o750);
    assert_eq!(
        text(&fixture, "docker/a.ubuntu.amd.Dockerfile"),
        "# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}\nFROM x\n"
    );
    let again = fixture.mad(&["validate", "--fix"]).run().exits(0);
    assert_eq!(again.stderr, "");
}

#[test]
fn a_dry_run_mends_nothing() {
    let fixture = mendable();
    let before = text(&fixture, "models.json");
    let said = fixture.mad(&["validate", "--fix", "--dry-run"]).run().exits(1);
    said.says(&["--- a/models.json", "+    \"dockerfile\"", "MAD001"]);
    assert_eq!(text(&fixture, "models.json"), before);
    assert_eq!(text(&fixture, "docker/a.ubuntu.amd.Dockerfile"), "FROM x\n");
    fixture.mad(&["validate", "--dry-run"]).run().exits(4).says(&["--fix"]);
}

#[test]
fn what_needs_a_decision_is_left_alone() {
    // Two values, a comma too many in the middle, a vendor that no name says, a typo beside
    // the right key, a program's entry.
    let text_of = |key: &str| {
        format!(
            "[{{\"name\": \"a\", \"scripts\": \"run.sh\", {key}, \"dockerfile\": \"docker/a\"}}]"
        )
    };
    for key in
        ["\"owner\": \"x\", \"owner\": \"y\"", "\"tags\": [,]", "\"owner\": \"\", \"onwer\": \"\""]
    {
        let fixture = Fixture::with_catalog(text_of(key));
        fixture.write("run.sh", "echo 'performance: 1 x/s'\n");
        fixture.write("docker/a.Dockerfile", "FROM x\n");
        let ran = fixture.mad(&["validate", "--fix"]).run().exits(1);
        assert!(!ran.stderr.contains("fixed"), "{}", ran.stderr);
        assert_eq!(text(&fixture, "models.json"), text_of(key));
        assert_eq!(text(&fixture, "docker/a.Dockerfile"), "FROM x\n");
    }
}

#[test]
fn paths_are_those_of_the_repository() {
    let fixture = Fixture::with_catalog("[{\"name\": \"a\"}]");
    let annotations = fixture.mad(&["validate", "--format", "github"]).run().exits(1).stdout;
    assert!(
        annotations.contains("\n::error file=catalog/models.json,line=1,col=2,"),
        "{annotations}"
    );
    let log = fixture.mad(&["validate", "--format", "sarif"]).run().exits(1).json();
    let location = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "catalog/models.json");
    let inside = fixture.mad(&["--root", ".", "validate", "--format", "sarif"]);
    let log = inside.through_shell("cd catalog; \"$@\"").run().exits(1).json();
    let location = &log["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "models.json");
}

#[test]
fn it_watches_until_ctrl_c() {
    let fixture = Fixture::with("m", "echo performance: 1 x/s");
    let watching = fixture.mad(&["validate", "--watch"]).start();
    let shows = |words: &str| eventually(words, || watching.printed().contains(words));
    shows("1 entry: nothing to complain about\nwatching");
    let script = fixture.root().join("scripts/m/run.sh");
    let good = fs::read(&script).unwrap();
    fs::write(&script, "if true\n").unwrap();
    shows("MAD023");
    fs::write(&script, good).unwrap();
    let good_again = || watching.printed().matches("nothing to complain about").count() == 2;
    eventually("it is good again", good_again);
    fs::write(fixture.root().join("models.json"), "[").unwrap();
    shows("MAD001");
    watching.signal("INT");
    assert_eq!(watching.wait().status, -2);
    fixture.mad(&["validate", "--watch", "--json"]).run().exits(4);
}

/// What an editor is told for this repository.
#[test]
fn the_editor_finds_the_schema() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let settings = fs::read_to_string(here.join(".vscode/settings.json")).unwrap();
    let settings: serde_json::Value = serde_json::from_str(&settings).unwrap();
    let schema = &settings["json.schemas"][0];
    assert_eq!(schema["fileMatch"], json!(["/models.json", "/scripts/*/models.json"]));
    assert!(here.join(schema["url"].as_str().unwrap()).is_file());
}
