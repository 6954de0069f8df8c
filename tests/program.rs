//! Catalogs that are Python programs: what they list, how they fail, and how often they
//! are run.

mod common;

use std::process::Command;

use common::{Fixture, Ran, alive, check, eventually};
use serde_json::Value;

const IMPORT: &str = "from madengine.utils.discover_models import CustomModel\n";
const SCRIPT: &str = "echo \"performance: ${2:-100} tok/s\"\n";

/// Whether this host has Python; CI insists.
fn python() -> bool {
    let found = Command::new("python3").args(["-c", "import dataclasses"]).output();
    let found = found.is_ok_and(|o| o.status.success());
    assert!(found || std::env::var_os("MAD_TESTS_REQUIRE_PYTHON").is_none(), "no python3");
    if !found {
        eprintln!("skipped: python3 is not installed");
    }
    found
}

/// The program of one directory.
fn program(fixture: &Fixture, dir: &str, text: &str) {
    fixture.write(&format!("scripts/{dir}/get_models_json.py"), format!("{IMPORT}{text}"));
}

/// One entry that is made where it is listed and one that is completed by
/// `update_model()`. Each run leaves a line in `$DIR/started`.
fn fixture() -> Fixture {
    let fixture = Fixture::empty();
    let text = r#"import os
from pathlib import Path

if "DIR" in os.environ:
    with open(os.path.join(os.environ["DIR"], "started"), "a") as file:
        file.write(os.path.basename(os.getcwd()) + "\n")


class Late(CustomModel):
    def update_model(self):
        assert self.name == "gen/late"
        self.scripts = "run.sh"
        self.args = "--size 8"


def list_models():
    early = CustomModel(
        name="early",
        scripts=Path("../gen/run.sh"),
        n_gpus="0",
        owner="tests@example.com",
        tags=["cpu", "quick"],
    )
    return [early, Late(name="late", n_gpus=0, tags=["cpu"])]
"#;
    program(&fixture, "gen", text);
    fixture.write("scripts/gen/run.sh", SCRIPT);
    fixture
}

fn started(fixture: &Fixture) -> usize {
    std::fs::read_to_string(fixture.path("started")).unwrap_or_default().lines().count()
}

fn ids(fixture: &Fixture, words: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["--json", "discover"].iter().chain(words).copied().collect();
    let listed = fixture.mad(&args).run().exits(0).json();
    let id = |entry: &Value| entry["mad"]["id"].as_str().expect("an id").to_owned();
    listed.as_array().expect("an array").iter().map(id).collect()
}

#[test]
fn entries_are_listed_like_others() {
    if !python() {
        return;
    }
    let fixture = fixture();
    let text = fixture.mad(&["discover"]).run().exits(0).stdout;
    let json = fixture.mad(&["discover", "--json"]).run().exits(0);
    assert_eq!(json.stderr, "");
    check(|| insta::assert_snapshot!("program_table", text));
    check(|| insta::assert_snapshot!("program_json", json.stdout));
    assert!(!fixture.root().join("scripts/gen/__pycache__").exists());
}

#[test]
fn entries_are_selected_like_others() {
    if !python() {
        return;
    }
    let fixture = fixture();
    assert_eq!(ids(&fixture, &["gen/all"]), ["gen/early", "gen/late"]);
    // madengine lists the second one twice, with its path prefixed twice.
    assert_eq!(ids(&fixture, &["cpu", "gen/late"]), ["gen/early", "gen/late"]);
    assert_eq!(ids(&fixture, &["gen/quick"]), ["gen/early"]);
    let listed = fixture.mad(&["--json", "discover", "gen/late:fast"]).run().exits(0).json();
    assert_eq!(listed[0]["args"], "--size 8 --fast");
    fixture.mad(&["discover", "late"]).run().exits(2).says(&["did you mean `gen/late`?"]);
}

