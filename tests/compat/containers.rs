//! What madengine's own tests try in containers.

use std::fs;

use serde_json::{Value, json};

use crate::catalog::fixture;
use crate::common::{Fixture, Ran};
use crate::engine::Engine;
use crate::entries::outcomes;
use crate::outcome::{Cells, cells, check};

/// A context that has images made on the base image, with the keys of `more`.
pub(crate) fn with_base(engine: &Engine, more: Value) -> String {
    let mut context = json!({ "docker_build_arg": { "BASE_DOCKER": engine.base } });
    if let (Some(context), Value::Object(more)) = (context.as_object_mut(), more) {
        context.extend(more);
    }
    context.to_string()
}

/// `mad benchmark` of entries whose images are made on the base image.
fn benchmark(engine: &Engine, fixture: &Fixture, more: Value, args: &[&str]) -> Ran {
    let context = with_base(engine, more);
    engine.mad(fixture, &[&["benchmark", "-c", &context], args].concat()).run()
}

/// The rows since the last time, which are forgotten.
fn new_rows(fixture: &Fixture) -> Vec<Cells> {
    let rows = cells(fixture);
    fs::remove_file(fixture.path("perf.csv")).expect("perf.csv");
    rows
}

/// In which images an entry ran, by its metrics.
fn images(fixture: &Fixture) -> Vec<String> {
    new_rows(fixture).into_iter().map(|row| row["metric"].clone()).collect()
}

pub(crate) fn vendor_and_system(engine: &Engine) {
    let fixture = fixture();
    for (context, expected) in [
        (json!({}), "amd"),
        (json!({ "gpu_vendor": "NVIDIA" }), "nvidia"),
        (json!({ "guest_os": "centos" }), "centos"),
    ] {
        benchmark(engine, &fixture, context, &["vendor"]).exits(0);
        assert_eq!(images(&fixture), [expected]);
    }
}

pub(crate) fn several_images(engine: &Engine) {
    let fixture = fixture();
    benchmark(engine, &fixture, json!({}), &["which"]).exits(0);
    assert_eq!(images(&fixture), ["none"]);
    fixture.write("ctx_test", "1");
    benchmark(engine, &fixture, json!({}), &["which"]).exits(0);
    assert_eq!(images(&fixture), ["one"]);
    benchmark(engine, &fixture, json!({ "ctx_test": "2" }), &["which"]).exits(0);
    assert_eq!(images(&fixture), ["also_two", "two"]);
    // No image for it: madengine would have run nothing, and been content.
    let none = benchmark(engine, &fixture, json!({ "ctx_test": "3" }), &["which,plain"]).exits(2);
    none.says(&["it is for ctx_test \"1\", here it is \"3\""]);
    let rows = new_rows(&fixture);
    let told: Vec<&str> = rows.iter().map(|row| &*row["status"]).collect();
    assert_eq!(told, ["SUCCESS", "FAILURE"]);
}

/// madengine's status of a build that failed is 1 where the rest of the run is well.
pub(crate) fn a_build_that_fails(engine: &Engine) {
    let fixture = fixture();
    fixture.write("docker/which.none.Dockerfile", "# CONTEXT {}\nFROM scratch\nCOPY gone /\n");
    benchmark(engine, &fixture, json!({}), &["which"]).exits(2);
    assert_eq!(cells(&fixture)[0]["status"], "FAILURE");
}

pub(crate) fn directories_of_the_host(engine: &Engine) {
    let fixture = fixture();
    let context = json!({
        "docker_mounts": { "/mounted": "/etc" },
        "docker_env_vars": { "MAD_DATAHOME": "/mounted" },
    });
    let args = ["--json", "mounted"];
    let ran = benchmark(engine, &fixture, context, &args).exits(0);
    check(&fixture, &ran.json(), &outcomes(&["mounted".to_owned()]));
}

pub(crate) fn processors(engine: &Engine) {
    let fixture = fixture();
    let names = ["cpus", "cpu_list"];
    let context = json!({ "docker_cpus": "0" });
    let args = ["--json", "--tags", &names.join(",")];
    let ran = benchmark(engine, &fixture, context, &args).exits(3);
    check(&fixture, &ran.json(), &outcomes(&names.map(str::to_owned)));
}

