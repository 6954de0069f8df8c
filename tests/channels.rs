//! The verdict reaches whoever asks: a regression, a failed run, a mistake in the
//! configuration, a missing baseline, missing hardware and findings are never taken for each
//! other, whatever `mad` is wrapped in, and what a run leaves behind is there before it ends.
//! docs/ci.md has the table.

mod common;

use common::{Fixture, Ran, eventually};
use serde_json::json;

/// What can be told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Channel {
    Good,
    Regression,
    RunFailed,
    Configuration,
    NoMatch,
    NoBaseline,
    NoBaselineDemanded,
    NoHardware,
    NoHardwareDemanded,
}

use Channel::*;

const ALL: [Channel; 9] = [
    Good,
    Regression,
    RunFailed,
    Configuration,
    NoMatch,
    NoBaseline,
    NoBaselineDemanded,
    NoHardware,
    NoHardwareDemanded,
];

impl Channel {
    /// Exit status of `mad benchmark`, and of `mad report --gate` afterwards.
    fn status(self) -> i32 {
        match self {
            Good | NoBaseline => 0,
            // Nothing was measured at all.
            NoHardware | NoBaselineDemanded => 1,
            NoMatch => 2,
            RunFailed | NoHardwareDemanded => 3,
            Configuration => 4,
            Regression => 5,
        }
    }

    /// What JUnit says: the element, and its type.
    fn junit(self) -> Option<(&'static str, &'static str)> {
        match self {
            Good | NoMatch => None,
            Regression => Some(("failure", "regression")),
            RunFailed => Some(("failure", "execution")),
            Configuration => Some(("failure", "baseline")),
            NoBaseline => Some(("skipped", "no-baseline")),
            NoBaselineDemanded => Some(("failure", "no-baseline")),
            NoHardware => Some(("skipped", "gate")),
            NoHardwareDemanded => Some(("failure", "gate")),
        }
    }

    /// A catalog in which `mad benchmark` ends like that, and the variables it takes.
    fn fixture(self) -> (Fixture, Vec<(&'static str, &'static str)>) {
        let script = "[ \"${VALUE:-100}\" != fail ] || exit 9\n\
                      echo \"performance: ${VALUE:-100} tok/s\"";
        let n_gpus = match self {
            NoHardware | NoHardwareDemanded => "4000",
            _ => "0",
        };
        let fixture = Fixture::empty().entry("m", script, json!({ "n_gpus": n_gpus }));
        if matches!(self, Good | Regression | RunFailed | Configuration) {
            for _ in 0..3 {
                fixture.mad(&["benchmark"]).run().exits(0);
            }
            fixture.mad(&["baseline", "accept", "--last", "3"]).run().exits(0);
        }
        if self == Configuration {
            let listed = fixture.mad(&["baseline", "show", "m"]).run().exits(0);
            let path = listed.stdout.lines().next().and_then(|l| l.rsplit(", ").next());
            std::fs::write(path.expect("a path"), "{ \"schema\"").expect("a file");
        }
        let variables = match self {
            Regression => vec![("VALUE", "50")],
            RunFailed => vec![("VALUE", "fail")],
            NoMatch => vec![("MAD_TAGS", "nothing")],
            NoBaselineDemanded => vec![("MAD_REQUIRE_BASELINE", "1")],
            NoHardwareDemanded => vec![("MAD_REQUIRE_GPU", "1")],
            _ => vec![],
        };
        (fixture, variables)
    }
}

/// `mad benchmark` in a fixture, through a shell in which it is `"$@"`.
fn benchmark(fixture: &Fixture, variables: &[(&str, &str)], shell: Option<&str>) -> Ran {
    let mad = fixture.mad(&["benchmark"]);
    let mad = match shell {
        Some(script) => mad.through_shell(script),
        None => mad,
    };
    variables.iter().fold(mad, |mad, (name, value)| mad.env(name, value)).run()
}