/// What `CustomModel` has no field for.
#[test]
fn a_subclass_can_have_more_keys() {
    if !python() {
        return;
    }
    let fixture = fixture();
    let text = r#"from dataclasses import dataclass, field


@dataclass
class Judged(CustomModel):
    regress: dict = field(default_factory=lambda: {"tolerance": 0.5})
    bench: dict = None


def list_models():
    return [Judged(name="a", scripts="../gen/run.sh", n_gpus="0", bench={"samples": 2})]
"#;
    program(&fixture, "more", text);
    let listed = fixture.mad(&["--json", "discover", "more/a"]).run().exits(0).json();
    assert_eq!(listed[0]["regress"]["tolerance"], 0.5);
    fixture.mad(&["benchmark", "more/a"]).run().exits(0);
    let executions = &fixture.record("more%2Fa/attempt-1/measurement.json")["executions"];
    assert_eq!(executions.as_array().map(Vec::len), Some(2));
}

#[test]
fn entries_run_like_others() {
    if !python() {
        return;
    }
    let fixture = fixture();
    let ran = fixture.mad(&["benchmark", "gen/early:n=7", "gen/late"]).run().exits(0);
    ran.says(&["gen/early:n=7", "gen/late"]);
    let rows = fixture.rows();
    let row = |i: usize| (rows[i].get("model"), rows[i].get("args"), rows[i].get("performance"));
    assert_eq!(row(0), ("gen/early", " --n 7", "7"));
    assert_eq!(row(1), ("gen/late", "--size 8", "8"));
    let target = fixture.target(&["gen"]).run().exits(0);
    target.says(&["bench::gen/early", "4 passed; 0 failed; 2 ignored"]);
}

#[test]
fn findings_point_at_the_line_that_made_the_entry() {
    if !python() {
        return;
    }
    let fixture = fixture();
    std::fs::remove_file(fixture.root().join("scripts/gen/run.sh")).expect("it is there");
    let ran = fixture.mad(&["validate", "--format", "github"]).run().exits(1);
    ran.says(&[
        "file=catalog/scripts/gen/get_models_json.py,line=18,title=MAD021::",
        "file=catalog/scripts/gen/get_models_json.py,line=25,title=MAD021::",
    ]);
    let text = fixture.mad(&["validate", "gen/early"]).run().exits(1).stdout;
    check(|| insta::assert_snapshot!("program_finding", text));
}

#[test]
fn what_fails_is_said_with_its_line() {
    if !python() {
        return;
    }
    let fixture = Fixture::empty();
    for (dir, text) in [
        ("1-syntax", "def list_models(:\n    return []\n"),
        ("2-import", "import no_such_module\n"),
        ("3-no-function", "def models():\n    return []\n"),
        ("4-nothing", "def list_models():\n    pass\n"),
        ("5-items", "def list_models():\n    return [{'name': 'a'}, CustomModel, None]\n"),
        (
            "6-raises",
            "def f():\n    raise ValueError('two\\nlines')\n\ndef list_models():\n    f()\n",
        ),
        ("7-foreign", "import json\n\ndef list_models():\n    return json.loads('{')\n"),
        (
            "8-exit",
            "import sys\n\ndef list_models():\n    yield CustomModel('a', n_gpus=0)\n    sys.exit('no network')\n",
        ),
        ("9-fields", "def list_models():\n    return [CustomModel()]\n"),
    ] {
        program(&fixture, dir, text);
    }
    let ran = fixture.mad(&["discover"]).run().exits(1);
    // How Python names what is missing differs from version to version.
    let said = ran.stderr.replace("CustomModel.__init__()", "__init__()");
    check(|| insta::assert_snapshot!("program_failures", said));
    assert!(ran.stdout.contains("8-exit/a"), "what came before the end is listed");
    fixture.mad(&["benchmark"]).run().exits(4).says(&["the catalog cannot be read as a whole"]);
    fixture.mad(&["-v", "discover"]).run().says(&["Traceback", "in f"]);
}

