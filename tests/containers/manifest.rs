//! `mad benchmark --manifest`.

use std::fs;

use serde_json::{Value, json};

use crate::build::{image, instructions, manifest};
use crate::common::{Ran, read};
use crate::engine::{Engine, Entry};
use crate::registry::Registry;

const NUMBER: &str = "echo 'performance: 1 x/s'";

/// An entry whose script reports `$A`, the number that its image holds.
fn numbered(engine: &Engine) -> Entry<'_> {
    let entry = engine.entry("echo \"performance: ${A:-0} x/s\"", json!({ "tags": ["t"] }));
    instructions(&entry, "ENV A=42");
    entry.mad(&["build"]).run().exits(0);
    entry
}

fn benchmark(entry: &Entry<'_>, args: &[&str]) -> Ran {
    entry.benchmark(&[&["-m", "build_manifest.json"], args].concat()).run()
}

/// The number that was measured last.
fn number(entry: &Entry<'_>) -> String {
    entry.fixture.rows().last().expect("a row").get("performance").to_owned()
}

/// Writes the manifest anew, the record of the image changed.
fn change(entry: &Entry<'_>, change: impl FnOnce(&mut Value)) {
    let mut manifest = manifest(entry);
    change(&mut manifest["built_images"][image(entry)]);
    fs::write(entry.fixture.path("build_manifest.json"), manifest.to_string()).expect("a file");
}

pub(crate) fn it_runs_without_the_catalog(engine: &Engine) {
    let entry = numbered(engine);
    fs::remove_file(entry.fixture.root().join("models.json")).expect("the catalog");
    fs::remove_dir_all(entry.fixture.root().join("docker")).expect("its Dockerfiles");
    let before = read(&entry.fixture.path("build_manifest.json"));
    benchmark(&entry, &["t"]).exits(0).says(&["SUCCESS"]);
    assert_eq!(number(&entry), "42");
    assert_eq!(read(&entry.fixture.path("build_manifest.json")), before);
    let row = &entry.fixture.rows()[0];
    assert_eq!(row.get("docker_image"), image(&entry));
    assert_eq!(row.get("docker_file"), "docker/m.Dockerfile");
    assert_eq!(row.get("base_docker"), engine.base);
    benchmark(&entry, &["other"]).exits(2);
}

pub(crate) fn nothing_is_built(engine: &Engine) {
    let entry = numbered(engine);
    instructions(&entry, "RUN exit 1");
    entry.wrap_client("");
    benchmark(&entry, &[]).exits(0);
    assert!(!entry.calls().iter().any(|call| call.starts_with("build")));
    assert_eq!(number(&entry), "42");
    let measured = &entry.measurement()["prepared"]["image"]["id"];
    let id = manifest(&entry)["built_images"][image(&entry)]["image_id"].clone();
    assert!(id.as_str().expect("an id").ends_with(measured.as_str().expect("an id")));
}

/// Numbers of both may be compared.
pub(crate) fn the_same_entry_either_way(engine: &Engine) {
    let entry = numbered(engine);
    let measured = |args: &[&str]| {
        entry.benchmark(args).run().exits(0);
        let m = entry.measurement();
        (m["id"].clone(), m["provenance"]["entry"].clone(), m["prepared"]["image"]["id"].clone())
    };
    assert_eq!(measured(&[]), measured(&["-m", "build_manifest.json"]));
}

