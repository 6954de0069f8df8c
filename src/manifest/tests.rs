use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{BuiltImage, Manifest, ManifestFile};
use crate::contract::Masker;
use crate::options::Context;

/// What madengine wrote (tests/fixtures/manifests/README.md).
const CAPTURED: [&str; 9] = [
    "plain",
    "archs",
    "after-run",
    "local-image",
    "use-image",
    "secrets",
    "partly",
    "context",
    "slurm",
];

fn captured(name: &str) -> ManifestFile {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/manifests");
    ManifestFile::read(&dir.join(format!("{name}.json"))).unwrap()
}

/// Without what says nothing: where madengine has no key there is an empty value here.
fn telling(mut value: Value) -> Value {
    if let Value::Object(map) = &mut value {
        map.values_mut().for_each(|inner| *inner = telling(inner.take()));
        let nothing = [json!(null), json!(""), json!(0), json!(0.0), json!([]), json!({})];
        map.retain(|_, inner| !nothing.contains(inner));
    }
    value
}

/// Text of a manifest with one image that is as it should be, but for `changes`.
fn with(changes: &[(&str, Value)]) -> String {
    let mut value = json!({
        "built_images": { "ci-a": { "docker_image": "ci-a" } },
        "built_models": { "ci-a": { "name": "a", "scripts": "run.sh" } },
    });
    for (pointer, new) in changes {
        match value.pointer_mut(pointer) {
            Some(old) => *old = new.clone(),
            None => {
                let (parent, key) = pointer.rsplit_once('/').unwrap();
                value.pointer_mut(parent).unwrap()[key] = new.clone();
            }
        }
    }
    format!("{value:#}")
}

fn refusal(text: &str) -> String {
    format!("{:#}", ManifestFile::parse(Path::new("m.json"), text.to_owned()).unwrap_err())
}

#[test]
fn manifests_of_madengine_are_kept_whole() {
    for name in CAPTURED {
        let file = captured(name);
        let original: Value = serde_json::from_str(&file.text).unwrap();
        let kept = serde_json::to_value(&file.manifest).unwrap();
        assert_eq!(telling(kept), telling(original), "{name}");
    }
}

#[test]
fn what_is_restored_is_what_the_user_said() {
    let restored = Value::Object(captured("context").restored_context());
    insta::assert_snapshot!("restored", format!("{restored:#}"));
    // What madengine found out about its host is not.
    let local = captured("local-image").restored_context();
    assert_eq!(Value::Object(local), json!({ "docker_gpus": "0", "guest_os": "UBUNTU" }));
    assert!(captured("slurm").restored_context().contains_key("slurm"));
}

#[test]
fn the_user_has_the_last_word() {
    let user = json!({ "docker_gpus": "3", "docker_env_vars": { "A": "mine", "B": "2" } });
    let Value::Object(user) = user else { unreachable!() };
    let context = Context(user).over(captured("context").restored_context()).unwrap();
    assert_eq!(context.text("docker_gpus").as_deref(), Some("3"));
    assert_eq!(context.0["docker_env_vars"], json!({ "A": "mine", "B": "2" }));
    assert_eq!(context.text("encapsulate_script").as_deref(), Some("time"));
}

#[test]
fn a_context_that_makes_no_sense_is_refused() {
    let text = with(&[("/context", json!({ "docker_mounts": [], "docker_gpus": "a" }))]);
    let file = ManifestFile::parse(Path::new("m.json"), text).unwrap();
    // An empty list is none at all; a broken one is told.
    let e = Context::default().over(file.restored_context()).unwrap_err();
    assert_eq!(e.to_string(), "`docker_gpus` must be a list such as \"0,2-4\"");
}

#[test]
fn secrets_in_a_manifest_are_known() {
    assert_eq!(captured("secrets").secrets(), ["hunter2secret", "hunter2secret"]);
    let text = with(&[("/built_models/ci-a/env_vars", json!({ "HF_TOKEN": "hf_x", "A": "b" }))]);
    let file = ManifestFile::parse(Path::new("m.json"), text).unwrap();
    assert_eq!(file.secrets(), ["hf_x"]);
}

