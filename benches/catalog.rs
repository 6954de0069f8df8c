//! `mad validate` and `mad discover` on a catalog of the usual size and on a huge one,
//! beside a Python script that only greps the same files.

mod common;

use std::path::Path;
use std::process::{Command, ExitCode};

use common::{MAD, Table, catalog, command, in_turn};

const CHECKER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peer/grep_checker.py");
const MIB: f64 = (1 << 20) as f64;

fn main() -> ExitCode {
    let interpreter = python();
    let mut table = Table::default();
    for (entries, scripts, limit_ms, least) in
        [(150, 51, 20.0, None), (10_000, 500, 500.0, Some(3.0))]
    {
        let dir = tempfile::tempdir().expect("a temporary directory");
        catalog::generate(dir.path(), entries, scripts);
        let mut python = command(&interpreter, dir.path());
        python.arg(CHECKER).arg(dir.path());
        let mut commands = [mad(dir.path(), "validate"), mad(dir.path(), "discover"), python];
        let [validate, discover, peer] = in_turn(20, &mut commands);
        for (verb, ours) in [("validate", validate), ("discover", discover)] {
            let what = format!("mad {verb}, {entries} entries, {scripts} scripts");
            let ms = ours.best() * 1e3;
            table.below(&what, ms, limit_ms, "ms", &ours.text());
            let faster = peer.best() / ours.best();
            let what = "  times as fast as the Python checker";
            match least {
                Some(least) => {
                    table.ratio(what, &ours.text(), &peer.text(), faster, (true, least));
                }
                None => table.tell(what, ours.text(), &peer.text(), &format!("{faster:.2}×")),
            }
        }
    }
    let size = std::fs::metadata(MAD).map_or(f64::INFINITY, |m| m.len() as f64) / MIB;
    table.below("size of the release binary", size, 15.0, "MiB", &format!("{size:.1} MiB"));
    table.finish("catalog: best (and median) of 20, in turn")
}

/// The interpreter itself: `python3` is often a shim that takes longer to start.
fn python() -> String {
    let asked = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let asked = asked.expect("python3 starts").stdout;
    String::from_utf8(asked).expect("a path in UTF-8").trim().to_owned()
}

fn mad(root: &Path, verb: &str) -> Command {
    let mut mad = command(MAD, root);
    mad.arg(verb);
    mad
}
