//! What a catalog may look like, what is said when it is broken, and which entries a
//! tag means.

mod common;

use common::{Fixture, check};
use serde_json::{Value, json};

/// Entries of `mad discover --json` by name, in order.
fn names(fixture: &Fixture, words: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["--json", "discover"].iter().chain(words).copied().collect();
    let listed = fixture.mad(&args).run().exits(0).json();
    let id = |entry: &Value| entry["mad"]["id"].as_str().expect("an id").to_owned();
    listed.as_array().expect("an array").iter().map(id).collect()
}

/// `models.json` with this text: `discover` finds fault, nothing can be run.
#[track_caller]
fn is_refused(text: impl AsRef<[u8]>, complaints: &[&str]) {
    let fixture = Fixture::with_catalog(text);
    let discover = fixture.mad(&["discover"]).run().exits(1).says(complaints);
    assert_eq!(discover.stdout, "", "nothing is listed");
    fixture.mad(&["benchmark"]).run().exits(4).says(complaints);
    fixture.mad(&["baseline", "list"]).run().exits(4);
    fixture.target(&[]).run().exits(101).says(complaints);
    assert!(!fixture.path("perf.csv").exists());
}

fn tagged(name: &str, tags: &[&str]) -> Value {
    json!({ "name": name, "scripts": "run.sh", "n_gpus": "0", "tags": tags })
}

/// A root file and two scopes that reuse its names and tags.
fn scoped() -> Fixture {
    let fixture = Fixture::with_catalog(
        json!([tagged("one", &["fp16", "x"]), tagged("two", &["x"])]).to_string(),
    );
    for scope in ["left", "right"] {
        let entries = json!([tagged("one", &["fp16"]), tagged("three", &["x"])]);
        fixture.write(&format!("scripts/{scope}/models.json"), entries.to_string());
    }
    fixture
}

#[test]
fn a_broken_file_is_refused_with_its_place() {
    is_refused("", &["models.json", "the file is empty"]);
    is_refused(" \n", &["the file is empty"]);
    is_refused("[\n  {\"name\": \"a\",\n", &["models.json", "not valid JSON", "EOF"]);
    is_refused(b"[\n{\"name\": \"\xff\"}]", &["not UTF-8", "in line 2"]);
    is_refused("{\"name\": \"a\"}", &["must be an array"]);
    is_refused("42", &["must be an array"]);
    is_refused("[]", &["the catalog has no entry"]);
}

#[test]
fn a_broken_entry_does_not_hide_the_others() {
    let good = tagged("good", &[]);
    let text = json!([null, 7, {"scripts": "x.sh"}, {"name": 5}, good]).to_string();
    let fixture = Fixture::with_catalog(text);
    let ran = fixture.mad(&["--json", "discover"]).run().exits(1).says(&[
        "this is null",
        "this is a number",
        "the entry has no `name`",
        "`name` must be a word, this is 5",
    ]);
    assert_eq!(ran.json()[0]["name"], "good");
}

#[test]
fn all_problems_of_all_files_are_said_at_once() {
    let fixture = Fixture::with_catalog("[{\"name\": \"a\", \"n_gpus\": []}, null]");
    fixture.write("scripts/one/models.json", "[");
    fixture.write("scripts/two/models.json", "{}");
    fixture.write("mad.toml", "[defaults]\nsampels = 3\n");
    let ran = fixture.mad(&["discover"]).run().exits(1);
    ran.says(&[
        "n_gpus",
        "null",
        "scripts/one/models.json",
        "scripts/two/models.json",
        "mad.toml",
        "sampels",
    ]);
}

#[test]
fn values_of_a_wrong_type_fail_their_entry_alone() {
    let fixture = Fixture::empty().entry("good", "echo performance: 1 x/s", json!({})).entry(
        "bad",
        "echo performance: 1 x/s",
        json!({ "n_gpus": "many", "timeout": [] }),
    );
    fixture.mad(&["discover"]).run().exits(1).says(&["`n_gpus`", "many", "`timeout`", "good"]);
    let ran = fixture.mad(&["benchmark"]).run().exits(3);
    ran.says(&["the entry is not valid", "`n_gpus`"]);
    assert_eq!(fixture.rows()[0].get("status"), "SUCCESS");
    assert_eq!(fixture.rows()[1].get("status"), "FAILURE");
}

