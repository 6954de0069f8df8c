//! `--engine madengine`: what is planned for it everywhere, and what it does where the real
//! madengine, Docker and /dev/kfd are there (any character device of that name does:
//! `mknod /dev/kfd c 1 3`). MAD_TEST_MADENGINE names a madengine that is not on PATH.

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{Fixture, Mad, Ran, alive, eventually};
use insta::assert_snapshot;

/// A catalog of tests/fixtures/compat, and how madengine runs it here. One at a time: runs
/// of one entry share a container.
struct Lab {
    fixture: Fixture,
    path: String,
    _alone: MutexGuard<'static, ()>,
}

static ALONE: Mutex<()> = Mutex::new(());

/// The lab, or `None` and a message where madengine cannot run.
fn lab() -> Option<Lab> {
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = std::env::var("PATH").unwrap_or_default();
    let given = std::env::var("MAD_TEST_MADENGINE").ok().map(PathBuf::from);
    let path = match given.as_ref().and_then(|program| program.parent()) {
        Some(dir) => format!("{}:{path}", dir.display()),
        None => path,
    };
    let succeeds = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).env("PATH", &path).output();
        output.is_ok_and(|o| o.status.success())
    };
    let lacks = match () {
        () if !succeeds("madengine", &["--version"]) => "no madengine on PATH",
        () if !succeeds("docker", &["version"]) => "no Docker daemon answers",
        () if !PathBuf::from("/dev/kfd").exists() => "no /dev/kfd (mknod /dev/kfd c 1 3)",
        () => "",
    };
    if !lacks.is_empty() {
        eprintln!("skipped: {lacks}");
        return None;
    }
    let fixture = Fixture::empty();
    let setup = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/compat/setup.sh");
    assert!(Command::new(setup).arg(fixture.path("")).status().expect("setup.sh").success());
    Some(Lab { fixture, path, _alone: alone })
}

impl Lab {
    fn mad(&self, engine: &str, args: &[&str]) -> Mad {
        let command = ["benchmark", "--engine", engine, "-f", "context.json"];
        let mut mad = self.fixture.mad(&[&command, args].concat()).env("PATH", &self.path);
        if let Ok(host) = std::env::var("DOCKER_HOST") {
            mad = mad.env("DOCKER_HOST", host);
        }
        mad
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.mad("madengine", args).run()
    }