#[test]
fn an_entry_that_fails_does_not_hide_the_others() {
    if !python() {
        return;
    }
    let fixture = Fixture::empty();
    let text = r#"class Renamed(CustomModel):
    def update_model(self):
        self.name = "other"


class Tagged(CustomModel):
    def update_model(self):
        self.tags.append("more")


class Failing(CustomModel):
    def update_model(self):
        open("/no/such/file")


class Odd(CustomModel):
    def to_dict(self):
        return None


def list_models():
    good = CustomModel(name="good", scripts="run.sh", n_gpus="0", tags=["cpu"])
    yield good
    yield Renamed(name="renamed", tags=["cpu"])
    yield Tagged(name="tagged", tags=["cpu"])
    yield Failing(name="failing", tags=["cpu"])
    yield CustomModel(name="unprintable", args={1, 2})
    yield CustomModel(name="not_utf8", args="\udcff")
    yield CustomModel(name="wrong", n_gpus="many", timeout=None)
    yield CustomModel(name=5)
    yield CustomModel(name="")
    yield Odd(name="odd", scripts="run.sh", n_gpus="0", tags=["cpu"])
    yield good
"#;
    program(&fixture, "gen", text);
    fixture.write("scripts/gen/run.sh", SCRIPT);
    let ran = fixture.mad(&["discover"]).run().exits(1);
    check(|| insta::assert_snapshot!("program_entries_failures", ran.stderr));
    check(|| insta::assert_snapshot!("program_entries_table", ran.stdout));
    // An entry whose name was to be changed keeps it, and does not run.
    let target = fixture.target(&["bench::gen"]).run().exits(101);
    target.says(&["the entry is not valid", "2 passed; 6 failed"]);
}

#[test]
fn a_program_that_ends_early_or_never() {
    if !python() {
        return;
    }
    let end = |body: &str, complaint: &[&str]| {
        let fixture = fixture();
        fixture.write("mad.toml", "[catalog]\npython_timeout = 0\n");
        program(&fixture, "odd", &format!("import os, sys\n\ndef list_models():\n    {body}\n"));
        let ran = fixture.mad(&["discover"]).run().exits(1).says(complaint);
        assert!(ran.stdout.contains("gen/late"), "{}", ran.said());
    };
    end("print('half'); os._exit(3)", &["exit status: 3): half"]);
    end("os.kill(os.getpid(), 9)", &["MAD006", "signal: 9 (SIGKILL)"]);
    end("return [CustomModel('a', args='x' * (33 << 20))]", &["take more than 32 MiB"]);
    end("return iter(lambda: CustomModel('a'), None)", &["does not end after 100000 entries"]);
}

#[test]
fn a_program_is_ended_when_its_time_is_up() {
    if !python() {
        return;
    }
    let fixture = Fixture::empty();
    fixture.write("mad.toml", "[catalog]\npython_timeout = 0.5\n");
    let marker = fixture.path("held").display().to_string();
    fixture.write("../held", "");
    let text = format!(
        "import subprocess, time\nsubprocess.Popen(['tail', '-f', {marker:?}])\ntime.sleep(600)\n"
    );
    program(&fixture, "hangs", &text);
    fixture.mad(&["discover"]).run().exits(1).says(&["did not end within 0.5 s", "python_timeout"]);
    eventually("what it started is gone", || !alive(&marker));
}

#[test]
fn a_program_does_not_outlive_mad() {
    if !python() {
        return;
    }
    let fixture = Fixture::empty();
    let marker = fixture.path("held").display().to_string();
    fixture.write("../held", "");
    let text = format!("import subprocess\nsubprocess.call(['tail', '-f', {marker:?}])\n");
    program(&fixture, "hangs", &text);
    let mad = fixture.mad(&["discover"]).start();
    eventually("the program runs", || alive(&marker));
    mad.signal("KILL");
    eventually("what it started is gone", || !alive(&marker));
}

