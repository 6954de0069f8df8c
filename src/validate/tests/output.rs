//! What people, programs and pull requests see.

use std::path::Path;

use super::Tree;
use crate::catalog::Catalog;
use crate::validate::{Validator, render_github, render_json, render_sarif, render_text, summary};

fn broken() -> Tree {
    Tree::new(&[
        (
            "models.json",
            br#"[
  {
    "name": "pyt_a",
    "scripts": "s/run.sh",
    "args": "--cache $HOME",
    "n_gpus": "8",
    "gpu_count": 4,
    "owner": "o", "tags": ["a"], "training_precision": ""
  },
  {
    "name": "pyt_b",
    "scripts": "s/b.sh",
    "dockerfile": "docker/b",
    "ngpu": 1
  }
]
"#,
        ),
        ("s/run.sh", b"#!/bin/bash\nset -e\n$COMMAND --fast\nif true; then\n  vllm serve x\nfi\n"),
        ("s/b.sh", b"#!/bin/bash\nif true; then\n  echo 'performance: 1 m'\n"),
        ("docker/b.ubuntu.amd.Dockerfile", b"# CONTEXT {'gpu_vendor': AMD}\nFROM x\n"),
    ])
}

#[test]
fn text() {
    let tree = broken();
    let catalog = Catalog::load(tree.root());
    let found = Validator::new(&catalog).all(&catalog.models);
    insta::assert_snapshot!(render_text(&found, &catalog, false));
    assert!(render_text(&found, &catalog, true).contains("\u{1b}["));
    assert_eq!(summary(&found, 2), "2 errors, 4 warnings, 1 note in 2 of 2 entries");
    assert_eq!(summary(&[], 2), "2 entries: nothing to complain about");
}

#[test]
fn json_and_github() {
    let tree = broken();
    let found = tree.check();
    insta::assert_json_snapshot!(render_json(&found, 2));
    insta::assert_snapshot!(render_github(&found, Path::new("")));
}

#[test]
fn what_many_entries_share_is_shown_once() {
    let entry = |name: &str| {
        format!(
            r#"{{"name": "{name}", "scripts": "r.sh", "owner": "", "tags": ["t"], "n_gpus": 1, "training_precision": ""}}"#
        )
    };
    let json = format!("[{}, {}, {}, {}]", entry("a"), entry("b"), entry("c"), entry("d"));
    let tree = Tree::new(&[("models.json", json.as_bytes()), ("r.sh", b"if true\n")]);
    let catalog = Catalog::load(tree.root());
    let found = Validator::new(&catalog).all(&catalog.models);
    assert_eq!(found.len(), 4);
    let text = render_text(&found, &catalog, false);
    assert_eq!(text.matches("error[MAD023]").count(), 1, "{text}");
    assert!(text.contains("in 4 entries: `a`, `b`, `c`, …"), "{text}");
    assert_eq!(summary(&found, 9), "4 errors in 4 of 9 entries");
    assert_eq!(render_github(&found, Path::new("")).lines().count(), 1);
}

/// Quadratic work would take minutes here; how long it takes is for `benches/catalog.rs`.
#[test]
fn ten_thousand_entries_share_five_hundred_scripts() {
    let mut files: Vec<(String, String)> = Vec::new();
    for i in 0..500 {
        let script = format!("#!/bin/bash\nD=$(dirname \"$0\")\npython3 $D/b.py --n {i} \"$@\"\n");
        files.push((format!("scripts/s{i}/run.sh"), script));
        let program = "import argparse\n\ndef main():\n    x = 1\n    print(f'performance: {x} m')\n\nmain()\n";
        files.push((format!("scripts/s{i}/b.py"), program.repeat(1 + i % 5)));
    }
    let entries: Vec<_> = (0..10_000)
        .map(|i| {
            serde_json::json!({ "name": format!("pyt_{i}"), "scripts": format!("scripts/s{}/run.sh", i % 500),
                "args": "--a 'b;c' $X", "timeout": -1, "skip_gpu_arch": "gfx942", "ngpu": "1" })
        })
        .collect();
    files.push(("models.json".to_owned(), serde_json::to_string_pretty(&entries).unwrap()));
    let files: Vec<(&str, &[u8])> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let tree = Tree::new(&files);
    let catalog = Catalog::load(tree.root());
    let found = Validator::new(&catalog).all(&catalog.models);
    assert_eq!(found.len(), 30_000, "three warnings for each");
}

#[test]
fn sarif() {
    let tree = broken();
    let mut log = render_sarif(&tree.check(), Path::new("sub dir"));
    let driver = &mut log["runs"][0]["tool"]["driver"];
    driver["version"] = "…".into();
    let rules = driver["rules"].take();
    insta::assert_json_snapshot!(log);
    let rules = rules.as_array().unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let mut fingerprints = std::collections::HashSet::new();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(fingerprints.insert(result["partialFingerprints"].to_string()));
    }
    // A line more above does not make another finding of it.
    let moved = broken();
    let text = std::fs::read_to_string(moved.root().join("models.json")).unwrap();
    std::fs::write(moved.root().join("models.json"), format!("\n\n{text}")).unwrap();
    let again = render_sarif(&moved.check(), Path::new("sub dir"));
    let prints = |log: &serde_json::Value| -> Vec<String> {
        let results = log["runs"][0]["results"].as_array().unwrap();
        results.iter().map(|r| r["partialFingerprints"].to_string()).collect()
    };
    assert_eq!(prints(&again), prints(&log));
}

#[test]
fn what_annotations_would_act_on_is_escaped() {
    let diagnostic = crate::diagnostic::Diagnostic::error(
        "MAD001",
        crate::diagnostic::Place::file("a,b:c%\n.json"),
        "50% of\r\n::error file=x::y",
    );
    assert_eq!(
        render_github(&[diagnostic], Path::new("sub")),
        "::error file=sub/a%2Cb%3Ac%25%0A.json,title=MAD001::50%25 of%0D%0A::error file=x::y\n"
    );
}