    /// The containers of this name that Docker has.
    fn containers(&self, name: &str) -> String {
        let filter = format!("name={name}");
        let args = ["ps", "-a", "--format", "{{.Names}}", "--filter", &filter];
        let output = Command::new("docker").args(args).output().expect("docker");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

#[test]
fn numbers_are_those_that_the_container_engine_gets() {
    let Some(lab) = lab() else { return };
    let entries = ["table", "nested/entry"];
    lab.mad("container", &entries).run().exits(0);
    // Names of rows and machines agree, so one's accepted numbers are the other's.
    lab.fixture.mad(&["baseline", "accept", "table", "nested/entry"]).run().exits(0);
    lab.run(&entries).exits(0).says(&["small/tokens_per_second", "100.5", "same"]);
    let rows = lab.fixture.rows();
    let cells = ["model", "performance", "metric", "status", "docker_image"];
    let row = |i: usize| cells.map(|c| rows[i].get(c).to_owned());
    // Three rows of each engine.
    for i in 0..3 {
        assert_eq!(row(i), row(i + 3));
    }
    let measurement = lab.fixture.record("table/attempt-1/measurement.json");
    assert_eq!(measurement["engine"], "madengine");
    assert!(measurement["prepared"]["image"]["id"].as_str().expect("an id").starts_with("sha256:"));
}

#[test]
fn what_madengine_passes_over_fails() {
    let Some(lab) = lab() else { return };
    lab.run(&["table_text"]).exits(3).says(&["performance \"abc\" is not a finite number"]);
    lab.run(&["table_stale"]).exits(3).says(&["is left over from an earlier run"]);
    lab.run(&["skipped_arch"]).exits(3).says(&["recorded nothing: it skipped the entry"]);
    lab.run(&["skipped_arch", "--disable-skip-gpu-arch"]).exits(0).says(&["14164"]);
}

#[test]
fn failures_have_their_reason() {
    let Some(lab) = lab() else { return };
    lab.run(&["fails"]).exits(3).says(&["failed with exit code 3"]);
    lab.run(&["errors"]).exits(3).says(&["although 42 tokens_per_second was reported"]);
    lab.run(&["time_is_up"]).exits(3).says(&["Requested timeout=4"]);
    lab.fixture.write("docker/compat.ubuntu.amd.Dockerfile", BROKEN);
    let said = "madengine built no image: The command '/bin/sh -c false' returned a non-zero code";
    lab.run(&["plain"]).exits(2).says(&[said]);
    assert_eq!(lab.containers("container_ci-"), "");
}

const BROKEN: &str = "# CONTEXT {'gpu_vendor': 'AMD'}\nFROM scratch\nCOPY rootfs/ /\nRUN false\n";

#[test]
fn several_dockerfiles_are_measured_one_by_one() {
    let Some(lab) = lab() else { return };
    let text = "# CONTEXT {'gpu_vendor': 'AMD'}\nFROM scratch\nCOPY rootfs/ /\nENV SECOND=1\n";
    lab.fixture.write("docker/compat.other.amd.Dockerfile", text);
    lab.run(&["plain"]).exits(0).says(&["plain@ubuntu.amd", "plain@other.amd"]);
    assert_eq!(lab.fixture.rows().len(), 2);
}

#[test]
fn nothing_is_left_behind() {
    let Some(lab) = lab() else { return };
    let root = lab.fixture.path("mad").display().to_string();
    let name = "container_ci-time_is_up";
    let start = || {
        let before = lab.fixture.runs().len();
        let running = lab.mad("madengine", &["time_is_up", "--timeout", "1000"]).start();
        eventually("the model starts", || {
            lab.fixture.runs().get(before).is_some_and(|run| {
                let log = run.join("time_is_up/attempt-1/execution-1/run.log");
                std::fs::read_to_string(log).is_ok_and(|log| log.contains("never_counts"))
            })
        });
        assert_ne!(lab.containers(name), "");
        running
    };
    let gone = || eventually("all is gone", || lab.containers(name).is_empty() && !alive(&root));
    let running = start();
    running.signal("INT");
    running.wait().exits(3).says(&["cancelled"]);
    assert_eq!(lab.containers(name), "");
    let running = start();
    running.signal("KILL");
    running.wait();
    gone();
}

#[test]
fn two_runs_of_one_entry_take_turns() {
    let Some(lab) = lab() else { return };
    let text = std::fs::read_to_string(lab.fixture.root().join("models.json")).expect("a catalog");
    let shared = "\"name\": \"plain\", \"bench\": { \"exclusive\": false }";
    lab.fixture.write("models.json", text.replace("\"name\": \"plain\"", shared));
    let runs = [lab.mad("madengine", &["plain"]).start(), lab.mad("madengine", &["plain"]).start()];
    for run in runs {
        run.wait().exits(0).says(&["14164"]);
    }
}

#[test]
fn secrets_stay_out_of_what_is_kept() {
    let Some(lab) = lab() else { return };
    let mad = lab.mad("madengine", &["plain"]).env("MAD_SECRETS_TOKEN", "s3cret-of-the-lab");
    mad.run().exits(0).says(&["madengine hands MAD_SECRETS*"]);
    assert_eq!(lab.fixture.files_with("s3cret-of-the-lab"), Vec::<PathBuf>::new());
}

/// A catalog with an entry that has images.
fn planned(extra: serde_json::Value) -> Fixture {
    let fixture = Fixture::empty().entry("m", "echo 'performance: 1 x/s'", extra);
    for vendor in ["amd", "nvidia"] {
        let header = format!("# CONTEXT {{'gpu_vendor': '{}'}}", vendor.to_uppercase());
        let file = format!("docker/m.ubuntu.{vendor}.Dockerfile");
        fixture.write(&file, format!("{header}\nFROM scratch\n"));
    }
    fixture
}

fn plan(fixture: &Fixture, args: &[&str]) -> String {
    let machine = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/machines/8x-mi300x.json");
    let command = ["benchmark", "m", "--plan", "--machine", machine];
    let ran = fixture.mad(&[&command, args].concat()).run().exits(0);
    ran.stdout.replace(machine, "8x-mi300x.json")
}

#[test]
fn the_plan_is_the_command() {
    let entry = serde_json::json!({ "dockerfile": "docker/m", "n_gpus": "4", "timeout": 90.5 });
    let fixture = planned(entry);
    assert_snapshot!(plan(
        &fixture,
        &["--engine", "madengine", "--clean", "--disable-skip-gpu-arch"]
    ));
    let context = r#"{"docker_env_vars": {"MAD_SECRETS_X": "s3cret"}, "docker_gpus": "2-5"}"#;
    assert_snapshot!(plan(&fixture, &["--engine", "madengine", "--timeout", "0", "-c", context]));
}

#[test]
fn kubernetes_goes_to_madengine() {
    let entry = serde_json::json!({ "dockerfile": "docker/m", "n_gpus": "-1" });
    let fixture = planned(entry);
    let context = r#"{"k8s": {"gpu_count": 2, "namespace": "bench"}}"#;
    let image = ["-c", context, "--use-image", "registry.example.com/m:1"];
    assert_snapshot!(plan(&fixture, &image));
}

#[test]
fn without_madengine_it_is_a_skip() {
    let fixture = planned(serde_json::json!({ "dockerfile": "docker/m" }));
    let bin = fixture.path("bin");
    std::fs::create_dir(&bin).expect("a directory");
    let mad = fixture.mad(&["benchmark", "m", "--engine", "madengine"]).env("PATH", &bin);
    mad.run().exits(1).says(&["needs madengine, which is not on PATH", "pip install"]);
    assert_eq!(fixture.rows()[0].get("status"), "SKIPPED");
    let context = r#"{"k8s": {}}"#;
    std::fs::write(bin.join("madengine"), "").expect("a file");
    let mad = fixture.mad(&["benchmark", "m", "-c", context]).env("PATH", &bin);
    mad.run().exits(1).says(&["Kubernetes takes images from a registry"]);
}