#[test]
fn what_a_program_prints_is_passed_on_and_its_streams_are_its_own() {
    if !python() {
        return;
    }
    let fixture = Fixture::empty();
    let text = r#"import atexit, os, subprocess, sys, threading, time

print("from print", os.environ["MAD_SECRETS_TOKEN"], "or open sesame")
os.write(1, b"from write \xff\n")
subprocess.call(["echo", "from a child"])
print("asked:", repr(sys.stdin.read()), sys.argv[1:], "" in sys.path, file=sys.stderr)
threading.Thread(target=time.sleep, args=(600,)).start()
atexit.register(time.sleep, 600)


def list_models():
    return [CustomModel("a")]
"#;
    program(&fixture, "loud", text);
    fixture.write("credential.json", r#"{"hub": {"username": "me", "password": "open sesame"}}"#);
    let mad = |args: &[&str]| fixture.mad(args).env("MAD_SECRETS_TOKEN", "hunter22").run().exits(0);
    let ran = mad(&["--json", "discover"]);
    assert_eq!(ran.json()[0]["name"], "loud/a");
    let said = ran.stderr.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    check(|| insta::assert_snapshot!("program_output", said));
    assert_eq!(mad(&["-q", "discover"]).stderr, "");
}

#[test]
fn an_installed_madengine_is_not_used() {
    if !python() {
        return;
    }
    let fixture = fixture();
    fixture.write("../site/madengine/__init__.py", "raise RuntimeError('imported')\n");
    // Nor does a file of the catalog stand in for a module of Python.
    fixture.write("json.py", "raise RuntimeError('imported')\n");
    let mad = fixture.mad(&["discover"]).env("PYTHONPATH", fixture.path("site"));
    mad.run().exits(0).says(&["gen/late"]);
}

#[test]
fn without_python_the_entries_are_missed() {
    let fixture = Fixture::with("m", "echo performance: 1 x/s");
    program(&fixture, "gen", "def list_models():\n    return []\n");
    let ran = fixture.mad(&["discover"]).env("PATH", fixture.path("")).run().exits(0);
    check(|| insta::assert_snapshot!("program_without_python", ran.stderr));
    assert!(ran.stdout.contains("1 entry"));
    let mad = |args: &[&str]| fixture.mad(args).env("PATH", fixture.path("")).run();
    mad(&["validate"]).exits(0).says(&["MAD004"]);
    mad(&["validate", "--deny-warnings"]).exits(1);
    mad(&["discover", "gen/all"]).exits(2);
}

#[test]
fn a_catalog_can_forbid_its_programs() {
    let fixture = Fixture::with("m", "echo performance: 1 x/s");
    program(&fixture, "gen", "import os\nopen(os.environ['DIR'] + '/started', 'w')\n");
    let says_so = |ran: Ran| ran.says(&["MAD004", "mad.toml or MAD_CATALOG_PYTHON does not let"]);
    fixture.write("mad.toml", "[catalog]\npython = false\n");
    says_so(fixture.mad(&["discover"]).run().exits(0));
    // What cannot be read might say so.
    fixture.write("mad.toml", "[catalog]\npython = flase\n");
    says_so(fixture.mad(&["discover"]).run().exits(1));
    assert!(!fixture.path("started").exists());
    fixture.write("mad.toml", "[catalog]\npython_timeout = -1\n[defaults]\ntimeout = -2\n");
    let ran = fixture.mad(&["discover"]).run().exits(1);
    ran.says(&["mad.toml:2:1", "`python_timeout` must be 0 (never)", "mad.toml:4:1"]);
}

/// Whoever may change the catalog may change `mad.toml`, but not the environment of CI.
#[test]
fn the_environment_can_forbid_programs() {
    let fixture = Fixture::with("m", "echo performance: 1 x/s");
    program(&fixture, "gen", "import os\nopen(os.environ['DIR'] + '/started', 'w')\n");
    fixture.write("mad.toml", "[catalog]\npython = true\n");
    let mad = |args: &[&str], word: &str| fixture.mad(args).env("MAD_CATALOG_PYTHON", word).run();
    for word in ["0", "no", "False"] {
        for args in [&["discover"][..], &["validate"], &["benchmark", "--plan"]] {
            mad(args, word).exits(0);
        }
        mad(&["validate", "--deny-warnings"], word).exits(1).says(&["MAD004"]);
    }
    let target = |word: &str| {
        let target = fixture.target(&["--list"]).env("MAD_CATALOG_PYTHON", word);
        target.run()
    };
    target("0").exits(0);
    // A slip of the pen does not let it run.
    mad(&["discover"], "flase").exits(1).says(&["MAD_CATALOG_PYTHON=flase: expected 1 or 0"]);
    assert!(!fixture.path("started").exists());
    // The variable does not allow what the file forbids, and set to nothing it is not set.
    fixture.write("mad.toml", "[catalog]\npython = false\n");
    mad(&["discover"], "1").exits(0).says(&["MAD004"]);
    fixture.write("mad.toml", "");
    mad(&["discover"], "").exits(1);
    assert!(fixture.path("started").exists());
}

#[test]
fn two_catalogs_in_one_directory() {
    let fixture = Fixture::with("m", "echo performance: 1 x/s");
    program(&fixture, "gen", "raise SystemExit\n");
    fixture.write("scripts/gen/models.json", r#"[{"name": "a", "scripts": "run.sh"}]"#);
    let ran = fixture.mad(&["discover"]).run().exits(1);
    check(|| insta::assert_snapshot!("program_and_file", ran.stderr));
    assert!(ran.stdout.contains("1 entry"), "{}", ran.said());
    fixture.target(&["catalog"]).run().exits(101).says(&["neither is read"]);
}

#[test]
fn a_program_that_lists_nothing_is_no_error_beside_others() {
    if !python() {
        return;
    }
    let fixture = Fixture::with("m", "echo performance: 1 x/s");
    program(&fixture, "gen", "def list_models():\n    return []\n");
    assert_eq!(ids(&fixture, &[]), ["m"]);
    std::fs::remove_file(fixture.root().join("models.json")).expect("it is there");
    fixture.mad(&["discover"]).run().exits(1).says(&["the catalog has no entry"]);
}

#[test]
fn names_that_exist_already() {
    if !python() {
        return;
    }
    let fixture = fixture();
    fixture.write("models.json", r#"[{"name": "gen/late", "scripts": "scripts/gen/run.sh"}]"#);
    let ran = fixture.mad(&["discover"]).run().exits(1);
    check(|| insta::assert_snapshot!("program_name_taken", ran.stderr));
}

/// nextest starts a process for each case, and Python takes longer than all else.
#[test]
fn nextest_runs_a_program_once_and_not_for_each_case() {
    if !python() {
        return;
    }
    let fixture = fixture();
    // Neither a program that fails nor an entry that does is a reason to run all again.
    program(&fixture, "broken", "import no_such_module\n");
    fixture.write("models.json", r#"[{"name": "plain", "scripts": "scripts/gen/run.sh"}]"#);
    let nextest = |args: &[&str]| fixture.target(args).under_nextest(1).run();
    let case = |name: &str| nextest(&["--exact", name, "--nocapture"]);
    nextest(&["--list", "--format", "terse"]).exits(0).says(&["bench::gen/late: test"]);
    assert_eq!(started(&fixture), 1);
    for stage in ["validate", "bench", "bench"] {
        for entry in ["gen/early", "gen/late"] {
            case(&format!("{stage}::{entry}")).exits(0).says(&["1 passed"]);
        }
    }
    case("validate::plain").exits(0);
    assert_eq!(started(&fixture), 1);
    // What concerns all files looks at all files.
    case("catalog").exits(101).says(&["no_such_module"]);
    assert_eq!(started(&fixture), 2);
    // Outside of that run nobody knows what the program would say now.
    let exact = |name: &str| fixture.target(&["--exact", name]).run();
    exact("validate::gen/late").exits(0).says(&["1 passed"]);
    assert_eq!(started(&fixture), 3);
    exact("validate::plain").exits(0).says(&["1 passed"]);
    assert_eq!(started(&fixture), 3);
    case("validate::gen/late").exits(0).says(&["1 passed"]);
    assert_eq!(started(&fixture), 4);
}
