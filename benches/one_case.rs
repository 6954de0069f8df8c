//! What nextest pays for each case: one process that finds and runs one case of a large
//! catalog, beside a libtest-mimic program with a single trial that does nothing.

mod common;

use std::path::Path;
use std::process::{Command, ExitCode};

use common::{Table, catalog, command, in_turn, target};
use tempfile::TempDir;

const ENTRIES: usize = 5_000;
const SCRIPTS: usize = 500;
/// Set, this program is the test target of a catalog, as `tests/models.rs` is.
const IS_TARGET: &str = "MAD_BENCH_IS_TARGET";

fn main() -> ExitCode {
    if std::env::var_os(IS_TARGET).is_some() {
        return mad_harness::harness::main();
    }
    let program = std::env::current_exe().expect("the path of this program");
    let trivial = target("trivial_harness");
    let mut table = Table::default();
    // The small one says what of it is the catalog's size.
    let _small = one_case(&mut table, &program, &trivial, (1, 1));
    let dir = one_case(&mut table, &program, &trivial, (ENTRIES, SCRIPTS));
    let as_nextest =
        |program: &Path, arguments: &[&str]| as_nextest(dir.path(), program, arguments);

    let list = ["--list", "--format", "terse"];
    let mut lists = [
        as_nextest(&program, &list),
        as_nextest(&program, &["--list", "--format", "terse", "--ignored"]),
        as_nextest(&trivial, &list),
    ];
    let [ours, ignored, peer] = in_turn(20, &mut lists);
    let what = format!("--list of {} cases", 3 * ENTRIES + 1);
    for (what, ours) in [(what.as_str(), ours), ("--list --ignored", ignored)] {
        let ratio = format!("{:.1}×", ours.median() / peer.median());
        table.tell(what, ours.text(), &peer.text(), &ratio);
    }
    table.finish("one_case: best (and median) of 200 and 20, in turn; ratios of medians")
}

/// One case of a catalog of that many entries and scripts, in the directory returned.
fn one_case(
    table: &mut Table,
    program: &Path,
    trivial: &Path,
    (entries, scripts): (usize, usize),
) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    catalog::generate(dir.path(), entries, scripts);
    // nextest lists first; what the list leaves behind serves the cases.
    assert!(
        as_nextest(dir.path(), program, &["--list"]).output().is_ok_and(|o| o.status.success())
    );
    // Entries of the generated catalog want GPUs: their bench is selected and ignored,
    // which leaves start-up and selection. validate does its work on top of that.
    let case = |stage: &str| format!("{stage}::{}", catalog::name(entries / 2));
    let mut one = [
        as_nextest(dir.path(), program, &["--exact", &case("bench"), "--nocapture"]),
        as_nextest(dir.path(), program, &["--exact", &case("validate"), "--nocapture"]),
        as_nextest(dir.path(), trivial, &["--exact", "one::case", "--nocapture"]),
    ];
    let [selected, validated, peer] = in_turn(200, &mut one);
    let ratio = selected.median() / peer.median();
    let what = format!("one case of {entries} entries: start-up and selection");
    table.ratio(&what, &selected.text(), &peer.text(), ratio, (false, 1.5));
    let ratio = format!("{:.2}×", validated.median() / peer.median());
    table.tell("  and its validation", validated.text(), &peer.text(), &ratio);
    dir
}

/// `program` as nextest starts it.
fn as_nextest(dir: &Path, program: &Path, arguments: &[&str]) -> Command {
    let mut command = command(program, dir);
    command.args(arguments).env("NEXTEST", "1").env("NEXTEST_RUN_ID", "bench");
    command.env(IS_TARGET, "1");
    command
}
