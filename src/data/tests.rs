use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::credentials::Credentials;

/// A catalog root with this `data.json`.
fn root(data: &Value) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(DATA_FILE), format!("{data:#}")).unwrap();
    root
}

fn load(root: &TempDir) -> DataConfig {
    DataConfig::load(root.path(), &DataOptions::default())
}

fn resolve_in(root: &Path, config: &DataConfig, names: &str) -> Result<Vec<DataPlan>, DataError> {
    let credentials = Credentials::default();
    Resolver::new(config, root, &root.join("cache"), &credentials, Servers::Trust).resolve(names)
}

/// What [`resolve_in`] says, without the temporary directory in it.
fn said(root: &TempDir, config: &DataConfig, names: &str) -> String {
    let error = resolve_in(root.path(), config, names).unwrap_err();
    error.to_string().replace(root.path().to_str().unwrap(), "ROOT")
}

#[test]
fn every_mistake_is_reported_where_it_stands() {
    let root = root(&json!({
        "good": { "local": { "path": "/tmp", "comment": "for everybody" } },
        "../up": { "local": { "path": "/tmp" } },
        "a,b": { "local": { "path": "/tmp" } },
        "list": ["/tmp"],
        "none": {},
        "typos": { "minoi": {}, "ftp": {}, "local": { "pth": "/tmp" }, "_note": 1 },
        "types": { "local": 3, "minio": { "path": ["s3://b"] }, "aws": { "path": " " } },
        "local": { "local": {
            "path": "d", "mirrorlocal": "/m", "args": "x", "home": "data", "readwrite": "yes",
        }},
        "custom": { "custom": { "path": "../get.sh", "args": "--a 'b", "home": "/d:/e" } },
        "stores": {
            "minio": { "path": "/bucket/prefix", "home": "/" },
            "aws": { "path": "minio://b/p", "home": "/a/../b" },
        },
        "buckets": { "minio": { "path": "s3://" }, "aws": { "path": "s3://b/a/../c" } },
    }));
    let mut text = String::new();
    for problem in load(&root).problems() {
        let pointer = problem.place.pointer.as_deref().unwrap_or_default();
        writeln!(text, "{pointer} {problem}").unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_mistake_stops_those_who_need_the_data_set() {
    let root = root(&json!({
        "good": { "local": { "path": "." } },
        "bad": { "local": {} , "minio": { "path": "bucket" } },
    }));
    let config = load(&root);
    assert_eq!(resolve_in(root.path(), &config, "good").unwrap().len(), 1);
    insta::assert_snapshot!(said(&root, &config, "good,bad"), @"
    the data `bad` cannot be used:
      data.json:8:14: error[MAD056]: `bad.local` has no `path`
      data.json:10:15: error[MAD056]: `bad.minio.path` must be a place in an object store, such as s3://bucket/prefix
    ");
}

#[test]
fn a_file_that_is_none_stops_all() {
    let root = root(&json!([]));
    let config = load(&root);
    assert!(config.has_file());
    insta::assert_snapshot!(said(&root, &config, "imagenet"));
    fs::write(root.path().join(DATA_FILE), "{\"imagenet\": {\n}").unwrap();
    insta::assert_snapshot!(said(&root, &load(&root), "imagenet"));
    let options = DataOptions { file: Some(Path::new("/nowhere/x.json")), ..Default::default() };
    let config = DataConfig::load(root.path(), &options);
    insta::assert_snapshot!(said(&root, &config, "imagenet"));
    let list = json!(["imagenet"]);
    let options = DataOptions { overlay: Some(&list), ..Default::default() };
    fs::remove_file(root.path().join(DATA_FILE)).unwrap();
    let config = DataConfig::load(root.path(), &options);
    assert!(!config.has_file());
    insta::assert_snapshot!(said(&root, &config, "imagenet"));
}

#[test]
fn the_context_replaces_whole_data_sets() {
    let root = root(&json!({
        "a": { "custom": { "path": "data.json" }, "local": { "path": "." } },
        "b": { "local": { "path": "." } },
    }));
    let overlay = json!({ "a": { "local": { "path": "/", "readwrite": true } } });
    let options = DataOptions { overlay: Some(&overlay), ..Default::default() };
    let config = DataConfig::load(root.path(), &options);
    let plans = resolve_in(root.path(), &config, "a, b").unwrap();
    assert_eq!(plans[0].provider, ProviderKind::Local);
    assert_eq!(plans[0].mount, Some(Mount { host: "/".into(), writable: true }));
    assert_eq!(plans[1].mount, Some(Mount { host: root.path().join("."), writable: false }));
    assert_eq!(container_homes(&plans), "/data_dlm_0,/data_dlm_1");
}

#[test]
fn unknown_names_are_errors() {
    let root = root(&json!({ "imagenet": { "local": { "path": "." } }, "squad": {} }));
    let config = load(&root);
    insta::assert_snapshot!(said(&root, &config, "imagenett"), @"data.json has no data set `imagenett`; did you mean `imagenet`?");
    insta::assert_snapshot!(said(&root, &config, "coco"), @"data.json has no data set `coco`; it has imagenet, squad");
    fs::remove_file(root.path().join(DATA_FILE)).unwrap();
    insta::assert_snapshot!(said(&root, &load(&root), "coco"), @"the context (there is no data.json) has no data set `coco`");
    assert!(resolve_in(root.path(), &config, " , ").unwrap().is_empty());
}

#[test]
fn a_script_comes_first_and_may_write_to_its_mirror() {
    let root = root(&json!({ "d": {
        "local": { "path": "." },
        "custom": { "path": "get.sh", "args": "--split 'a b' $HOME", "mirrorlocal": "mirror" },
    }}));
    let config = load(&root);
    let plan = |config| resolve_in(root.path(), config, "d").unwrap().remove(0);
    let without = plan(&config);
    assert_eq!(without.provider, ProviderKind::Local);
    assert_eq!(without.passed_over.len(), 1, "{:?}", without.passed_over);
    fs::write(root.path().join("get.sh"), "").unwrap();
    fs::create_dir(root.path().join("mirror")).unwrap();
    let with = plan(&config);
    let script = with.script.clone().unwrap();
    assert_eq!((script.path.as_path(), script.limit.as_secs()), (Path::new("get.sh"), 1200));
    assert_eq!(script.args, ["--split", "a b", "$HOME"]);
    let host = root.path().join("mirror/d");
    assert_eq!(with.mount, Some(Mount { host: host.clone(), writable: true }));
    let provided = provide(&[with], &|_| {}, &|| false).unwrap();
    assert!(host.is_dir());
    assert_eq!((provided.providers.as_str(), provided.bytes), ("custom", None));
}

#[test]
fn no_provider_is_a_failure_that_names_each() {
    let root = root(&json!({
        "d": {
            "nas": { "path": "/nas/d" },
            "local": { "path": "d" },
            "custom": { "path": "get.sh" },
        },
    }));
    insta::assert_snapshot!(said(&root, &load(&root), "d"));
}

#[test]
fn two_data_sets_cannot_have_one_home() {
    let root = root(&json!({
        "a": { "local": { "path": ".", "home": "/data" } },
        "b": { "local": { "path": ".", "home": "/data" } },
    }));
    insta::assert_snapshot!(said(&root, &load(&root), "a,b"), @"the data `a` and `b` have the same home /data; give one of them another");
    assert_eq!(resolve_in(root.path(), &load(&root), "a,a").unwrap().len(), 1);
}

#[test]
fn a_forced_mirror_is_for_everything_but_local_data() {
    let root = root(&json!({ "d": {
        "custom": { "path": "data.json", "mirrorlocal": "/nowhere" },
        "local": { "path": "." },
    }}));
    let mirror = root.path().join("forced");
    fs::create_dir(&mirror).unwrap();
    let options = DataOptions { force_mirror: Some(&mirror), ..Default::default() };
    let config = DataConfig::load(root.path(), &options);
    let plans = resolve_in(root.path(), &config, "d").unwrap();
    assert_eq!(plans[0].mount.as_ref().unwrap().host, mirror.join("d"));
}

#[cfg(not(feature = "s3"))]
#[test]
fn without_the_feature_downloads_say_what_to_do() {
    let root = root(&json!({ "d": { "minio": { "path": "s3://bucket/d" } } }));
    insta::assert_snapshot!(said(&root, &load(&root), "d"));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in r#"[{}":,a-z /.\[\]0-9]{0,60}"#, name in "[a-z/.,]{0,4}") {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(DATA_FILE), &text).unwrap();
        let config = load(&root);
        let plans = resolve_in(root.path(), &config, &name);
        prop_assert!(plans.is_err() || name.split(',').all(|n| n.trim().is_empty()) || config.problems_of(&name).next().is_none());
    }

    #[test]
    fn no_shape_makes_it_panic(
        provider in "custom|local|minio|nas|aws|x",
        key in "path|home|mirrorlocal|readwrite|args|pat",
        value in prop_oneof![
            Just(json!(null)), Just(json!(true)), Just(json!([])), Just(json!({})), Just(json!(1)),
            r#"[a-z:/.' ]{0,10}"#.prop_map(Value::from),
        ],
    ) {
        let root = root(&json!({ "d": { provider: { key: value } } }));
        let config = load(&root);
        let usable = resolve_in(root.path(), &config, "d").is_ok();
        prop_assert!(!usable || config.problems().next().is_none());
    }
}
