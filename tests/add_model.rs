//! `mad add-model`: a new entry that runs at once, or no trace of one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Fixture, Mad, Shown, Then, check};
use serde_json::json;

/// A name for each stack, and the metric of its real workload.
const STACKS: [(&str, &str); 7] = [
    ("pyt_vllm_llama-3.1-8b", "vllm"),
    ("pyt_sglang_llama-3.1-8b", "sglang"),
    ("pyt_train_vit", "pytorch"),
    ("pyt_huggingface_t5", "huggingface"),
    ("pyt_megatron-lm_gpt3", "megatron"),
    ("jax_maxtext_llama2-7b", "maxtext"),
    ("onnx_runtime_bert", "generic"),
];

/// What a catalog's files hold, and which can be started.
fn tree(root: &Path) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode();
            match path.is_dir() {
                true => {
                    open.push(path.clone());
                    found.insert(path, (Vec::new(), mode));
                }
                false => {
                    found.insert(path.clone(), (fs::read(path).unwrap(), mode));
                }
            }
        }
    }
    found
}

/// The shipped catalog, in its own formatting.
fn shipped() -> Fixture {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fixture = Fixture::empty();
    for part in ["models.json", "mad.toml", "docker", "scripts"] {
        let done = Command::new("cp").arg("-r").arg(here.join(part)).arg(fixture.root()).status();
        assert!(done.unwrap().success());
    }
    fixture
}

/// `args` fails with this status and these words, and changes nothing.
#[track_caller]
fn refused(fixture: &Fixture, args: &[&str], status: i32, words: &[&str]) {
    let before = tree(&fixture.root());
    fixture.mad(args).run().exits(status).says(words);
    assert_eq!(tree(&fixture.root()), before, "{args:?} left a trace");
}

fn stand_in(fixture: &Fixture, name: &str) -> Mad {
    let args = ["benchmark", name, "--engine", "host", "--ngpus", "0", "--samples", "1"];
    fixture.mad(&args).env("MAD_STAND_IN", "1")
}

#[test]
fn what_it_says_and_what_changes() {
    let fixture = shipped();
    let before = fs::read_to_string(fixture.root().join("models.json")).unwrap();
    let url = "https://huggingface.co/meta-llama/Llama-3.1-8B";
    let args = ["add-model", "pyt_vllm_llama-3.1-8b", "--url", url, "--notes", "two\nlines"];
    let ran = fixture.mad(&args).env_remove("MAD_ROOT").through_shell("cd catalog; \"$@\"").run();
    let said = ran.exits(0).stdout.clone();
    check(|| insta::assert_snapshot!("add_model", said));
    // Only lines were added.
    let after = fs::read_to_string(fixture.root().join("models.json")).unwrap();
    let front = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    assert!(after.as_bytes().ends_with(&before.as_bytes()[front..]));
    fixture.mad(&["validate"]).run().exits(0).says(&["11 entries: nothing to complain about"]);
}

#[test]
fn every_stack_runs_at_once() {
    let fixture = Fixture::empty();
    for (name, stack) in STACKS {
        let ran = fixture.mad(&["add-model", name, "--json"]).run().exits(0).json();
        assert_eq!((&ran["stack"], &ran["written"]), (&json!(stack), &json!(true)));
        assert_eq!(ran["diagnostics"], json!([]));
        stand_in(&fixture, name).run().exits(0);
        let row = fixture.rows().pop().unwrap();
        assert_eq!((row.get("model"), row.get("status")), (name, "SUCCESS"));
        assert_eq!(row.get("metric"), "stand_in_iterations_per_second");
    }
    fixture.mad(&["validate", "--deny-warnings"]).run().exits(0).says(&["7 entries: nothing"]);
    // The real workload is missing here, and says so; no number is made up.
    for (name, _) in STACKS {
        let args = ["benchmark", name, "--engine", "host", "--ngpus", "0", "--samples", "1"];
        fixture.mad(&args).run().exits(3);
        assert_eq!(fixture.rows().pop().unwrap().get("status"), "FAILURE");
    }
}