#[test]
fn a_name_is_used_once() {
    let text = json!([tagged("a", &[]), tagged("b", &[]), tagged("a", &["other"])]).to_string();
    let fixture = Fixture::with_catalog(text);
    let ran = fixture.mad(&["--json", "discover"]).run().exits(1);
    assert_eq!(ran.json().as_array().expect("an array").len(), 2);
    ran.says(&["the name `a` exists already"]);
    fixture.mad(&["benchmark"]).run().exits(4).says(&["the name `a` exists already"]);
}

#[test]
fn nested_entries_are_named_and_found_below_their_directory() {
    let fixture = Fixture::empty();
    let entry = json!([{
        "name": "m",
        "scripts": "../common/run.sh",
        "dockerfile": "../../docker/m",
        "n_gpus": 0,
        "my_key": {"kept": true},
    }]);
    fixture.write("scripts/nested/models.json", entry.to_string());
    let listed = fixture.mad(&["--json", "discover"]).run().exits(0).json();
    assert_eq!(listed[0]["name"], "nested/m");
    assert_eq!(listed[0]["scripts"], "scripts/common/run.sh");
    assert_eq!(listed[0]["dockerfile"], "docker/m");
    assert_eq!(listed[0]["my_key"]["kept"], true);
    assert_eq!(listed[0]["mad"]["file"], "scripts/nested/models.json");
}

#[test]
fn a_value_that_cannot_be_read_is_an_error_even_in_an_unknown_key() {
    let text = r#"[{"name": "m", "scripts": "run.sh", "n_gpus": 0, "note": 1e999}]"#;
    let fixture = Fixture::with_catalog(text);
    fixture.write("run.sh", "echo 'performance: 1 x/s'\n");
    fixture.mad(&["validate"]).run().exits(1).says(&["MAD002", "number out of range"]);
    fixture.mad(&["benchmark"]).run().exits(3).says(&["number out of range"]);
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let fixture = Fixture::with_catalog(format!("\u{feff}{}", json!([tagged("m", &[])])));
    assert_eq!(names(&fixture, &[]), ["m"]);
}

#[test]
fn no_catalog_at_all() {
    let fixture = Fixture::empty();
    fixture.mad(&["discover"]).run().exits(1).says(&["there is no models.json", "--root DIR"]);
    fixture.mad(&["benchmark"]).run().exits(4).says(&["there is no models.json"]);
    fixture.target(&[]).run().exits(101).says(&["there is no models.json"]);
}

#[test]
fn five_thousand_entries() {
    let entries: Vec<Value> = (0..5000).map(|i| tagged(&format!("m{i}"), &["t"])).collect();
    let fixture = Fixture::with_catalog(Value::from(entries).to_string());
    fixture.write("run.sh", "echo 'performance: 1 x/s'\n");
    let listed = fixture.target(&["--list"]).run().exits(0);
    assert_eq!(listed.stdout.lines().count(), 15_001);
    let case = fixture.target(&["--exact", "validate::m4321"]).run().exits(0);
    case.says(&["validate::m4321 ... ok", "1 passed"]);
}

#[test]
fn a_list_for_people_and_one_for_programs() {
    let fixture = Fixture::empty()
        .entry("rust_small_line", "echo performance: 1 x/s", json!({ "tags": "cpu, quick" }))
        .entry(
            "pyt_large_csv",
            "cp given.csv results.csv",
            json!({ "n_gpus": -1, "training_precision": "fp16", "multiple_results": "results.csv",
                    "args": "--size 'a b'", "timeout": "60" }),
        );
    let text = fixture.mad(&["discover"]).run().exits(0).stdout;
    let json = fixture.mad(&["discover", "--json"]).run().exits(0).stdout;
    check(|| insta::assert_snapshot!("discover_table", text));
    check(|| insta::assert_snapshot!("discover_json", json));
}

#[test]
fn a_name_a_tag_and_all() {
    let fixture = scoped();
    let everything = ["one", "two", "left/one", "left/three", "right/one", "right/three"];
    assert_eq!(names(&fixture, &[]), everything);
    assert_eq!(names(&fixture, &["all"]), everything);
    assert_eq!(names(&fixture, &["two"]), ["two"]);
    assert_eq!(names(&fixture, &["left/three"]), ["left/three"]);
    assert_eq!(names(&fixture, &["x"]), ["one", "two", "left/three", "right/three"]);
}

