//! What nextest pays for each case: one process that finds and runs one case of a large
//! catalog, beside a libtest-mimic program with a single trial that does nothing.

mod common;

use std::ffi::OsStr;
use std::process::ExitCode;

use common::{Table, catalog, command, in_turn, target};

const ENTRIES: usize = 5_000;
const SCRIPTS: usize = 500;
/// Set, this program is the test target of a catalog, as `tests/models.rs` is.
const IS_TARGET: &str = "MAD_BENCH_IS_TARGET";

fn main() -> ExitCode {
    if std::env::var_os(IS_TARGET).is_some() {
        return mad_harness::harness::main();
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    catalog::generate(dir.path(), ENTRIES, SCRIPTS);
    let program = std::env::current_exe().expect("the path of this program");
    let trivial = target("trivial_harness");
    let case = format!("validate::{}", catalog::name(ENTRIES / 2));
    let as_nextest = |program: &OsStr, arguments: &[&str]| {
        let mut command = command(program, dir.path());
        command.args(arguments).env("NEXTEST", "1").env("NEXTEST_RUN_ID", "bench");
        command.env(IS_TARGET, "1");
        command
    };

    let mut table = Table::default();
    let mut one = [
        as_nextest(program.as_os_str(), &["--exact", &case, "--nocapture"]),
        as_nextest(trivial.as_os_str(), &["--exact", "one::case", "--nocapture"]),
    ];
    let [ours, peer] = in_turn(200, &mut one);
    let what = format!("one case of {ENTRIES} entries");
    let ratio = ours.median() / peer.median();
    table.ratio(&what, &ours.text(), &peer.text(), ratio, (false, 1.5));

    let list = ["--list", "--format", "terse"];
    let mut lists = [
        as_nextest(program.as_os_str(), &list),
        as_nextest(program.as_os_str(), &["--list", "--format", "terse", "--ignored"]),
        as_nextest(trivial.as_os_str(), &list),
    ];
    let [ours, ignored, peer] = in_turn(20, &mut lists);
    let what = format!("--list of {} cases", 3 * ENTRIES + 1);
    for (what, ours) in [(what.as_str(), ours), ("--list --ignored", ignored)] {
        let ratio = format!("{:.1}×", ours.median() / peer.median());
        table.tell(what, ours.text(), &peer.text(), &ratio);
    }
    table.finish("one_case: best (and median) of 200 and 20, in turn; ratios of medians")
}