#[test]
fn a_dockerfile_of_the_stack_is_used_again() {
    let fixture = Fixture::empty();
    let add = |name: &str| fixture.mad(&["add-model", name, "--json"]).run().exits(0).json();
    let first = add("pyt_sglang_one");
    assert_eq!(first["reused"], json!([]));
    let dockerfiles = ["amd", "nvidia"].map(|v| format!("docker/pyt_sglang.ubuntu.{v}.Dockerfile"));
    assert_eq!(
        first["files"],
        json!([&dockerfiles[0], &dockerfiles[1], "scripts/pyt_sglang_one/run.sh"])
    );
    let second = add("pyt_sglang_two");
    assert_eq!(second["reused"], json!(dockerfiles));
    assert_eq!(second["files"], json!(["scripts/pyt_sglang_two/run.sh"]));
    assert_eq!(second["template"]["name"], "pyt_sglang_one");
    let text = fs::read_to_string(fixture.root().join(&dockerfiles[0])).unwrap();
    assert!(text.starts_with(
        "# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}\nARG BASE_DOCKER=lmsysorg/"
    ));
    assert!(text.contains("\nFROM $BASE_DOCKER\n"));
}

#[test]
fn dry_run_writes_nothing() {
    let fixture = shipped();
    let args = ["add-model", "pyt_sglang_x", "--dry-run"];
    refused(&fixture, &args, 0, &["+# CONTEXT {'gpu_vendor': 'AMD'", "would write models.json"]);
    let listed =
        fixture.mad(&["add-model", "pyt_sglang_x", "--dry-run", "--json"]).run().exits(0).json();
    assert_eq!(listed["written"], false);
}

#[test]
fn names_that_cannot_be_used() {
    let fixture = shipped();
    for (name, words) in [
        ("a/b", &["has a `/` in it"][..]),
        ("../x", &["has a `/` in it"]),
        ("a b", &["' '"]),
        ("a;touch x", &["';'"]),
        ("$(id)", &["'$'"]),
        ("a\nb", &["'\\n'"]),
        ("größe", &["'ö'"]),
        ("", &["the name is empty"]),
        (".x", &["must begin with a letter or a digit"]),
        ("all", &["`all` selects every entry"]),
        ("rust_gemm", &["the name `rust_gemm` exists already: models.json:27"]),
        ("Rust_GEMM", &["differ only in case"]),
        ("smoke", &["`smoke` is a tag, of rust_transformer_decode"]),
    ] {
        refused(&fixture, &["add-model", "--", name], 4, words);
    }
    refused(&fixture, &["add-model", &"x".repeat(200)], 4, &["more than 100"]);
    refused(&fixture, &["add-model", "a", "--from", "rust_gem"], 4, &["did you mean `rust_gemm`?"]);
    let secret = ["add-model", "a", "--url", "https://me:hunter2@host.example/x"];
    let said = fixture.mad(&secret).run().exits(4).stderr.clone();
    assert!(!said.contains("hunter2") && said.contains("credential.json"), "{said}");
}

#[test]
fn a_catalog_that_does_not_parse_is_left_alone() {
    for text in [
        "",
        "[\n  {\"name\": \"a\",\n",
        "{\"name\": \"a\"}",
        "[null]",
        "[{\"name\": \"a\"}, {\"name\": \"a\"}]",
    ] {
        let fixture = Fixture::with_catalog(text);
        refused(
            &fixture,
            &["add-model", "pyt_vllm_x"],
            4,
            &["the catalog cannot be read as a whole"],
        );
    }
    let fixture = Fixture::with_catalog(b"[{\"name\": \"\xff\"}]");
    refused(&fixture, &["add-model", "pyt_vllm_x"], 4, &["models.json"]);
}

