//! Manifests and leftovers without a container engine: what is read, what is refused,
//! which image is for whom, what is removed. What needs an engine is in tests/build.rs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{Fixture, Ran, check, read};
use mad_harness::credentials::Credentials;
use mad_harness::data::DataConfig;
use mad_harness::machine::Machine;
use mad_harness::options::RunOptions;
use mad_harness::plan::{ImageSource, Planner, data_resolver};
use mad_harness::run::inputs;
use serde_json::{Value, json};

fn fixtures(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// What madengine wrote, and the scripts that it names; no `models.json`.
fn captured(name: &str) -> Fixture {
    let fixture = Fixture::empty();
    for script in ["number", "table"] {
        let text = "echo \"performance: ${1:-1} x/s\"; echo a >\"${MAD_OUTPUT_CSV:-/dev/null}\"\n";
        fixture.write(&format!("scripts/compat/{script}.sh"), text);
    }
    fs::copy(fixtures(&format!("manifests/{name}.json")), fixture.path("m.json")).unwrap();
    fixture
}

/// One entry and its image, as `mad build` writes them, but for `changes` by pointer.
fn with(changes: &[(&str, Value)]) -> Fixture {
    let fixture = Fixture::empty();
    fixture.write("run.sh", "echo 'performance: 1 x/s'\n");
    let mut manifest = json!({
        "schema": "mad-manifest/1",
        "built_images": { "ci-a": { "docker_image": "ci-a", "gpu_vendor": "AMD" } },
        "built_models": { "ci-a": { "name": "a", "scripts": "run.sh", "n_gpus": 0 } },
        "context": {},
    });
    for (pointer, new) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        manifest.pointer_mut(parent).unwrap()[key] = new.clone();
    }
    fs::write(fixture.path("m.json"), format!("{manifest:#}\n")).unwrap();
    fixture
}

fn benchmark(fixture: &Fixture, args: &[&str]) -> Ran {
    fixture.mad(&[&["benchmark", "--manifest", "m.json"], args].concat()).run()
}

/// A host without any container engine.
fn bare(fixture: &Fixture, args: &[&str]) -> Ran {
    fixture.mad(args).env("PATH", fixture.path("nothing")).run()
}

/// The images that entries of a manifest would run in on a machine: `entry: image`.
fn images(manifest: &str, machine: &str) -> Vec<String> {
    let fixture = captured(manifest);
    let machine = Machine::from_file(&fixtures(&format!("machines/{machine}.json"))).unwrap();
    let options = RunOptions { manifest: Some(fixture.path("m.json")), ..RunOptions::default() };
    let (catalog, context) = inputs(&fixture.root(), &options).unwrap();
    let credentials = Credentials::default();
    let data = DataConfig::default();
    let data = data_resolver(&data, &fixture.root(), &options, &credentials);
    let planner = Planner {
        catalog: &catalog,
        machine: &machine,
        options: &options,
        context: &context,
        credentials: &credentials,
        data: &data,
        variation: "",
    };
    let mut lines = Vec::new();
    for model in &catalog.models {
        match planner.jobs(model) {
            Ok(jobs) => lines.extend(jobs.iter().map(|job| {
                let ImageSource::Existing(image) = &job.container.as_ref().unwrap().image else {
                    panic!("{}: would be built", job.id);
                };
                let pull = image.pull.as_deref().unwrap_or("-");
                format!("{}: {} (pull: {pull}) {}", job.id, image.name, job.warnings.join("; "))
            })),
            Err(why) => lines.push(format!("{}: {why}", model.name)),
        }
    }
    lines
}

