//! What `mad benchmark` adds to the time of a script, over `bash run.sh`.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use common::{MAD, Table, command, in_turn};
use serde_json::json;

fn main() -> ExitCode {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let root = dir.path();
    let entries: Vec<_> = [("second", "sleep 1\n"), ("nothing", "")]
        .into_iter()
        .map(|(name, body)| {
            let scripts = root.join("scripts").join(name);
            fs::create_dir_all(&scripts).expect("a directory for the script");
            let text = format!("set -eu\n{body}echo 'performance: 1 seconds'\n");
            fs::write(scripts.join("run.sh"), text).expect("a script");
            json!({ "name": name, "scripts": format!("scripts/{name}/run.sh"), "n_gpus": "0" })
        })
        .collect();
    fs::write(root.join("models.json"), json!(entries).to_string()).expect("a catalog");
    commit(root);

    let mut table = Table::default();
    for (name, rounds, what) in [
        ("second", 15, "mad benchmark of a script that sleeps 1 s, minus bash run.sh"),
        ("nothing", 100, "the same of a script that does nothing"),
    ] {
        let mut mad = command(MAD, root);
        mad.args(["benchmark", name, "--samples", "1", "--warmup", "0"]);
        let mut bash = command("bash", &root.join("scripts").join(name));
        bash.arg("run.sh");
        let [ours, peer] = in_turn(rounds, &mut [mad, bash]);
        let ms = (ours.median() - peer.median()) * 1e3;
        table.below(what, ms, 20.0, "ms", &format!("{ms:.1} ms"));
        table.tell("  the two", ours.text(), &peer.text(), "");
    }
    table.finish("overhead: median of 15 and of 100, in turn")
}

/// Catalogs live in repositories, and a Measurement asks for the commit.
fn commit(root: &Path) {
    fs::write(root.join(".gitignore"), "/target\n/leases\nperf*\n").expect("a file");
    for arguments in [
        "init -q",
        "add .",
        "-c user.name=bench -c user.email=bench@example.com commit -q -m Catalog",
    ] {
        let status = Command::new("git").args(arguments.split(' ')).current_dir(root).status();
        if !status.is_ok_and(|s| s.success()) {
            eprintln!("git {arguments}: failed; measured without a repository");
            return;
        }
    }
}
