//! `mad build`.

use std::fs;

use regex::Regex;
use serde_json::{Value, json};

use crate::common::{eventually, json_file, read, redact};
use crate::engine::{Engine, Entry};

const NUMBER: &str = "echo 'performance: 1 x/s'";
const AMD: &str = "{'gpu_vendor': 'AMD'}";

/// The image that is built of `docker/m.Dockerfile`.
pub(crate) fn image(entry: &Entry<'_>) -> String {
    format!("ci-{}_m", entry.name)
}

/// Writes `docker/m.Dockerfile` with these further instructions.
pub(crate) fn instructions(entry: &Entry<'_>, text: &str) {
    entry.dockerfile("Dockerfile", "{}", &format!("FROM {}\n{text}", entry.engine.base));
}

/// The manifest that was written last.
#[track_caller]
pub(crate) fn manifest(entry: &Entry<'_>) -> Value {
    json_file(&entry.fixture.path("build_manifest.json"))
}

/// The record of the entry's image in it.
#[track_caller]
fn record(entry: &Entry<'_>) -> Value {
    manifest(entry)["built_images"][image(entry)].clone()
}

/// Adds an entry to the catalog.
fn add(entry: &Entry<'_>, name: &str, dockerfile: &str) {
    let path = entry.fixture.root().join("models.json");
    let mut entries = json_file(&path);
    let mut more = entries[0].clone();
    more["name"] = json!(name);
    more["dockerfile"] = json!(dockerfile);
    entries.as_array_mut().expect("entries").push(more);
    fs::write(path, entries.to_string()).expect("models.json");
}

/// Runs `mad build`; the state of the only image.
#[track_caller]
fn state(entry: &Entry<'_>, args: &[&str]) -> String {
    let built = entry.mad(&[&["build", "--json"], args].concat()).run().exits(0).json();
    let images = built["images"].as_array().expect("images");
    assert_eq!(images.len(), 1, "{built}");
    images[0]["state"].as_str().expect("a state").to_owned()
}

/// Text with what differs from process to process as a word.
fn redacted(entry: &Entry<'_>, text: &str) -> String {
    let text = text.replace(&entry.name, "ENTRY").replace(&entry.engine.base, "BASE");
    let text = text.replace(&entry.fixture.root().display().to_string(), "CATALOG");
    let text = text.replace(&format!("{} build", entry.engine.program), "PROGRAM build");
    let words = [
        (r"\d{8}T\d{6}\.\d{3}Z-\d+", "RUN"),
        (r"\b[0-9a-f]{12}\b", "ID"),
        (r"\b\d+\.\d\b", "SECONDS"),
        (r"([A-Z]) +", "$1 "),
        (r"([a-z]) {2,}", "$1 "),
    ];
    words.iter().fold(text, |text, (pattern, word)| {
        Regex::new(pattern).expect("a pattern").replace_all(&text, *word).into_owned()
    })
}

pub(crate) fn images_are_built_and_written_down(engine: &Engine) {
    let keys = json!({ "cred": "", "my_key": [1, "x"] });
    let entry = engine.entry_without_image(NUMBER, keys);
    let text = format!("FROM {}\nRUN echo told while it was built", engine.base);
    entry.dockerfile("ubuntu.amd.Dockerfile", AMD, &text);
    let ran = entry.mad(&["build", "--run-dir", "mad"]).run().exits(0);
    insta::assert_snapshot!("build_table", redacted(&entry, &ran.stdout));
    for told in [": image ci-", ": built after "] {
        assert!(ran.stderr.contains(told), "{}", ran.said());
    }
    let manifest = manifest(&entry);
    let image = &manifest["built_images"][format!("ci-{}_m.ubuntu.amd", entry.name)];
    let log = image["log_file"].as_str().expect("a path");
    assert!(read(&entry.fixture.path(log)).contains("told while it was built"));
    let id = image["image_id"].as_str().expect("an id");
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    let differs = ["build_duration", "total_build_time", "image_id", "docker_sha"];
    let shape = redacted(&entry, &format!("{:#}", redact(manifest.clone(), &differs)));
    insta::assert_snapshot!("build_manifest", shape);
    // A Run that builds does not stand in the way of those that measure.
    entry.mad(&["report"]).run().exits(4).says(&["there are no runs"]);
}

pub(crate) fn what_is_there_is_not_built(engine: &Engine) {
    let entry = engine.entry(NUMBER, json!({}));
    assert_eq!(state(&entry, &[]), "built");
    assert_eq!(state(&entry, &[]), "cached");
    assert_eq!(record(&entry)["log_file"], "");
    instructions(&entry, "ENV A=b");
    assert_eq!(state(&entry, &[]), "built");
}

