//! Accepted numbers of another machine, or of other software: told, and never red where the
//! product is another one.

mod common;

use common::{Fixture, Mad, Ran, check};
use serde_json::{Value, json};

const SCRIPT: &str = "echo \"performance: $VALUE ${METRIC:-tok/s}\"";

/// One entry for all GPUs of a host that is believed to have eight MI300X.
fn gpu_host() -> Fixture {
    let extra = json!({ "n_gpus": "-1", "tags": ["gpu"], "training_precision": "fp16" });
    let fixture = Fixture::empty().entry("m", SCRIPT, extra);
    // The probe is remembered; what it remembers may be put there.
    fixture.mad(&["benchmark", "m"]).env("VALUE", "1").run();
    let text = include_str!("fixtures/machines/8x-mi300x.json");
    let mi300x: Value = serde_json::from_str(text).expect("a machine");
    believe(&fixture, |machine| {
        for what in ["gpus", "driver", "kernel"] {
            machine[what] = mi300x[what].clone();
        }
    });
    fixture
}

/// Changes what `mad` believes of the host.
fn believe(fixture: &Fixture, change: impl FnOnce(&mut Value)) {
    let cache = fixture.path("mad/cache");
    let mut files = std::fs::read_dir(cache).expect("a cache").flatten();
    let path = files.find(|f| f.file_name().to_string_lossy().starts_with("machine-"));
    let path = path.expect("a remembered machine").path();
    let mut memory: Value = common::json_file(&path);
    change(&mut memory["machine"]);
    std::fs::write(path, memory.to_string()).expect("the cache");
}

fn product(fixture: &Fixture, name: &str) {
    let gpus = |machine: &mut Value| {
        for gpu in machine["gpus"].as_array_mut().expect("GPUs") {
            gpu["product"] = name.into();
        }
    };
    believe(fixture, gpus);
}

fn bench(fixture: &Fixture, value: &str, args: &[&str]) -> Mad {
    let args: Vec<&str> = ["benchmark"].iter().chain(args).copied().collect();
    fixture.mad(&args).env("VALUE", value)
}

/// With an accepted value of 100.
fn accepted() -> Fixture {
    let fixture = gpu_host();
    bench(&fixture, "100", &[]).run().exits(0);
    let ran: Ran = fixture.mad(&["baseline", "accept"]).run().exits(0);
    ran.says(&["baselines/8x-gfx942-amd-instinct-mi300x/m.json"]);
    fixture
}

#[test]
fn another_product_raises_a_doubt_and_no_more() {
    let fixture = accepted();
    product(&fixture, "AMD Instinct MI325X");
    let ran = bench(&fixture, "40", &["--explain"]).run().exits(0);
    let told = ran.stdout.split("\n\n").nth(1).expect("the verdict").to_owned();
    let told = told.split("\nresults:").next().unwrap_or_default().to_owned();
    check(|| insta::assert_snapshot!("product", told));
    ran.says(&[
        "fallback               judged by numbers accepted on 8x-gfx942-amd-instinct-mi300x",
    ]);
    let record = fixture.record("m/verdict.json");
    assert_eq!(record["fallback"]["reach"], "product");
    assert_eq!(record["metrics"]["tok/s"]["outcome"], "ambiguous");
    assert_eq!(record["confirmations"], json!([]), "nothing is spent on it");
    let junit = fixture.text("mad/junit.xml");
    assert!(junit.contains("fallback=judged by numbers accepted on"), "{junit}");
    let report = fixture.mad(&["report", "--format", "json"]).run();
    report.says(&["judged by numbers accepted on 8x-gfx942-amd-instinct-mi300x"]);
    // Better is no improvement, either, and the same is the same.
    bench(&fixture, "200", &[]).run().exits(0).says(&["ambiguous", "accept runs of this machine"]);
    bench(&fixture, "100", &[]).run().exits(0).says(&["same", "judged by numbers accepted on"]);
    // Numbers of its own end it.
    fixture.mad(&["baseline", "accept"]).run().exits(0).says(&["mi325x"]);
    let ran = bench(&fixture, "40", &[]).run().exits(5);
    assert!(!ran.said().contains("judged by numbers"), "{}", ran.said());
}