#[test]
fn nothing_is_overwritten_and_a_failure_leaves_no_trace() {
    let fixture = shipped();
    fixture.write("scripts/pyt_vllm_x/notes.txt", "mine");
    refused(&fixture, &["add-model", "pyt_vllm_x"], 4, &["scripts/pyt_vllm_x exists already"]);
    fixture.write("docker/pyt_sglang.ubuntu.amd.Dockerfile", "FROM x\n");
    refused(&fixture, &["add-model", "pyt_sglang_x"], 4, &["nothing is overwritten"]);
    // The Dockerfile cannot be made: there is a file where its directory should be.
    let fixture = Fixture::with_catalog("[]\n");
    fixture.write("docker", "a file");
    refused(&fixture, &["add-model", "pyt_vllm_x"], 4, &["nothing was written"]);
    // The scripts cannot, after the Dockerfiles could.
    let fixture = Fixture::with_catalog("[]\n");
    fixture.write("scripts", "a file");
    refused(&fixture, &["add-model", "pyt_vllm_x"], 4, &["scripts"]);
}

#[test]
fn a_read_only_tree_is_left_alone() {
    let fixture = shipped();
    let locked = |mode| {
        for dir in ["docker", "scripts", ""] {
            fs::set_permissions(fixture.root().join(dir), fs::Permissions::from_mode(mode))
                .unwrap();
        }
    };
    locked(0o555);
    // Root may write anyway.
    if fs::write(fixture.root().join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write to read-only directories");
        locked(0o755);
        return;
    }
    refused(&fixture, &["add-model", "pyt_sglang_x"], 4, &["nothing was written"]);
    locked(0o755);
}

#[test]
fn without_a_terminal_it_does_not_ask() {
    let fixture = shipped();
    refused(&fixture, &["add-model"], 4, &["NAME is missing", "no terminal"]);
}

fn in_terminal(fixture: &Fixture, columns: u16, steps: &[(&str, &str)]) -> Option<Shown> {
    let steps: Vec<(&str, Then<'_>)> =
        steps.iter().map(|(until, keys)| (*until, Then::Type(keys))).collect();
    let mad = fixture.mad(&["add-model"]).env("TERM", "xterm").env("NO_COLOR", "1");
    fixture.in_terminal(columns, mad, &steps)
}

#[test]
fn in_a_terminal_it_asks() {
    for columns in [40, 120] {
        let fixture = shipped();
        let steps = [
            ("Name", "rust_gemm\r"),
            ("exists already", "\u{7f}\u{7f}\u{7f}\u{7f}fft\r"),
            ("Made after", "\r"),
            ("URL", "\r"),
            ("Notes", "radix 4\r"),
            ("Write these", "y\r"),
        ];
        let Some(shown) = in_terminal(&fixture, columns, &steps) else { return };
        assert_eq!(shown.status, 0, "{}", shown.all());
        let run = fs::read_to_string(fixture.root().join("scripts/rust_fft/run.sh")).unwrap();
        assert!(run.contains("# radix 4\n"), "{run}");
        stand_in(&fixture, "rust_fft").run().exits(0);
    }
}

#[test]
fn ctrl_c_at_any_question_leaves_no_trace() {
    let all = [
        ("Name", "rust_fft\r"),
        ("Made after", "\r"),
        ("URL", "\r"),
        ("Notes", "\r"),
        ("Write these", "y\r"),
    ];
    for stop_at in 0..all.len() {
        for key in ["\u{3}", "\u{1b}"] {
            let fixture = shipped();
            let before = tree(&fixture.root());
            let mut steps = all[..=stop_at].to_vec();
            steps[stop_at].1 = key;
            let Some(shown) = in_terminal(&fixture, 80, &steps) else { return };
            assert_eq!(shown.status, 1, "{}", shown.all());
            assert!(shown.all().contains("stopped; nothing was written"), "{}", shown.all());
            assert!(shown.has_cursor(), "{:?}", shown.all());
            assert_eq!(tree(&fixture.root()), before);
        }
    }
}