#[test]
fn broken_manifests_are_refused_with_their_place() {
    let half = captured("plain").text;
    let nothing = [("/built_images", json!({})), ("/built_models", json!({}))];
    let failed = json!({ "failed_builds": [{ "model": "a", "error": "no space" }] });
    let texts = [
        String::new(),
        half[..half.len() / 2].to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        with(&[("/schema", json!("mad-manifest/2"))]),
        with(&[("/schema", json!(7))]),
        with(&[("/built_images/ci-a/gpu_vendor", json!(7))]),
        with(&[("/built_images/ci-a/docker_image", json!(" "))]),
        with(&[("/built_images/ci-b", json!({ "docker_image": "b" }))]),
        with(&[("/built_models/ci-a", json!("a"))]),
        with(&nothing),
        with(&[&nothing[..], &[("/summary", failed)]].concat()),
    ];
    insta::assert_snapshot!("refusals", texts.map(|text| refusal(&text)).join("\n"));
}

#[test]
fn secrets_are_left_out_of_what_is_written() {
    let context = json!({
        "docker_env_vars": { "A": "b", "HF_TOKEN": "hf_x", "URL": "https://u:topsecret@h" },
        "docker_build_arg": { "MAD_SECRETS_X": "topsecret", "BASE_DOCKER": "base:1" },
        "encapsulate_script": "env T=topsecret",
        "pre_scripts": [{ "path": "a.sh" }],
        "gpu_vendor": "nvidia",
        "slurm": { "partition": "p" },
        "my_key": 1,
    });
    let Value::Object(context) = context else { unreachable!() };
    let mut manifest = Manifest::default();
    let masker = Masker::new(["topsecret".to_owned()]);
    let left_out = manifest.set_context(&Context(context), &masker);
    assert_eq!(
        left_out,
        [
            "docker_env_vars.HF_TOKEN",
            "docker_env_vars.URL",
            "docker_build_arg.MAD_SECRETS_X",
            "encapsulate_script"
        ]
    );
    let written = json!([manifest.context, manifest.deployment_config]);
    insta::assert_snapshot!("written_context", format!("{written:#}"));
}

#[test]
fn what_another_host_pulls() {
    let image = |local: Value, registry: Option<&str>| BuiltImage {
        docker_image: "x:1".to_owned(),
        local_image: local,
        registry_image: registry.map(str::to_owned),
        ..BuiltImage::default()
    };
    assert_eq!(image(Value::Null, None).pullable(), None);
    assert_eq!(image(json!(false), Some("")).pullable(), None);
    assert_eq!(image(json!(true), None).pullable(), Some("x:1"));
    // As madengine's --build-on-compute has it.
    assert_eq!(image(json!("ci-x"), None).pullable(), Some("x:1"));
    assert_eq!(image(json!(true), Some("r/x:1")).pullable(), Some("r/x:1"));
}

#[test]
fn what_is_written_is_read() {
    let mut manifest = Manifest { schema: Some("mad-manifest/1".into()), ..Manifest::default() };
    let entry = Map::from_iter([("name".to_owned(), json!("a")), ("k".to_owned(), json!([1]))]);
    let image = BuiltImage {
        docker_image: "ci-a".into(),
        build_duration: 1.5,
        gpu_architecture: Some("gfx942".into()),
        ..BuiltImage::default()
    };
    manifest.add("ci-a", image, entry);
    manifest.set_context(&Context::default(), &Masker::new([]));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.json");
    manifest.write(&path).unwrap();
    assert_eq!(ManifestFile::read(&path).unwrap().manifest, manifest);
}

proptest! {
    #[test]
    fn reading_never_panics(text in ".{0,200}") {
        let _ = ManifestFile::parse(Path::new("m.json"), text);
    }

    #[test]
    fn a_damaged_manifest_never_panics(at in 0usize..3000, byte in "[ -~]") {
        let mut text = captured("plain").text;
        let at = at % text.len();
        text.replace_range(at..=at, &byte);
        if let Ok(file) = ManifestFile::parse(Path::new("m.json"), text) {
            let _ = Context::default().over(file.restored_context());
            let _ = crate::catalog::Catalog::of_manifest(Path::new("."), &file);
        }
    }
}