#[test]
fn each_machine_gets_the_images_that_are_for_it() {
    let mut text = String::new();
    for manifest in ["plain", "archs", "after-run", "local-image", "use-image"] {
        for machine in ["8x-mi300x", "1x-h200", "cpu-only"] {
            let lines = images(manifest, machine).join("\n    ");
            text.push_str(&format!("{manifest} on {machine}\n    {lines}\n"));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn an_image_for_other_gpus_is_a_skip() {
    let machine = |name: &str| fixtures(&format!("machines/{name}.json")).display().to_string();
    let (h200, mi300x) = (machine("1x-h200"), machine("8x-mi300x"));
    let skipped = |fixture: &Fixture, machine: &str, words: &[&str]| {
        let ran = benchmark(fixture, &["--plan", "--machine", machine]).exits(0).says(words);
        assert!(ran.stdout.starts_with("skip"), "{}", ran.said());
        // The same when it is not only planned, and a failure where it was demanded.
        benchmark(fixture, &["--machine", machine]).exits(1).says(words);
        benchmark(fixture, &["--machine", machine, "--require-gpu"]).exits(3).says(words);
    };
    skipped(&captured("archs"), &h200, &["ci-per_arch_arch.ubuntu.amd_gfx942 is for AMD GPUs"]);
    let for_gpu = |image: &str, arch: Value| {
        with(&[
            ("/built_images/ci-a/gpu_vendor", json!(image)),
            ("/built_images/ci-a/gpu_architecture", arch),
            ("/built_models/ci-a/n_gpus", json!("1")),
        ])
    };
    let none = Value::Null;
    skipped(&for_gpu("AMD", none.clone()), &h200, &["needs 1 AMD GPU", "has 0 (its 1 are NVIDIA)"]);
    skipped(&for_gpu("NVIDIA", none), &mi300x, &["needs 1 NVIDIA GPU"]);
    skipped(&for_gpu("AMD", json!("gfx90a")), &mi300x, &["ci-a is for gfx90a", "has gfx942"]);
}

#[test]
fn whoever_demands_an_image_that_is_gone_is_told() {
    let fixture = with(&[("/built_images", json!({}))]);
    let options = RunOptions { manifest: Some(fixture.path("m.json")), ..RunOptions::default() };
    let (catalog, _) = inputs(&fixture.root(), &options).unwrap();
    assert_eq!(catalog.models[0].images().map(<[_]>::len), Some(0));
}

#[test]
fn broken_manifests_are_refused() {
    let refused = |text: &str, words: &[&str]| {
        let fixture = with(&[]);
        fs::write(fixture.path("m.json"), text).unwrap();
        benchmark(&fixture, &[]).exits(4).says(words);
        fixture.target(&[]).env("MAD_MANIFEST", "m.json").run().exits(4).says(words);
        assert!(!fixture.path("perf.csv").exists());
    };
    refused("", &["m.json:1:0", "not valid JSON"]);
    refused("{\"built_images\": {", &["m.json:1:", "not valid JSON"]);
    refused("[]", &["m.json:1:", "no build manifest"]);
    refused("{\"schema\": \"mad-manifest/9\"}", &["mad-manifest/9", "build again"]);
    let fixture = with(&[]);
    fs::remove_file(fixture.path("m.json")).unwrap();
    benchmark(&fixture, &[]).exits(4).says(&["cannot read the manifest m.json", "mad build"]);
}

#[test]
fn entries_of_a_manifest_are_checked_like_others() {
    let no_script = with(&[("/built_models/ci-a", json!({ "name": "a", "n_gpus": 0 }))]);
    benchmark(&no_script, &[]).exits(3).says(&[
        "the entry is not valid",
        "m.json:10:13",
        "no script",
    ]);
    let no_name = with(&[("/built_models/ci-a", json!({ "scripts": "run.sh" }))]);
    benchmark(&no_name, &[]).exits(4).says(&["m.json:10:13", "the entry has no `name`"]);
    let other = json!({ "name": "a", "scripts": "other.sh" });
    let twice = with(&[
        ("/built_images/ci-b", json!({ "docker_image": "ci-b" })),
        ("/built_models/ci-b", other),
    ]);
    benchmark(&twice, &[]).exits(4).says(&["two different entries are named `a`"]);
    let context = with(&[("/context/docker_gpus", json!("x"))]);
    benchmark(&context, &[]).exits(4).says(&["m.json: context", "`docker_gpus` must be a list"]);
}

#[test]
fn tags_filter_the_entries_of_a_manifest() {
    let listed = |args: &[&str]| -> Vec<String> {
        let fixture = captured("plain");
        let plan = benchmark(&fixture, &[&["--plan", "--json"], args].concat()).exits(0).json();
        let ids = plan["plans"].as_array().unwrap().iter();
        ids.map(|p| p["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&[]), ["plain", "table"]);
    assert_eq!(listed(&["compat"]), ["plain", "table"]);
    assert_eq!(listed(&["-t", "table"]), ["table"]);
    assert_eq!(listed(&["plain:bs=8"]), ["plain:bs=8"]);
    let fixture = captured("plain");
    benchmark(&fixture, &["tabel"]).exits(2).says(&["did you mean `table`?"]);
    let list = fixture.target(&["--list"]).env("MAD_MANIFEST", "m.json").run().exits(0);
    assert!(list.stdout.contains("bench::table: test"), "{}", list.said());
}

#[test]
fn a_manifest_excludes_what_it_replaces() {
    let fixture = captured("plain");
    for other in [["--use-image", "x"], ["--target-arch", "gfx942"]] {
        benchmark(&fixture, &other).exits(4).says(&["cannot be used with"]);
    }
    benchmark(&fixture, &["--clean"]).exits(4).says(&["--manifest builds none"]);
}

#[test]
fn the_file_is_never_rewritten_and_failed_builds_are_told() {
    let fixture = captured("partly");
    let before = read(&fixture.path("m.json"));
    let ran = benchmark(&fixture, &[]);
    ran.says(&["m.json: broken was not built: Subprocess"]);
    assert_eq!(read(&fixture.path("m.json")), before);
}

#[test]
fn secrets_of_a_manifest_are_masked() {
    let fixture = captured("secrets");
    let mut manifest: Value = serde_json::from_str(&read(&fixture.path("m.json"))).unwrap();
    manifest["summary"]["failed_builds"] =
        json!([{ "model": "b", "error": "docker build --build-arg T=hunter2secret" }]);
    fs::write(fixture.path("m.json"), manifest.to_string()).unwrap();
    let ran =
        benchmark(&fixture, &["-v"]).says(&["b was not built: docker build --build-arg T=***"]);
    assert!(!ran.said().contains("hunter2secret"), "{}", ran.said());
    assert_eq!(fixture.files_with("hunter2secret"), [fixture.path("m.json")]);
}

#[test]
fn manifests_follow_their_schema() {
    let schema = bare(&Fixture::empty(), &["schema", "manifest"]).exits(0).json();
    let properties = schema["properties"].as_object().unwrap();
    assert!(properties.contains_key("built_images"));
    let image = schema.pointer("/$defs/BuiltImage/properties").unwrap().as_object().unwrap();
    for (key, property) in properties.iter().chain(image) {
        assert!(property.get("description").is_some(), "{key} has no description");
    }
}

/// A catalog with Dockerfiles for both vendors, one without a header, and an entry that
/// runs without an image.
fn catalog() -> Fixture {
    let number = "echo 'performance: 1 x/s'";
    let fixture = Fixture::empty()
        .entry("both", number, json!({ "dockerfile": "docker/both", "tags": ["image"] }))
        .entry("scope/Named", number, json!({ "dockerfile": "docker/both", "tags": ["image"] }))
        .entry("headless", number, json!({ "dockerfile": "docker/headless" }))
        .entry("host", number, json!({}));
    let header = |vendor: &str| format!("# CONTEXT {{'gpu_vendor': '{vendor}'}}\nFROM scratch\n");
    fixture.write("docker/both.ubuntu.amd.Dockerfile", header("AMD"));
    fixture.write("docker/both.ubuntu.nvidia.Dockerfile", header("NVIDIA"));
    fixture.write("docker/headless.Dockerfile", "FROM scratch\n");
    fixture
}

#[test]
fn what_would_be_built() {
    let fixture = catalog();
    let plan = |args: &[&str]| bare(&fixture, &[&["build", "--plan"], args].concat());
    let mut text = plan(&["image"]).exits(0).stdout;
    text += &plan(&["both", "-a", "gfx90a, gfx942,", "-a", "gfx90a"]).exits(0).stdout;
    text += &plan(&["both", "-c", "{'gpu_vendor': 'nvidia'}"]).exits(0).stdout;
    text += &plan(&["both", "--use-image", "base:1"]).exits(0).stdout;
    text += &plan(&[]).exits(2).stdout;
    text += &plan(&["host"]).exits(2).stdout;
    check(|| insta::assert_snapshot!(text));
    let json = plan(&["both", "headless", "--json"]).exits(2).json();
    check(|| insta::assert_json_snapshot!(json));
}

#[test]
fn what_cannot_be_built_is_said_before_anything_is() {
    let fixture = catalog();
    bare(&fixture, &["build", "both"]).exits(2).says(&["no container engine answers", "docker"]);
    bare(&fixture, &["build", "both:size=1"]).exits(4).says(&[
        "arguments are for the run, not for the image",
        "mad benchmark --manifest build_manifest.json both:size=1",
    ]);
    bare(&fixture, &["build", "bohth"]).exits(2).says(&["did you mean `both`?"]);
    let to = |path: &str| bare(&fixture, &["build", "both", "-m", path]);
    to("no/such/m.json").exits(4).says(&["there is no directory no/such"]);
    to("catalog").exits(4).says(&["is a directory"]);
    let host = Fixture::with("m", "echo 'performance: 1 x/s'");
    bare(&host, &["build"]).exits(2).says(&["nothing to build"]);
    assert!(!fixture.path("build_manifest.json").exists());
}

#[test]
fn clean_removes_what_was_half_written() {
    let fixture = Fixture::empty();
    let file = |path: &str| {
        let path = fixture.path(&format!("mad/{path}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "half").unwrap();
        path
    };
    // No process has a number beyond this one.
    let gone = [file("junit.xml.4194999-0.tmp"), file("cache/machine-0.4194999-3.tmp")];
    let live = file(&format!("cache/x.{}-0.tmp", std::process::id()));
    let kept = [
        live,
        file("cache/machine-0.json"),
        file("cache/notes.tmp"),
        file("runs/r/a.4194999-0.tmp"),
    ];
    let clean = |args: &[&str]| bare(&fixture, &[&["clean", "--run-dir", "mad"], args].concat());
    let plan = clean(&["--plan"]).exits(0);
    assert!(gone.iter().all(|path| path.exists()));
    insta::assert_snapshot!("clean_plan", plan.stdout);
    let done = clean(&["--json"]).exits(0).json();
    insta::assert_json_snapshot!("clean_json", done);
    assert!(gone.iter().all(|path| !path.exists()) && kept.iter().all(|path| path.exists()));
    assert_eq!(clean(&[]).exits(0).stdout, "nothing is left over\n");
    clean(&["20260101T000000.000Z-1", "--images"]).exits(4);
}