#[test]
fn who_wants_exact_numbers_gets_none() {
    let fixture = accepted();
    product(&fixture, "AMD Instinct MI325X");
    let none = ["no baseline for 8x-gfx942-amd-instinct-mi325x", "which say nothing here"];
    for reach in ["none", "software"] {
        bench(&fixture, "100", &["--fallback", reach]).run().exits(0).says(&none);
    }
    bench(&fixture, "100", &["--require-baseline"]).run().exits(1).says(&none);
    bench(&fixture, "100", &["--fallback", "all"]).run().exits(4).says(&["--fallback"]);
    fixture.write("mad.toml", "[baseline]\nfallback = \"software\"\n");
    bench(&fixture, "100", &[]).run().exits(0).says(&none);
    bench(&fixture, "100", &["--fallback", "product"]).run().says(&["judged by numbers"]);
}

#[test]
fn other_software_is_judged_in_full_and_told() {
    let fixture = accepted();
    believe(&fixture, |machine| machine["driver"]["version"] = "9.9.9".into());
    let told = ["regressed", "no accepted run had this software: driver amdgpu", "9.9.9"];
    bench(&fixture, "40", &[]).run().exits(5).says(&told);
    let record = fixture.record("m/verdict.json");
    assert_eq!(record["fallback"]["reach"], "software");
    assert!(fixture.text("mad/junit.xml").contains("fallback=no accepted run had"), "JUnit");
    let strict = bench(&fixture, "40", &["--fallback", "none", "--require-baseline"]).run();
    strict.exits(1).says(&["no baseline for", "9.9.9"]);
    // Once a run of this software is accepted, there is nothing to tell.
    bench(&fixture, "100", &[]).run().exits(0);
    fixture.mad(&["baseline", "accept"]).run().exits(0);
    let ran = bench(&fixture, "40", &["--fallback", "none"]).run().exits(5);
    assert!(!ran.said().contains("this software"), "{}", ran.said());
}

#[test]
fn another_number_architecture_or_unit_is_never_compared() {
    let fixture = accepted();
    believe(&fixture, |machine| {
        machine["gpus"].as_array_mut().expect("GPUs").pop();
    });
    let lost = [
        "no baseline for 7x-gfx942-amd-instinct-mi300x",
        "there are numbers of 8x-gfx942-amd-instinct-mi300x with 8 GPUs, which say nothing here",
    ];
    bench(&fixture, "40", &[]).run().exits(0).says(&lost);
    bench(&fixture, "40", &["--require-baseline"]).run().exits(1).says(&lost);

    let fixture = accepted();
    believe(&fixture, |machine| {
        for gpu in machine["gpus"].as_array_mut().expect("GPUs") {
            gpu["arch"] = "gfx950".into();
        }
    });
    bench(&fixture, "40", &[]).run().exits(0).says(&["no baseline for 8x-gfx950-"]);

    let fixture = accepted();
    product(&fixture, "AMD Instinct MI325X");
    let other = bench(&fixture, "40", &[]).env("METRIC", "ms").run().exits(0);
    other.says(&["no baseline for 8x-gfx942-amd-instinct-mi325x"]);
    // A mixed machine is like no other.
    believe(&fixture, |machine| machine["gpus"][0]["product"] = "AMD Instinct MI300A".into());
    bench(&fixture, "40", &[]).run().exits(0).says(&["no baseline for 1x-gfx942-"]);
}

#[test]
fn nextest_lists_what_can_be_judged() {
    let fixture = accepted();
    product(&fixture, "AMD Instinct MI325X");
    let list = |args: &[&str]| {
        let args: Vec<&str> = ["--list", "--ignored"].iter().chain(args).copied().collect();
        fixture.target(&args).run().exits(0).stdout
    };
    assert!(!list(&[]).contains("regress::m"));
    assert!(list(&["--fallback", "none"]).contains("regress::m"));
}
