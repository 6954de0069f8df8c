//! The entries of models.json, each with the outcome that entries.toml says.

use serde_json::{Value, json};

use crate::catalog::{fixture, has_python};
use crate::common::Fixture;
use crate::containers::with_base;
use crate::engine::Engine;
use crate::outcome::check;
use crate::table::{Table, section};

/// The outcomes of these entries.
pub(crate) fn outcomes(names: &[String]) -> Table {
    let sections = ["compared", "options"].map(|name| section("entries.toml", name));
    sections.into_iter().flatten().filter(|(name, _)| names.contains(name)).collect()
}

/// Names of the entries that have the first tag and none of the others.
fn with_tag(fixture: &Fixture, tag: &str, without: &[&str]) -> Vec<String> {
    let listed = fixture.mad(&["--json", "discover", tag]).run().exits(0).json();
    let entries: Vec<Value> = serde_json::from_value(listed).expect("an array");
    let has = |e: &Value, tag: &&str| {
        e["tags"].as_array().is_some_and(|tags| tags.iter().any(|t| t == tag))
    };
    entries
        .iter()
        .filter(|e| !without.iter().any(|tag| has(e, tag)))
        .map(|e| e["name"].as_str().expect("a name").to_owned())
        .collect()
}

pub(crate) fn on_the_host() {
    let fixture = fixture();
    let mut names = with_tag(&fixture, "compat", &["image", "slow"]);
    if has_python() {
        names.push("python".to_owned());
    }
    let args = ["--json", "benchmark", "--engine", "host", "--tags", &names.join(",")];
    // One of them has no data to run with.
    let ran = fixture.mad(&args).run().exits(2);
    let expected = outcomes(&names);
    assert_eq!(expected.len(), names.len(), "entries.toml lacks some of {names:?}");
    check(&fixture, &ran.json(), &expected);
}

/// Those that say something about containers, and a few of the others.
pub(crate) fn in_containers(engine: &Engine) {
    let names = [
        "plain",
        "environment",
        "table",
        "table_stale",
        "errors",
        "fails",
        "headless",
        "no_dockerfile",
        "entry_env",
        "vendor",
        "which",
        "data_local",
        "data_gone",
        "nested/entry",
        "nested/front",
    ]
    .map(str::to_owned);
    // A few at a time: building takes longer than a program that hangs is waited for.
    for names in names.chunks(5) {
        let fixture = fixture();
        let base = with_base(engine, json!({}));
        let args = ["--json", "benchmark", "-c", &base, "--tags", &names.join(",")];
        let ran = engine.mad(&fixture, &args).run();
        check(&fixture, &ran.json(), &outcomes(names));
    }
}