pub(crate) fn the_context_is_restored(engine: &Engine) {
    let script = "echo \"saw $A $B $(cat /given/file) $MAD_GUEST_OS\"; echo 'performance: 1 x/s'";
    let entry = engine.entry(script, json!({}));
    let given = entry.fixture.path("given");
    fs::create_dir(&given).expect("a directory");
    fs::write(given.join("file"), "mounted").expect("a file");
    entry.fixture.write("before.sh", "echo before \"$@\"\n");
    entry.fixture.write("after.sh", "echo after\n");
    let context = json!({
        "docker_env_vars": { "A": "built", "B": "built" },
        "docker_mounts": { "/given": given },
        "guest_os": "CENTOS",
        "pre_scripts": [{ "path": "before.sh", "args": "the model" }],
        "post_scripts": [{ "path": "after.sh" }],
        "encapsulate_script": "echo wrapped &&",
    });
    entry.mad(&["build", "-c", &context.to_string()]).run().exits(0);
    benchmark(&entry, &[]).exits(0);
    for line in ["before the model", "wrapped", "saw built built mounted CENTOS", "after"] {
        assert!(entry.lines().iter().any(|l| l == line), "{line:?} in {}", entry.log());
    }
    let own = "{'docker_env_vars': {'A': 'mine'}, 'post_scripts': []}";
    benchmark(&entry, &["-c", own]).exits(0);
    let lines = entry.lines();
    assert!(lines.iter().any(|l| l == "saw mine built mounted CENTOS"), "{lines:?}");
    assert!(!lines.iter().any(|l| l == "after"), "{lines:?}");
}

/// Its name may be another image's by now.
pub(crate) fn the_very_image_that_is_meant(engine: &Engine) {
    let entry = numbered(engine);
    instructions(&entry, "ENV A=43");
    entry.mad(&["build", "-m", "other.json"]).run().exits(0);
    benchmark(&entry, &[]).exits(0);
    assert_eq!(number(&entry), "42");
    // Without the id, as in a manifest of madengine, the name is all there is.
    change(&entry, |image| image["image_id"] = json!(null));
    benchmark(&entry, &[]).exits(0);
    assert_eq!(number(&entry), "43");
}

pub(crate) fn an_image_that_is_not_here(engine: &Engine) {
    let entry = numbered(engine);
    let moved = |registry: Value| {
        change(&entry, |image| {
            image["image_id"] = json!(null);
            image["docker_image"] = json!("mad-gone");
            image["registry_image"] = registry;
        });
    };
    moved(json!(null));
    let words = ["the image mad-gone is not on this host", "no `registry_image`", "mad build"];
    benchmark(&entry, &[]).exits(2).says(&words);
    moved(json!("localhost:1/mad-gone:1"));
    benchmark(&entry, &[]).exits(2).says(&["cannot pull the image localhost:1/mad-gone:1"]);
    // Under its name in the registry it may be here already.
    moved(json!(engine.base));
    benchmark(&entry, &[]).exits(0);
    assert_eq!(entry.fixture.rows().last().expect("a row").get("docker_image"), engine.base);
}

/// As on another host than that which built.
pub(crate) fn an_image_from_a_registry(engine: &Engine) {
    let registry = Registry::start();
    let entry = numbered(engine);
    let pushed = format!("{}/ci/{}:1", registry.address, entry.name);
    engine.ask(&["tag", &image(&entry), &pushed]);
    engine.ask(&["push", &pushed]);
    engine.ask(&["rmi", &pushed, &image(&entry)]);
    change(&entry, |image| image["registry_image"] = json!(pushed));
    entry.wrap_client("");
    benchmark(&entry, &[]).exits(0);
    assert_eq!(number(&entry), "42");
    let calls = entry.calls();
    assert_eq!(calls.iter().filter(|call| call.starts_with("pull ")).count(), 1);
    assert!(!calls.iter().any(|call| call.starts_with("build")));
    assert_eq!(entry.fixture.rows()[0].get("docker_image"), pushed);
    // Now it is here.
    benchmark(&entry, &[]).exits(0);
    assert!(!entry.calls().iter().any(|call| call.starts_with("pull ")));
}

pub(crate) fn the_test_target_runs_it(engine: &Engine) {
    let entry = engine.entry(NUMBER, json!({}));
    entry.mad(&["build"]).run().exits(0);
    let bench = format!("bench::{}", entry.name);
    let ran = entry.mad(&["__test-target", "--exact", &bench]);
    ran.env("MAD_MANIFEST", "build_manifest.json").run().exits(0);
    assert_eq!(entry.fixture.rows()[0].get("docker_image"), image(&entry));
}
