//! The part that measures.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

/// Waiting for memory, one access after the other: what the machine does meanwhile shows.
const ENTRY: &str = "rust_membw/latency";
/// One thread and a small array, so that a try takes a minute.
const BASE: &str = "'MAD_NUM_THREADS': '1', 'MAD_MEMBW_MIB': '4'";
const PLANTED: &str = "'MAD_PLANT_SLOWDOWN': '0.03'";

/// Tries both, prints what came of it; what was wanted and is not so.
pub(crate) fn measured(tries: usize) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    println!("Measured: {ENTRY}, {tries} tries with 3 % planted and {tries} with nothing.\n");
    println!("| try | planted | verdict | change | interval | executions | s | base | load |");
    println!("|--:|--:|---|--:|--:|--:|--:|--:|--:|");
    let [mut found, mut different] = [0; 2];
    let mut executions = [0.0, 0.0];
    let mut bases: Vec<f64> = Vec::new();
    for at in 1..=tries {
        for planted in [true, false] {
            let clock = Instant::now();
            let done = compare(dir.path(), planted);
            let (entry, metric) = (&done["entries"][0], &done["entries"][0]["metrics"][0]);
            let verdict = entry["outcome"].as_str().unwrap_or("failed").to_owned();
            let percent = |value: &Value| 100.0 * value.as_f64().unwrap_or(f64::NAN);
            bases.push(metric["base"].as_f64().expect("a median"));
            let spent = entry["executions"].as_u64().unwrap_or_default();
            executions[usize::from(!planted)] += spent as f64 / tries as f64;
            let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
            println!(
                "| {at} | {} | {verdict} | {:+.2} % | {:+.2} … {:+.2} % | {spent} | {:.0} | {:.2} | {} |",
                if planted { "3 %" } else { "" },
                percent(&metric["change"]),
                percent(&metric["interval"][0]),
                percent(&metric["interval"][1]),
                clock.elapsed().as_secs_f64(),
                bases.last().expect("a median"),
                load.split(' ').next().unwrap_or_default(),
            );
            match planted {
                true => found += usize::from(verdict == "slower"),
                false => different += usize::from(verdict == "slower" || verdict == "faster"),
            }
        }
    }
    bases.sort_by(f64::total_cmp);
    let drift = 100.0 * (bases[bases.len() - 1] / bases[0] - 1.0);
    println!(
        "\n3 % found in {found} of {tries} tries, {:.0} executions each; equal sides called \
         different in {different} of {tries}, {:.0} executions each. The base itself drifted by \
         {drift:.0} % from try to try.",
        executions[0], executions[1],
    );
    let mut missed = Vec::new();
    if found * 20 < tries * 19 {
        missed.push(format!("3 % found in {found} of {tries} tries"));
    }
    if different * 20 > tries {
        missed.push(format!("equal sides called different in {different} of {tries} tries"));
    }
    missed
}

fn compare(dir: &Path, planted: bool) -> Value {
    let mad = std::env::var("MAD_BENCH_MAD").unwrap_or(env!("CARGO_BIN_EXE_mad").to_owned());
    let root = std::env::current_dir().expect("a directory");
    let base = format!("{{'env_vars': {{{BASE}}}}}");
    let candidate = match planted {
        true => format!("{{'env_vars': {{{BASE}, {PLANTED}}}}}"),
        false => base.clone(),
    };
    let output = Command::new(mad)
        .current_dir(dir)
        .arg("--root")
        .arg(root)
        .args(["--json", "--quiet", "compare", ENTRY, "--warmup", "1"])
        .args(["--min-effect", "2%", "--max-samples", "60"])
        .args(["--base-context", &base, "--additional-context", &candidate])
        .env("MAD_LEASE_DIR", dir.join("leases"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("mad starts");
    serde_json::from_slice(&output.stdout).expect("a comparison")
}