#[test]
fn a_scope_holds_its_own_entries_alone() {
    let fixture = scoped();
    assert_eq!(names(&fixture, &["left/all"]), ["left/one", "left/three"]);
    assert_eq!(names(&fixture, &["left/x"]), ["left/three"]);
    // A bare name is never one of a scope.
    assert_eq!(names(&fixture, &["one"]), ["one"]);
    for nothing in ["three", "left/two", "lef/all", "left/", "nowhere/all"] {
        fixture.mad(&["discover", nothing]).run().exits(2);
    }
}

#[test]
fn tags_add_up_without_repetition_in_the_order_of_the_catalog() {
    let fixture = scoped();
    let expected = ["one", "two", "right/one"];
    assert_eq!(names(&fixture, &["right/one", "two", "one", "two"]), expected);
    assert_eq!(names(&fixture, &["right/one,two,,one"]), expected);
    assert_eq!(names(&fixture, &["--tags", "right/one,two", "-t", "one"]), expected);
    let by_variable = fixture.mad(&["--json", "discover"]).env("MAD_TAGS", "two, one").run();
    assert_eq!(by_variable.exits(0).json().as_array().expect("an array").len(), 2);
}

#[test]
fn a_selection_can_add_arguments() {
    let fixture = scoped();
    let ids = names(&fixture, &["one:size=4:fast", "one", "one:size=4:fast"]);
    assert_eq!(ids, ["one:size=4:fast", "one"]);
    let listed = fixture.mad(&["--json", "discover", "one:size=4:fast"]).run().json();
    assert_eq!(listed[0]["args"], " --size 4 --fast");
    assert_eq!(names(&fixture, &["x:n=1"]).len(), 4, "a tag can have arguments too");
}

#[test]
fn a_tag_that_matches_nothing_is_an_error_with_a_suggestion() {
    let fixture = scoped();
    for command in ["discover", "benchmark", "validate"] {
        let ran = fixture.mad(&[command, "fp61", "two", "zzz"]).run().exits(2);
        ran.says(&["`fp61`", "did you mean `fp16`?", "`zzz`", "`mad discover` lists them"]);
    }
    fixture.mad(&["discover", "three"]).run().exits(2).says(&["did you mean `left/three`?"]);
    fixture.target(&["--tags", "fp61"]).run().exits(2).says(&["did you mean `fp16`?"]);
}

#[test]
fn arguments_that_make_no_sense() {
    let fixture = Fixture::with("m", "echo performance: 1 x/s");
    for args in [
        &["frobnicate"][..],
        &["benchmark", "--samples", "0"],
        &["benchmark", "--samples", "many"],
        &["benchmark", "--timeout", "-3"],
        &["benchmark", "--timeout", "nan"],
        &["benchmark", "--kill-grace", "-1"],
        &["benchmark", "--ngpus", "x"],
        &["benchmark", "--engine", "podman"],
        &["-q", "-v", "discover"],
        &["report", "--format", "yaml"],
    ] {
        let ran = fixture.mad(args).run().exits(4);
        assert!(ran.stderr.contains("error: "), "{args:?}: {}", ran.said());
    }
    fixture.target(&["--no-such-flag"]).run().exits(4);
    fixture.mad(&["benchmark"]).env("MAD_SAMPLES", "0").run().exits(4);
}

#[test]
fn every_command_explains_itself() {
    let fixture = Fixture::empty();
    for command in [
        "",
        "discover",
        "validate",
        "add-model",
        "benchmark",
        "build",
        "clean",
        "baseline",
        "baseline accept",
        "baseline list",
        "baseline show",
        "baseline diff",
        "baseline rm",
        "report",
        "history",
        "machine",
        "schema",
        "completions",
        "man",
        "selftest gate",
        "__test-target",
    ] {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        // The values of the variables above do not belong in a snapshot.
        let ran = [
            "MAD_ROOT",
            "MAD_RUN_DIR",
            "MAD_KILL_GRACE",
            "MAD_ACCEPTED_BY",
            "MAD_AGREE",
            "MAD_CONTAINER_ENGINE",
        ]
        .iter()
        .fold(fixture.mad(&args), |mad, variable| mad.env_remove(variable))
        .run();
        let help = ran.exits(0).stdout;
        let name = format!("help {command}").trim().replace(' ', "_");
        check(|| insta::assert_snapshot!(name, help));
    }
}

#[cfg(not(feature = "mcp"))]
#[test]
fn a_build_without_the_tools_of_agents_says_how_to_get_them() {
    let ran = Fixture::empty().mad(&["mcp"]).run().exits(4);
    assert_eq!(ran.stdout, "");
    ran.says(&["this build serves no tools", "--features mcp"]);
}