pub(crate) fn scripts_around(engine: &Engine) {
    let fixture = fixture();
    fixture.write("around/say.sh", "echo \"said: $*\"\n");
    let say = |words: &str| json!({ "path": "around/say.sh", "args": words });
    let context = json!({
        "pre_scripts": [say("one"), say("'t w o'")],
        "encapsulate_script": "echo encapsulated;",
        "post_scripts": [say("three"), say("four")],
    });
    benchmark(engine, &fixture, context.clone(), &["plain"]).exits(0);
    let expected = [
        "said: one",
        "said: t w o",
        "encapsulated",
        "starting plain",
        "performance: 14164 samples_per_second",
        "said: three",
        "said: four",
    ];
    assert_eq!(fixture.log("plain").lines().collect::<Vec<_>>(), expected);
    // After a model that failed nothing follows.
    benchmark(engine, &fixture, context, &["fails"]).exits(3);
    assert!(!fixture.log("fails").contains("three"));
}

pub(crate) fn everything_but_the_model(engine: &Engine) {
    let fixture = fixture();
    fixture.write("around/say.sh", "echo \"said: $*\"\n");
    let say = json!([{ "path": "around/say.sh", "args": "this" }]);
    let context = json!({ "pre_scripts": say, "post_scripts": say });
    benchmark(engine, &fixture, context, &["plain", "--skip-model-run"]).exits(0);
    assert_eq!(fixture.log("plain"), "said: this\nsaid: this\n");
    assert_eq!(cells(&fixture)[0]["status"], "SKIPPED");
}

pub(crate) fn a_container_that_is_kept(engine: &Engine) {
    let fixture = fixture();
    // Its name is in no other test's.
    let name = format!("kept-{}", std::process::id());
    let models = json!([{
        "name": name, "dockerfile": "docker/compat", "scripts": "scripts/compat/number.sh",
        "n_gpus": "0", "args": "", "tags": [],
    }]);
    fixture.write("models.json", models.to_string());
    let filter = format!("name={name}");
    let containers = || engine.ask(&["ps", "-aq", "--filter", &filter]).lines().count();
    let work =
        |run: usize| fixture.runs()[run].join(&name).join("attempt-1/execution-1/work").is_dir();
    benchmark(engine, &fixture, json!({}), &[&name]).exits(0);
    assert_eq!((containers(), work(0)), (0, false));
    benchmark(engine, &fixture, json!({}), &[&name, "--keep-alive"]).exits(0);
    assert_eq!((containers(), work(1)), (1, true));
    let kept = engine.ask(&["ps", "-aq", "--filter", &filter]);
    engine.ask(&["rm", "-f", &kept]);
}

pub(crate) fn base_image(engine: &Engine) {
    let fixture = fixture();
    benchmark(engine, &fixture, json!({}), &["plain"]).exits(0);
    assert_eq!(cells(&fixture)[0]["base_docker"], engine.base);
}

/// With several results, too, which madengine forgets then.
pub(crate) fn an_image_that_exists(engine: &Engine) {
    let fixture = fixture();
    let names = ["plain", "table"];
    let context = json!({ "MAD_CONTAINER_IMAGE": engine.base }).to_string();
    let args = ["--json", "benchmark", "-c", &context, "--tags", &names.join(",")];
    let ran = engine.mad(&fixture, &args).run().exits(0);
    check(&fixture, &ran.json(), &outcomes(&names.map(str::to_owned)));
    assert!(cells(&fixture).iter().all(|row| row["docker_image"] == engine.base));
}

/// A script may write around it; nothing of that is left in the catalog.
pub(crate) fn the_catalog_is_left_alone(engine: &Engine) {
    let fixture = fixture();
    let script = "touch ../left; rm -rf ../docker ../models.json; echo 'performance: 1 x'\n";
    fixture.write("scripts/compat/huggingface.sh", script);
    benchmark(engine, &fixture, json!({}), &["huggingface"]).exits(0);
    assert!(!fixture.root().join("left").exists());
    assert!(fixture.root().join("models.json").exists());
}
