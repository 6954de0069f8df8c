//! What a diagnosis suggests to try.

use serde_json::json;

use super::traces::{self, Op, ops};
use super::{Fixture, Ran, mad};

/// The names that `mad diagnose` suggests, and everything it printed.
fn suggested(fixture: &Fixture, workload: &str, args: &[&str]) -> (Vec<String>, Ran) {
    traces::rtl_database(&fixture.path("."), &ops(workload));
    let ran = mad(fixture, &[&["--json", "diagnose", "trace.db"], args].concat()).exits(0);
    let names = ran.json()["levers"].as_array().expect("levers").clone();
    let name = |l: &serde_json::Value| l["lever"]["name"].as_str().expect("a name").to_owned();
    (names.iter().map(name).collect(), ran)
}

fn entry(name: &str, extra: serde_json::Value) -> Fixture {
    Fixture::empty().entry(name, "echo performance: 1 x", extra)
}

/// The most special word anywhere decides, and it is said where it stood.
#[test]
fn the_stack_follows_from_the_entry() {
    for (fixture, stack, because) in [
        (entry("a", json!({"tags": ["pyt", "vllm"]})), "vllm", "its tags: `vllm`"),
        (entry("pyt_megatron_a", json!({})), "megatron", "its name: `megatron`"),
        (entry("a", json!({"args": "--engine sglang"})), "sglang", "its arguments: `sglang`"),
        (entry("pyt_a", json!({})), "pytorch", "its name: `pyt`"),
        // No word within a word.
        (entry("pytest_a", json!({"tags": ["cpu"]})), "generic", "nothing names one"),
        (
            Fixture::empty().entry("a", "# vllm\npython3 -m MaxText.train x.yml", json!({})),
            "maxtext",
            "scripts/a: `maxtext`",
        ),
    ] {
        let name = fixture.text("catalog/models.json");
        let name: serde_json::Value = serde_json::from_str(&name).expect("a catalog");
        let name = name[0]["name"].as_str().expect("a name").to_owned();
        let (_, ran) = suggested(&fixture, "compute", &["--model", &name]);
        assert_eq!(ran.json()["stack"]["stack"], stack, "{because}");
        let said = ran.json()["stack"]["because"].as_str().expect("a reason").to_owned();
        assert!(said.contains(because), "{said}");
    }
}

#[test]
fn a_dockerfile_names_a_stack() {
    let fixture = entry("a", json!({"dockerfile": "docker/a", "n_gpus": "1"}));
    fixture.write(
        "docker/a.ubuntu.amd.Dockerfile",
        "# CONTEXT {'gpu_vendor': 'AMD', 'guest_os': 'UBUNTU'}\nFROM lmsysorg/sglang:latest\n",
    );
    let (names, ran) = suggested(&fixture, "launch", &["--model", "a"]);
    assert_eq!(ran.json()["stack"]["stack"], "sglang");
    assert_eq!(names[0], "--max-running-requests");
    assert!(names.contains(&"HIP_FORCE_DEV_KERNARG".to_owned()), "{names:?}");
    assert!(!names.contains(&"--max-num-seqs".to_owned()), "{names:?}");
}

/// The entry's own lever comes first, then those of mad.toml; a name counts once.
#[test]
fn catalogs_go_from_special_to_general() {
    let own = json!({"levers": [
        {"name": "PYTORCH_TUNABLEOP_ENABLED", "kind": "env", "values": ["1", "0"],
         "targets": ["compute"], "warmup": 3},
        {"name": "ELSEWHERE", "kind": "env", "values": ["1"], "targets": ["memory"]}]});
    let fixture = entry("pyt_a", json!({"tune": own}));
    fixture.write(
        "mad.toml",
        "[[levers]]\nname = \"MINE\"\nkind = \"env\"\nvalues = [\"1\"]\ntargets = [\"compute\"]\n\
         [[levers]]\nname = \"OF_SGLANG\"\nkind = \"env\"\nvalues = [\"1\"]\n\
         targets = [\"compute\"]\nstacks = [\"sglang\"]\n",
    );
    let (names, ran) = suggested(&fixture, "compute", &["--model", "pyt_a"]);
    assert_eq!(names[0], "PYTORCH_TUNABLEOP_ENABLED");
    assert_eq!(names.iter().filter(|n| *n == "PYTORCH_TUNABLEOP_ENABLED").count(), 1);
    assert!(names.contains(&"MINE".to_owned()), "{names:?}");
    for absent in ["ELSEWHERE", "OF_SGLANG"] {
        assert!(!names.contains(&absent.to_owned()), "{names:?}");
    }
    let first = &ran.json()["levers"][0];
    assert_eq!((&first["from"], &first["lever"]["warmup"]), (&json!("entry"), &json!(3)));
}

#[test]
fn mistakes_in_catalogs_are_said() {
    let fixture = entry(
        "a",
        json!({"tune": {"levers": [
        {"name": "X", "kind": "env", "values": ["1"], "targets": ["speed"]},
        {"name": "A=B", "kind": "env", "values": ["1"]},
        {"name": "a.b", "kind": "config", "values": ["1"]}]}}),
    );
    fixture.write(
        "mad.toml",
        "[[levers]]\nname = \"Y\"\nkind = \"env\"\nvalues = []\nstacks = [\"torch\"]\n",
    );
    let said = mad(&fixture, &["validate"]).exits(1).said();
    for part in [
        "the lever `X` targets `speed`: one of compute, memory, communication, launch",
        "the lever `A=B` is of the kind `env` and no name of a variable",
        "the lever `a.b` is of the kind `config` and names no `file`",
        "the lever `Y` has no name, or no values to try",
        "the lever `Y` is for `torch`: one of vllm",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn an_entry_that_is_not_there_is_no_success() {
    let fixture = entry("a", json!({"tags": ["two"]})).entry("b", "", json!({"tags": ["two"]}));
    traces::rtl_database(&fixture.path("."), &ops("mixed"));
    let ran = mad(&fixture, &["diagnose", "trace.db", "--model", "c"]);
    ran.exits(2).says(&["c"]);
    let ran = mad(&fixture, &["diagnose", "trace.db", "--model", "two"]);
    ran.exits(4).says(&["several entries (a, b"]);
}

/// What is suggested cites what was found; a lever for kernels that are not there is not.
#[test]
fn what_people_read() {
    let fixture = Fixture::empty();
    traces::rtl_database(&fixture.path("."), &ops("memory"));
    let ran = mad(&fixture, &["diagnose", "trace.db", "--stack", "vllm"]).exits(0);
    insta::assert_snapshot!(ran.stdout);

    let no_attention: Vec<Op> =
        ops("memory").into_iter().filter(|op| !op.name.contains("flash")).collect();
    std::fs::remove_file(fixture.path("trace.db")).expect("removed");
    traces::rtl_database(&fixture.path("."), &no_attention);
    mad(&fixture, &["diagnose", "trace.db", "--stack", "vllm"])
        .exits(0)
        .says(&["--gpu-memory-utilization"])
        .stdout
        .lines()
        .for_each(|line| assert!(!line.contains("--kv-cache-dtype"), "{line}"));
}
