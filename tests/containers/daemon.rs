//! A daemon that is not there, goes away, or has no room: one of the test's own.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use crate::common::eventually;
use crate::engine::Engine;
use crate::lifetime::{next_run_works, sleeper, start};

/// A Docker daemon of a test's own, as `ci/dockerd.sh` makes one.
pub(crate) struct Daemon {
    dir: TempDir,
    host: String,
}

impl Daemon {
    /// Starts one in a new directory, which `prepare` may change first.
    pub(crate) fn start(prepare: impl FnOnce(&Path)) -> Daemon {
        let dir = tempfile::tempdir().expect("a temporary directory");
        prepare(dir.path());
        let mut daemon = Daemon { dir, host: String::new() };
        daemon.start_again();
        daemon
    }

    fn start_again(&mut self) {
        let started = dockerd("start", self.dir.path()).output().expect("bash");
        assert!(started.status.success(), "{started:?}");
        self.host = String::from_utf8_lossy(&started.stdout).trim().to_owned();
    }

    /// Stops it; what it has stays.
    fn stop(&self) {
        let pid = self.host.trim_start_matches("unix://").replace("docker.sock", "pid");
        let pid = fs::read_to_string(pid).expect("its process id");
        let pid = pid.trim();
        let stopped = Command::new("kill").arg(pid).status();
        assert!(stopped.expect("kill").success());
        eventually("it stops", || !Path::new("/proc").join(pid).exists());
    }

    /// Where it is reached.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// It, with the base image.
    pub(crate) fn engine(&self) -> Engine {
        let engine = Engine::reach_at("docker", vec![("DOCKER_HOST", self.host.clone().into())]);
        engine.expect("the daemon works")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = dockerd("stop", self.dir.path()).status();
        // Where something was mounted.
        let _ = Command::new("umount").arg(self.dir.path()).stderr(Stdio::null()).status();
    }
}

fn dockerd(action: &str, dir: &Path) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/dockerd.sh");
    let mut command = Command::new(script);
    command.arg(action).arg(dir).stdin(Stdio::null()).stderr(Stdio::null());
    command
}

pub(crate) fn a_daemon_that_is_not_there(engine: &Engine) {
    let entry = engine.entry("echo 'performance: 1 x/s'", json!({}));
    let nowhere = |args: &[&str]| {
        let mad = engine.mad(&entry.fixture, args);
        mad.env("DOCKER_HOST", "unix:///no/such/socket").run()
    };
    let why = ["needs a container engine (docker/m.*), and none answers: docker version"];
    let ran = nowhere(&["benchmark"]).exits(1).says(&why);
    ran.says(&["nothing was measured", "--engine host", "unix:///no/such/socket"]);
    assert_eq!(entry.fixture.rows()[0].get("status"), "SKIPPED");
    nowhere(&["benchmark", "--require-containers"]).exits(3).says(&["(--require-containers)"]);
    nowhere(&["__test-target"]).exits(0).says(&why).says(&["ignored"]);
    nowhere(&["__test-target", "--require-containers"]).exits(101).says(&why);
    nowhere(&["benchmark", "--plan"]).exits(0).says(&["skip"]).says(&why);
    nowhere(&["benchmark", "--plan", "--require-containers"]).exits(3);
}

pub(crate) fn a_daemon_that_stops_meanwhile(_: &Engine) {
    let mut daemon = Daemon::start(|_| {});
    let engine = daemon.engine();
    let entry = sleeper(&engine, "");
    let running = start(&entry, &[]);
    let name = entry.containers().pop().expect("a container");
    daemon.stop();
    let ran = running.wait().exits(3).says(&["the container engine lost the container"]);
    ran.says(&["Cannot connect to the Docker daemon"]);
    assert_eq!(entry.fixture.rows()[0].get("status"), "FAILURE");
    // Nobody can remove it now; that is said until somebody can.
    let ran = entry.benchmark(&[]).run().exits(1).says(&["none answers"]);
    ran.says(&["cannot remove a container left over from a killed run"]);
    daemon.start_again();
    assert_eq!(entry.containers(), std::slice::from_ref(&name));
    entry.fixture.write(&format!("scripts/{}/run.sh", entry.name), "echo 'performance: 2 x/s'\n");
    let ran = entry.benchmark(&[]).run().exits(0);
    ran.says(&[&format!("removed container {name}, left over from a killed run")]);
    entry.nothing_is_left();
    let ran = entry.benchmark(&[]).run().exits(0);
    assert!(!ran.said().contains("left over"), "{}", ran.said());
}

pub(crate) fn a_daemon_without_room(_: &Engine) {
    let daemon = Daemon::start(|dir| {
        let mount = ["-t", "tmpfs", "-o", "size=48m", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(dir).status();
        assert!(mounted.expect("mount").success());
    });
    let engine = daemon.engine();
    let fill = "dd if=/dev/zero of=/fill bs=1M";
    let entry = engine.entry(&format!("set -e\n{fill}\necho 'performance: 1 x/s'"), json!({}));
    entry.benchmark(&[]).run().exits(3);
    assert!(entry.log().contains("No space left on device"), "{}", entry.log());
    entry.nothing_is_left();
    next_run_works(&entry);
    let entry = engine.entry_without_image("echo 'performance: 1 x/s'", json!({}));
    entry.dockerfile("Dockerfile", "{}", &format!("FROM {}\nRUN {fill}", engine.base));
    entry.benchmark(&[]).run().exits(2).says(&["cannot build docker/m.Dockerfile"]);
    let log = entry.fixture.runs()[0].join(&entry.name).join("attempt-1/build/run.log");
    assert!(crate::common::read(&log).contains("No space left on device"));
    // The room is there again.
    entry.dockerfile("Dockerfile", "{}", &format!("FROM {}", engine.base));
    entry.benchmark(&[]).run().exits(0);
}
