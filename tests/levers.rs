//! Levers of every kind, from the entry to what its script finds, and as a patch. The scripts
//! print a number that follows from what they find, so that nothing depends on time.

mod common;

use std::process::Command;

use common::{Fixture, json_file, read};
use serde_json::{Value, json};

/// 100, and half as much again for each of: a deeper configuration, a larger tile.
const SCRIPT: &str = r#"
depth=$(sed -n 's/^  depth: *\([0-9]*\).*/\1/p' conf/a.yml)
tile=1
while [ $# -gt 0 ]; do case "$1" in --tile) tile=$2; shift;; esac; shift; done
n=100
[ "$depth" != 4 ] || n=$((n * 3 / 2))
[ "$tile" != 2 ] || n=$((n * 3 / 2))
[ "${BATCH:-1}" != "a b" ] || n=$((n * 3 / 2))
echo "got depth=$depth tile=$tile batch=${BATCH:-}"
echo "performance: $n tokens_per_second"
"#;
const CONFIG: &str = "# What it trains.\ntrain:\n  depth: 2   # layers\n  name: 'x'\n";

fn searched(fixture: &Fixture, args: &[&str]) -> Value {
    let args = [&["tune-search", "decode", "--seed", "1", "--candidates", "8"], args].concat();
    fixture.mad(&args).run().exits(0);
    let all = std::fs::read_dir(fixture.path("mad/tunings")).expect("searches");
    let newest = all.map(|e| e.expect("an entry").path()).max().expect("a search");
    json_file(&newest.join("tuning.json"))
}

fn recommended(record: &Value) -> Vec<String> {
    let changes = record["recommendation"]["changes"].as_array().cloned().unwrap_or_default();
    let text = |c: &Value, key: &str| c[key].as_str().expect("text").to_owned();
    let word = |c: &Value| format!("{}={}", text(c, "lever"), text(c, "value"));
    let mut words: Vec<String> = changes.iter().map(word).collect();
    words.sort();
    words
}

#[test]
fn what_is_found_lasts_once_its_patch_is_applied() {
    let levers = json!([
        { "name": "train.depth", "kind": "config", "file": "*.yml", "values": ["2", "3", "4"] },
        { "name": "--tile", "kind": "arg", "values": ["2"] },
        { "name": "BATCH", "kind": "env", "values": ["a b"] },
    ]);
    let extra = json!({ "args": "--seed 7  --tile 1", "tune": { "levers": levers } });
    let fixture = Fixture::empty().entry("decode", SCRIPT, extra);
    fixture.write("scripts/decode/conf/a.yml", CONFIG);
    let before = read(&fixture.root().join("models.json"));
    let record = searched(&fixture, &["--write-patch", "tune.patch"]);
    assert_eq!(recommended(&record), ["--tile=2", "BATCH=a b", "train.depth=4"]);
    let depth = &record["recommendation"]["changes"];
    let depth = depth.as_array().unwrap().iter().find(|c| c["kind"] == "config").unwrap();
    assert_eq!(depth["was"], "2");
    assert_eq!(depth["file"], "scripts/decode/conf/a.yml");
    // The search has edited nothing.
    assert_eq!(read(&fixture.root().join("models.json")), before);
    assert_eq!(read(&fixture.root().join("scripts/decode/conf/a.yml")), CONFIG);
    assert!(!fixture.files_with("got depth=4 tile=2 batch=a b").is_empty());

    let git = Command::new("git")
        .args(["apply", "../tune.patch"])
        .current_dir(fixture.root())
        .output()
        .expect("git starts");
    assert!(git.status.success(), "{git:?}\n{}", fixture.text("tune.patch"));
    assert_eq!(
        read(&fixture.root().join("scripts/decode/conf/a.yml")),
        CONFIG.replace("depth: 2 ", "depth: 4 ")
    );
    let after = read(&fixture.root().join("models.json"));
    assert_eq!(after, before.replace("--seed 7  --tile 1", "--seed 7  --tile 2"));
    fixture.mad(&["benchmark", "decode"]).run().exits(0);
    let measured = fixture.rows().pop().expect("a row").get("performance").parse::<f64>();
    assert_eq!(measured, Ok(337.0));
    // The context still has the last word.
    let context = r#"{"docker_env_vars": {"BATCH": "1"}}"#;
    fixture.mad(&["benchmark", "decode", "-c", context]).run().exits(0);
    assert_eq!(fixture.rows().pop().expect("a row").get("performance").parse(), Ok(225.0));
}

/// What a warm-up leaves in its work directory goes to the next execution, if the lever says so.
#[test]
fn a_cache_is_warm_only_where_it_is_kept() {
    let script = r#"
n=100
if [ "${CACHE:-0}" = 1 ]; then
    if [ -f sub/cache0.bin ]; then n=150; else n=1; mkdir -p sub; echo warm > sub/cache0.bin; fi
fi
echo "performance: $n tokens_per_second"
"#;
    for (keep, expected) in [(json!(["sub/cache*.bin"]), vec!["CACHE=1"]), (json!([]), vec![])] {
        let lever = json!({
            "name": "CACHE", "kind": "env", "values": ["1"], "warmup": 1, "keep": keep,
        });
        let extra = json!({ "tune": { "levers": [lever] } });
        let fixture = Fixture::empty().entry("decode", script, extra);
        assert_eq!(recommended(&searched(&fixture, &[])), expected, "{keep}");
        assert!(!fixture.root().join("scripts/decode/sub").exists());
    }
}

/// A lever that cannot be applied is said, and the others are tried.
#[test]
fn a_lever_that_fits_nowhere_is_skipped_with_its_reason() {
    let levers = json!([
        { "name": "train.dept", "kind": "config", "file": "*.yml", "values": ["4"] },
        { "name": "depth", "kind": "config", "file": "none.toml", "values": ["4"] },
        { "name": "--tile", "kind": "arg", "values": ["2"] },
    ]);
    let extra = json!({ "tune": { "levers": levers } });
    let fixture = Fixture::empty().entry("decode", SCRIPT, extra);
    fixture.write("scripts/decode/conf/a.yml", CONFIG);
    let record = searched(&fixture, &[]);
    assert_eq!(recommended(&record), ["--tile=2"]);
    let skipped = |c: &&Value| c["status"] == "skipped";
    let all = record["candidates"].as_array().expect("candidates");
    let because: Vec<String> =
        all.iter().filter(skipped).map(|c| c["trust"]["because"][0].to_string()).collect();
    assert_eq!(because.len(), 2, "{because:?}");
    assert!(because[0].contains("the nearest: `train.depth`"), "{because:?}");
    assert!(because[1].contains("no file none.toml in scripts/decode"), "{because:?}");
}