#[test]
fn every_channel_has_its_status_and_its_word_in_junit() {
    for channel in ALL {
        let (fixture, variables) = channel.fixture();
        let _ = std::fs::remove_file(fixture.path("mad/junit.xml"));
        let ran = benchmark(&fixture, &variables, None).exits(channel.status());
        let Some((element, kind)) = channel.junit() else { continue };
        let junit = fixture.text("mad/junit.xml");
        let found = junit.contains(&format!("<{element} type=\"{kind}\""))
            || junit.contains(&format!("<{element} message=\"{kind}\""));
        assert!(found, "{channel:?}: {}\n{junit}", ran.said());
        assert_eq!(junit.contains("<failure"), element == "failure", "{channel:?}\n{junit}");
    }
}

/// What people wrap `mad` in, with its status kept.
const KEEPING: [(&str, &str); 4] = [
    ("bash -e", "set -e; \"$@\"; echo the next step"),
    ("bash with pipefail", "set -eo pipefail; \"$@\" 2>&1 | tee log; echo the next step"),
    (
        "a step of GitHub's",
        "printf '%s\\n' '\"$@\" 2>&1 | tee log' 'echo the next step' > step.sh\n\
         exec bash --noprofile --norc -eo pipefail step.sh \"$@\"",
    ),
    ("keeping it by hand", "status=0; \"$@\" || status=$?; true; exit \"$status\""),
];

#[test]
fn wrappers_keep_the_status() {
    for channel in ALL {
        let (fixture, variables) = channel.fixture();
        for (name, script) in KEEPING {
            let ran = benchmark(&fixture, &variables, Some(script));
            assert_eq!(ran.status, channel.status(), "{channel:?}, {name}: {}", ran.said());
            if channel.status() != 0 {
                assert!(!ran.stdout.contains("the next step"), "{channel:?}, {name}");
            }
        }
    }
}

/// Wrappers that do not keep it, and how it is told nevertheless.
#[test]
fn wrappers_that_eat_the_status_and_what_helps() {
    for channel in ALL {
        let (fixture, variables) = channel.fixture();
        // Without pipefail a pipe has the status of its end: red is green.
        benchmark(&fixture, &variables, Some("\"$@\" 2>&1 | tee log")).exits(0);
        if channel == NoMatch {
            // Nothing ran, and there is no run to ask.
            continue;
        }
        fixture.mad(&["report", "--gate"]).run().exits(channel.status());

        // make has one status for all failures, which `mad` means something else by.
        let make = "printf 'gate:\\n\\t@\"$(MAD)\" benchmark\\n' > Makefile; make gate MAD=\"$1\"";
        let red = if channel.status() == 0 { 0 } else { 2 };
        let ran = benchmark(&fixture, &variables, Some(make)).exits(red);
        if red != 0 {
            ran.says(&[&format!("Error {}", channel.status())]);
        }
        fixture.mad(&["report", "--gate"]).run().exits(channel.status());

        // cargo test has 101 for everything that fails.
        let target =
            variables.iter().fold(fixture.target(&[]), |t, (name, value)| t.env(name, value));
        let skipped = channel == NoHardware;
        let red = if channel.status() == 0 || skipped { 0 } else { 101 };
        target.run().exits(red);
        fixture.mad(&["report", "--gate"]).run().exits(channel.status());
        if red != 0 {
            let junit = fixture.text("mad/junit.xml");
            assert!(junit.contains("<failure"), "{channel:?}\n{junit}");
        }
    }
}

