//! What `mad tune-search` finds on this machine, and whether it falls for a placebo.
//!
//! The entry hashes small files for real: `BATCH` of them with each process that is started, on
//! `THREADS` processes at once. One of the batch sizes is planted as the best by far; a variable
//! that nobody reads is the placebo. Whatever else the machine does meanwhile is the noise.
//!
//! `MAD_BENCH_TRIES` is how often it is tried (default 20).

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

/// Files that an execution hashes.
const FILES: usize = 60;

/// The planted best lever.
const BEST: &str = "BATCH=60";
/// The variable that nobody reads.
const PLACEBO: &str = "NOBODY_READS_THIS=1";

const SCRIPT: &str = r#"#!/usr/bin/env bash
set -euo pipefail
for i in $(seq __FILES__); do printf '%64000s' "$i" > "file$i"; done
begin=$EPOCHREALTIME
printf '%s\n' file* | xargs -n "${BATCH:-1}" -P "${THREADS:-1}" sha256sum > /dev/null
end=$EPOCHREALTIME
awk -v n=__FILES__ -v t="$(( ${end/./} - ${begin/./} ))" \
    'BEGIN { printf "performance: %.3f files_per_second\n", n * 1e6 / t }'
"#;

fn main() -> ExitCode {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|a| a == "--bench") {
        return ExitCode::SUCCESS;
    }
    let tries = std::env::var("MAD_BENCH_TRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let dir = tempfile::tempdir().expect("a temporary directory");
    catalog(dir.path());
    println!(
        "| try | recommended | gain | interval | best found | placebo | executions | s | load |"
    );
    println!("|--:|---|--:|--:|---|---|--:|--:|--:|");
    let [mut found, mut placebo, mut executions] = [0_u64; 3];
    let whole = Instant::now();
    for at in 1..=tries {
        let clock = Instant::now();
        let done = search(dir.path(), at);
        let changes = done["recommendation"]["changes"].as_array().cloned().unwrap_or_default();
        let word = |c: &Value| {
            let text = |key: &str| c[key].as_str().unwrap_or_default().to_owned();
            format!("{}={}", text("lever"), text("value"))
        };
        let words: Vec<String> = changes.iter().map(word).collect();
        let has = |wanted: &str| words.iter().any(|w| w == wanted);
        let count = |c: &Value, what: &str| c[what]["executions"].as_u64().unwrap_or_default();
        let candidates = done["candidates"].as_array().cloned().unwrap_or_default();
        let spent: u64 =
            candidates.iter().map(|c| count(c, "comparison") + count(c, "verification")).sum();
        found += u64::from(has(BEST));
        placebo += u64::from(has(PLACEBO));
        executions += spent;
        let percent = |value: &Value| 100.0 * value.as_f64().unwrap_or(f64::NAN);
        let best = &done["recommendation"];
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        println!(
            "| {at} | {} | {:+.0} % | {:+.0} … {:+.0} % | {} | {} | {spent} | {:.0} | {} |",
            words.join(" "),
            percent(&best["gain"]),
            percent(&best["interval"][0]),
            percent(&best["interval"][1]),
            if has(BEST) { "yes" } else { "NO" },
            if has(PLACEBO) { "RECOMMENDED" } else { "no" },
            clock.elapsed().as_secs_f64(),
            load.split(' ').next().unwrap_or_default(),
        );
    }
    println!(
        "\nthe planted best lever was found in {found} of {tries}, the placebo recommended in \
         {placebo} of {tries}; {:.0} executions and {:.0} s each",
        executions as f64 / f64::from(tries),
        whole.elapsed().as_secs_f64() / f64::from(tries),
    );
    match found * 20 >= u64::from(tries) * 19 && placebo == 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn catalog(root: &Path) {
    let lever =
        |name: &str, values: &[&str]| json!({ "name": name, "kind": "env", "values": values });
    let levers = [
        lever("BATCH", &["2", "60"]),
        lever("THREADS", &["2"]),
        lever("NOBODY_READS_THIS", &["1"]),
    ];
    let models = json!([{
        "name": "hashes", "scripts": "scripts/hashes", "n_gpus": "0", "owner": "bench@example.com",
        "training_precision": "", "tags": ["cpu"], "args": "", "tune": { "levers": levers },
    }]);
    fs::create_dir_all(root.join("scripts/hashes")).expect("a directory");
    let script = SCRIPT.replace("__FILES__", &FILES.to_string());
    fs::write(root.join("scripts/hashes/run.sh"), script).expect("a script");
    fs::write(root.join("models.json"), models.to_string()).expect("a catalog");
}

fn search(dir: &Path, seed: u32) -> Value {
    let mad = std::env::var("MAD_BENCH_MAD").unwrap_or(env!("CARGO_BIN_EXE_mad").to_owned());
    let output = Command::new(mad)
        .current_dir(dir)
        .args(["--json", "--quiet", "tune-search", "hashes", "--candidates", "8"])
        .args(["--max-samples", "12", "--seed", &seed.to_string()])
        .env("MAD_LEASE_DIR", dir.join("leases"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("mad starts");
    serde_json::from_slice(&output.stdout).expect("the record of a search")
}