pub(crate) fn an_image_for_each_architecture(engine: &Engine) {
    let entry = engine.entry(NUMBER, json!({}));
    let arch = "ARG MAD_SYSTEM_GPU_ARCHITECTURE\nENV FOR=$MAD_SYSTEM_GPU_ARCHITECTURE";
    instructions(&entry, arch);
    entry.mad(&["build", "--target-archs", "gfx90a,gfx942"]).run().exits(0);
    let images = manifest(&entry)["built_images"].as_object().expect("images").clone();
    assert_eq!(images.len(), 2);
    for arch in ["gfx90a", "gfx942"] {
        let name = format!("{}_{arch}", image(&entry));
        assert_eq!(images[&name]["gpu_architecture"], arch);
        let set = engine.ask(&["image", "inspect", "--format", "{{.Config.Env}}", &name]);
        assert!(set.contains(&format!("FOR={arch}")), "{set}");
    }
    // What the flag says counts, and not the context.
    let context = "{'docker_build_arg': {'MAD_SYSTEM_GPU_ARCHITECTURE': 'gfx1100'}}";
    assert_eq!(state(&entry, &["-a", "gfx942", "-c", context]), "cached");
    assert_eq!(state(&entry, &["-c", context]), "built");
    assert_eq!(record(&entry)["gpu_architecture"], "gfx1100");
    // One that the Dockerfile itself is for.
    instructions(&entry, "ARG MAD_SYSTEM_GPU_ARCHITECTURE=gfx908");
    assert_eq!(state(&entry, &[]), "built");
    assert_eq!(record(&entry)["gpu_architecture"], "gfx908");
}

pub(crate) fn a_build_that_fails(engine: &Engine) {
    let entry = engine.entry(NUMBER, json!({}));
    add(&entry, "broken", "docker/broken");
    let text = format!("# CONTEXT {{}}\nFROM {}\nRUN echo the reason; exit 7\n", engine.base);
    entry.fixture.write("docker/broken.Dockerfile", text);
    let json = entry.mad(&["build", "--json"]).run().exits(2).json();
    let failed = &json["images"][1];
    assert_eq!((&json["exit"], &failed["state"]), (&json!(2), &json!("failed")));
    let log = failed["log"].as_str().expect("a path");
    assert!(read(&entry.fixture.path(log)).contains("the reason"));
    let reason = failed["reason"].as_str().expect("a reason");
    assert!(reason.contains("cannot build docker/broken.Dockerfile"), "{reason}");
    // The others are in the manifest, and it says which one is not.
    let written = manifest(&entry);
    assert_eq!(written["built_images"].as_object().expect("images").len(), 1);
    assert_eq!(written["summary"]["failed_builds"][0]["model"], "broken");
    let ran = entry.benchmark(&["-m", "build_manifest.json"]).run().exits(0);
    ran.says(&["broken was not built: cannot build docker/broken.Dockerfile"]);
    // Nothing at all: no manifest, and the old one stays.
    let ran = entry.mad(&["build", "broken"]).run().exits(2);
    ran.says(&["FAILED", "no manifest was written", "run.log"]);
    assert_eq!(manifest(&entry), written);
}

pub(crate) fn names_that_clash(engine: &Engine) {
    let entry = engine.entry(NUMBER, json!({}));
    add(&entry, &entry.name.to_uppercase(), "docker/m");
    entry.mad(&["build"]).run().exits(2).says(&["has an image of the same name: rename"]);
    assert_eq!(manifest(&entry)["built_images"].as_object().expect("images").len(), 1);
}

pub(crate) fn an_image_that_is_given(engine: &Engine) {
    let entry = engine.entry(NUMBER, json!({}));
    assert_eq!(state(&entry, &["--use-image", &engine.base]), "found");
    let image = &manifest(&entry)["built_images"][&entry.name];
    assert_eq!((&image["local_image"], &image["prebuilt"]), (&json!(true), &json!(true)));
    assert_eq!(image["docker_image"], engine.base.as_str());
    entry.benchmark(&["-m", "build_manifest.json"]).run().exits(0);
    let used = entry.fixture.rows()[0].get("docker_image").to_owned();
    assert_eq!(used, engine.base);
}

pub(crate) fn secrets_stay_out_of_the_manifest(engine: &Engine) {
    let script = "echo \"got $MAD_SECRETS_A $HF_TOKEN\"; echo 'performance: 1 x/s'";
    let variables = json!({ "HF_TOKEN": "hf_ofentry", "B": "c" });
    let entry = engine.entry(script, json!({ "env_vars": variables }));
    let context = "{'docker_env_vars': {'URL': 'https://u:firstsecret@h', 'C': 'd'}}";
    let with = |args: &[&str]| entry.mad(args).env("MAD_SECRETS_A", "firstsecret");
    let ran = with(&["build", "-c", context]).run().exits(0);
    ran.says(&["secrets: docker_env_vars.URL, env_vars.HF_TOKEN of", "set them where it runs"]);
    let text = read(&entry.fixture.path("build_manifest.json"));
    assert!(!text.contains("firstsecret") && !text.contains("hf_ofentry"), "{text}");
    assert_eq!(manifest(&entry)["built_models"][image(&entry)]["env_vars"], json!({ "B": "c" }));
    let run = with(&["benchmark", "-m", "build_manifest.json"]).env("HF_TOKEN", "hf_ofhost");
    run.run().exits(0);
    assert!(entry.log().contains("got *** ***"), "{}", entry.log());
}

pub(crate) fn an_interrupted_build(engine: &Engine) {
    let entry = engine.entry(NUMBER, json!({}));
    instructions(&entry, "RUN echo started && sleep 1000");
    let running = entry.mad(&["build"]).start();
    let log = || {
        let build = fs::read_dir(entry.fixture.path("mad/builds")).ok()?.flatten().next()?;
        fs::read_to_string(build.path().join(image(&entry)).join("run.log")).ok()
    };
    let started = |text: String| text.lines().any(|line| line.ends_with("started"));
    eventually("the build goes on", || log().is_some_and(started));
    running.signal("INT");
    running.wait().exits(2).says(&["interrupted", "no manifest was written"]);
    assert!(!entry.fixture.path("build_manifest.json").exists());
}