#[test]
fn findings_are_no_failure_of_a_run() {
    let fixture = Fixture::with_catalog(r#"[{"name": "m", "scripts": "none.sh", "n_gpus": "0"}]"#);
    fixture.mad(&["validate"]).run().exits(1);
    fixture.mad(&["benchmark"]).run().exits(3).says(&["not valid"]);
    fixture.write("models.json", "[");
    fixture.mad(&["benchmark"]).run().exits(4);
    fixture.target(&[]).run().exits(101);
    fixture.mad(&["report", "--gate"]).run().exits(4);
    fixture.mad(&["benchmark", "--samples", "0"]).run().exits(4);
}

#[test]
fn a_status_is_asked_of_runs_alone() {
    let (fixture, _) = Good.fixture();
    fixture.mad(&["report", "perf.csv", "--gate"]).run().exits(4).says(&["a file has none"]);
    fixture.mad(&["report", "latest", "perf.csv", "--gate"]).run().exits(4);
}

#[test]
fn what_is_demanded_is_demanded_by_both_doors() {
    for (channel, flag) in [(NoBaseline, "--require-baseline"), (NoHardware, "--require-gpu")] {
        let (fixture, _) = channel.fixture();
        let status = if channel == NoBaseline { 1 } else { 3 };
        let variable = format!("MAD_{}", flag[2..].replace('-', "_").to_uppercase());
        fixture.mad(&["benchmark", flag]).run().exits(status).says(&[&format!("({flag})")]);
        fixture.target(&[flag]).run().exits(101).says(&[&format!("({flag})")]);
        fixture.target(&[]).env(&variable, "1").run().exits(101);
        fixture.target(&[]).env(&variable, "0").run().exits(0);
    }
    let fixture =
        Fixture::empty().entry("m", "echo performance: 1 x/s", json!({ "dockerfile": "docker/m" }));
    fixture.write(
        "docker/m.Dockerfile",
        "# CONTEXT {'gpu_vendor': 'NONE', 'guest_os': 'UBUNTU'}\nFROM scratch\n",
    );
    let flag = "--require-containers";
    fixture.mad(&["benchmark"]).run().exits(1).says(&["nothing was measured"]);
    fixture.mad(&["benchmark", flag]).run().exits(3).says(&[&format!("({flag})")]);
    fixture.target(&[]).run().exits(0);
    fixture.target(&[flag]).run().exits(101).says(&[&format!("({flag})")]);
    fixture.target(&[]).env("MAD_REQUIRE_CONTAINERS", "1").run().exits(101);
}

#[test]
fn baselines_may_be_elsewhere() {
    let (fixture, _) = Good.fixture();
    let elsewhere = fixture.path("elsewhere");
    let mad = |args: &[&str]| {
        fixture.mad(args).env("MAD_BASELINE_DIR", &elsewhere).env("MAD_REQUIRE_BASELINE", "1").run()
    };
    // Those of the catalog, which a change under test may have rewritten, do not count.
    mad(&["benchmark"]).exits(1).says(&["no baseline"]);
    std::fs::rename(fixture.root().join("baselines"), &elsewhere).expect("moved");
    mad(&["benchmark"]).exits(0);
    mad(&["baseline", "list"]).exits(0).says(&["tok/s"]);
}

#[test]
fn everything_is_written_before_a_red_end() {
    let (fixture, variables) = Regression.fixture();
    let before = fixture.rows().len();
    // The reader of the pipe ends with the last line: what came late would be missing.
    let ran = benchmark(&fixture, &variables, Some("set -o pipefail; \"$@\" | cat")).exits(5);
    ran.says(&["biggest regression: m tok/s -50.00% (100 → 50)", "results: perf.csv"]);
    assert_eq!(fixture.rows().len(), before + 1);
    assert!(fixture.text("mad/junit.xml").trim_end().ends_with("</testsuites>"));
    assert_eq!(fixture.record("m/verdict.json")["metrics"]["tok/s"]["outcome"], "regressed");
    fixture.mad(&["report", "-o", "report.html"]).run().exits(1);
    assert!(fixture.text("report.html").contains("regressed"));
    let summary = fixture.mad(&["report", "--format", "markdown"]).run().exits(1);
    assert!(summary.stdout.contains("biggest regression"), "{}", summary.said());
}

#[test]
fn everything_is_written_before_an_end_by_a_signal() {
    let sleeps = "touch \"$DIR/started\"; sleep 1000; echo performance: 1 x/s";
    for door in ["benchmark", "__test-target"] {
        let fixture =
            Fixture::with("m", sleeps).entry("later", "echo performance: 1 x/s", json!({}));
        let running = fixture.mad(&[door]).start();
        eventually("the script starts", || fixture.path("started").exists());
        running.signal("TERM");
        running.wait().exits(if door == "benchmark" { 3 } else { 101 });
        let junit = fixture.text("mad/junit.xml");
        assert!(junit.contains("cancelled"), "{junit}");
        assert!(junit.trim_end().ends_with("</testsuites>"), "{junit}");
        let rows = fixture.rows();
        let row = rows.iter().find(|row| row.get("model") == "m").expect("a row");
        assert_eq!(row.get("status"), "FAILURE");
        fixture.mad(&["report", "-o", "report.html"]).run().exits(1);
        assert!(fixture.text("report.html").contains("cancelled"));
        fixture.mad(&["report", "--gate"]).run().exits(3);
    }
}
