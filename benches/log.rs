//! A script that prints two gigabytes: what the harness needs for it, and how fast the
//! scanner is beside grep.

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use common::{MAD, Table, Times, command, timed};
use mad_harness::contract::{ErrorScan, LogScanner};
use serde_json::json;

/// Size of the log; a whole number of blocks.
const LOG_BYTES: usize = 2 << 30;
const BLOCK_BYTES: usize = 1 << 20;
const RESULT: &str = "performance: 1234.5 tokens_per_second\n";
const ROUNDS: usize = 3;
const MIB: f64 = (1 << 20) as f64;

fn main() -> ExitCode {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path();
    let scripts = root.join("scripts/chatty");
    fs::create_dir_all(&scripts).expect("a directory for the script");
    let block = block();
    fs::write(scripts.join("block.txt"), &block).expect("a block of the log");
    let script = format!(
        "set -eu\nblocks=()\nfor _ in $(seq {}); do blocks+=(block.txt); done\n\
         cat \"${{blocks[@]}}\"\necho '{}'\n",
        LOG_BYTES / BLOCK_BYTES,
        RESULT.trim_end()
    );
    fs::write(scripts.join("run.sh"), script).expect("a script");
    let entry = json!({ "name": "chatty", "scripts": "scripts/chatty/run.sh", "n_gpus": "0" });
    fs::write(root.join("models.json"), json!([entry]).to_string()).expect("a catalog");

    let mut table = Table::default();
    end_to_end(&mut table, root, &scripts);
    scanner(&mut table, root, &block);
    table.finish("log: best (and median) of 3, in turn")
}

/// Log lines as a training run prints them, no two alike within the block.
fn block() -> Vec<u8> {
    let mut text = String::with_capacity(BLOCK_BYTES + 256);
    let mut step = 0;
    while text.len() < BLOCK_BYTES {
        step += 1;
        text += &match step % 10 {
            0 => format!(
                "INFO 11-22 14:{:02}:07 [metrics.py:{step}] Avg prompt throughput: {}.4 tokens/s, Running: {} reqs\n",
                step % 60,
                step * 3,
                step % 256
            ),
            5 => format!(
                "  File \"/opt/venv/lib/python3.12/site-packages/torch/nn/modules/module.py\", line {step}, in _call_impl\n"
            ),
            _ => format!(
                "[rank{}]: step {step}/100000 | loss {}.{:04} | lr 1.0e-05 | grad norm 0.{step} | {} ms/step\n",
                step % 8,
                step % 7,
                step * 37 % 10_000,
                400 + step % 50
            ),
        };
    }
    text.truncate(BLOCK_BYTES - 1);
    text.push('\n');
    text.into_bytes()
}

fn end_to_end(table: &mut Table, root: &Path, scripts: &Path) {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    let mut peak = 0;
    for _ in 0..ROUNDS {
        let mut mad = command(MAD, root);
        mad.args(["benchmark", "chatty"]).stdout(Stdio::null()).stderr(Stdio::null());
        let ((), took) = timed(|| {
            let mut child = mad.spawn().expect("mad starts");
            peak = peak.max(watch(&mut child));
        });
        ours.push(took);
        // The log of one run is enough.
        fs::remove_dir_all(root.join("target")).expect("the run directory is there");
        let mut bash = command("bash", scripts);
        let log = root.join("peer.log");
        bash.args(["-c", "bash run.sh | cat > \"$0\""]).arg(&log);
        let (status, took) = timed(|| bash.status().expect("bash starts"));
        assert!(status.success(), "{status}");
        peer.push(took);
        fs::remove_file(log).expect("the log is there");
    }
    let peak = peak as f64 / 1024.0;
    table.below("peak memory of mad benchmark", peak, 64.0, "MiB", &format!("{peak:.1} MiB"));
    let (ours, peer) = (Times::new(ours), Times::new(peer));
    let ratio = format!("{:.2}×", peer.best() / ours.best());
    table.tell(
        "  its throughput; peer: bash run.sh | cat > log",
        speed(&ours),
        &speed(&peer),
        &ratio,
    );
}

/// Waits for `child`; its peak memory in KiB. Sampled: the last milliseconds are missed.
fn watch(child: &mut Child) -> u64 {
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        match child.try_wait().expect("the child can be waited for") {
            Some(status) if status.success() => return peak,
            Some(status) => panic!("mad benchmark: {status}"),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

fn scanner(table: &mut Table, root: &Path, block: &[u8]) {
    let path = root.join("big.log");
    let mut file = File::create(&path).expect("a file");
    for _ in 0..LOG_BYTES / BLOCK_BYTES {
        file.write_all(block).expect("space for the log");
    }
    file.write_all(RESULT.as_bytes()).expect("space for the log");
    drop(file);
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    // The first round fills the page cache.
    for round in 0..=ROUNDS {
        let ((), scan_took) = timed(|| scan(&path));
        let mut grep = command("grep", root);
        grep.args(["-c", "performance:"]).arg(&path).env("LC_ALL", "C").stdout(Stdio::null());
        let (status, grep_took) = timed(|| grep.status().expect("grep starts"));
        assert!(status.success(), "{status}");
        if round > 0 {
            ours.push(scan_took);
            peer.push(grep_took);
        }
    }
    let (ours, peer) = (Times::new(ours), Times::new(peer));
    let ratio = peer.best() / ours.best();
    let what = "speed of the scanner; peer: grep -c performance:";
    table.ratio(what, &speed(&ours), &speed(&peer), ratio, (true, 1.0 / 3.0));
}

fn scan(path: &Path) {
    let mut file = File::open(path).expect("the file is there");
    let mut scanner = LogScanner::new(&ErrorScan::default());
    let mut buffer = vec![0; BLOCK_BYTES];
    while let n @ 1.. = file.read(&mut buffer).expect("the file can be read") {
        scanner.feed(&buffer[..n]);
    }
    let found = scanner.finish();
    assert_eq!(found.performance.map(|p| p.value), Some(1234.5));
}

fn speed(times: &Times) -> String {
    let gib = |seconds: f64| LOG_BYTES as f64 / MIB / 1024.0 / seconds;
    format!("{:.2} GiB/s (median {:.2})", gib(times.best()), gib(times.median()))
}
