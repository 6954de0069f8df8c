//! `mad benchmark` beside madengine: the same 20 entries, their images built, on one Docker
//! daemon. Skipped with a message where madengine, Docker or /dev/kfd is missing.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use common::{MAD, Table, command, in_turn};
use serde_json::json;

const ENTRIES: usize = 20;
const SCRIPT_S: f64 = 0.1;
const ROUNDS: usize = 3;

fn main() -> ExitCode {
    if let Some(lacks) = lacks() {
        println!("madengine: skipped: {lacks}");
        return ExitCode::SUCCESS;
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let setup = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compat/setup.sh");
    assert!(Command::new(setup).arg(dir.path()).status().expect("setup.sh").success());
    let root = dir.path().join("catalog");
    catalog(&root);

    let context = ["--additional-context-file", "../context.json"];
    let mut mad = command(MAD, &root);
    mad.args(["benchmark", "--tags", "bench", "--engine", "container", "--samples", "1"]);
    mad.args(context);
    // What people type, and the part of it that runs what is built.
    let mut whole = command("madengine", &root);
    whole.args(["run", "--tags", "bench"]).args(context);
    let mut run = command("madengine", &root);
    run.args(["run", "--manifest-file", "kept_manifest.json"]).args(context);

    // madengine writes into its manifest, so it runs a copy; the first round makes it.
    quiet(command("madengine", &root).args(["build", "--tags", "bench"]).args(context));
    fs::copy(root.join("build_manifest.json"), root.join("kept_manifest.json")).expect("a copy");
    let [ours, whole, run] = in_turn(ROUNDS, &mut [mad, whole, run]);

    let mut table = Table::default();
    let per_entry = |total: f64| (total - ENTRIES as f64 * SCRIPT_S) / ENTRIES as f64;
    for (what, peer) in [("madengine run --tags", &whole), ("madengine run --manifest-file", &run)]
    {
        let (a, b) = (ours.median(), peer.median());
        table.tell(
            &format!("{ENTRIES} entries of {SCRIPT_S} s, beside {what}"),
            format!("{a:.1} s"),
            &format!("{b:.1} s"),
            &format!("{:.1}×", b / a),
        );
        table.ratio(
            "  beyond the script, per entry",
            &format!("{:.2} s", per_entry(a)),
            &format!("{:.2} s", per_entry(b)),
            per_entry(b) / per_entry(a),
            (true, 1.0),
        );
    }
    table.finish(&format!("madengine: median of {ROUNDS}, in turn"))
}

fn lacks() -> Option<&'static str> {
    let answers = |program: &str, arg: &str| {
        let mut command = Command::new(program);
        command.arg(arg).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    match () {
        () if !answers("madengine", "--version") => Some("no madengine on PATH"),
        () if !answers("docker", "version") => Some("no Docker daemon answers"),
        () if !Path::new("/dev/kfd").exists() => Some("no /dev/kfd (mknod /dev/kfd c 1 3)"),
        () => None,
    }
}

/// Entries that do next to nothing.
fn catalog(root: &Path) {
    let entries: Vec<_> = (0..ENTRIES)
        .map(|i| {
            json!({
                "name": format!("bench_{i}"),
                "dockerfile": "docker/compat",
                "scripts": "scripts/bench/run.sh",
                "n_gpus": "0",
                "args": "",
                "tags": ["bench"],
            })
        })
        .collect();
    fs::write(root.join("models.json"), json!(entries).to_string()).expect("a catalog");
    fs::create_dir(root.join("scripts/bench")).expect("a directory");
    let script = format!("#!/bin/bash\nsleep {SCRIPT_S}\necho 'performance: 1 seconds'\n");
    fs::write(root.join("scripts/bench/run.sh"), script).expect("a script");
}

fn quiet(command: &mut Command) {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(status.is_ok_and(|s| s.success()), "{command:?}");
}
