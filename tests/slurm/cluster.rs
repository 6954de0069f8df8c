//! The cluster.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::common::{Fixture, Mad};

/// Only a hang takes this long.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Four nodes, on this machine; they end with it.
pub(crate) struct Cluster {
    dir: TempDir,
    conf: String,
}

/// What these tests need and is not here.
pub(crate) fn lacks() -> Option<String> {
    let found = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
    };
    let programs = ["sbatch", "slurmctld", "slurmd", "munged"];
    let missing = programs.into_iter().find(|p| !found(p));
    let root = rustix::process::geteuid().is_root();
    match (missing, root) {
        (Some(program), _) => Some(format!("{program} is missing (slurm-wlm, munge)")),
        (None, false) => Some("a cluster of one's own needs root".to_owned()),
        (None, true) => None,
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/slurm.sh")
}

impl Cluster {
    pub(crate) fn start() -> Cluster {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let output = Command::new(script()).arg("start").arg(dir.path()).output();
        let output = output.expect("ci/slurm.sh starts");
        assert!(output.status.success(), "{output:?}");
        let conf = String::from_utf8(output.stdout).expect("text").trim().to_owned();
        Cluster { dir, conf }
    }

    /// Stops and starts the controller.
    pub(crate) fn controller(&self, what: &str) {
        let done = Command::new(script()).arg("controller").arg(self.dir.path()).arg(what).status();
        assert!(done.expect("ci/slurm.sh").success());
    }

    /// `mad` in `fixture`, with this cluster.
    pub(crate) fn mad(&self, fixture: &Fixture, args: &[&str]) -> Mad {
        fixture.mad(args).env("SLURM_CONF", &self.conf)
    }

    /// `mad benchmark --engine slurm`, with the context `slurm`.
    pub(crate) fn benchmark(&self, fixture: &Fixture, slurm: &str, args: &[&str]) -> Mad {
        let context = format!("{{\"slurm\": {slurm}}}");
        let fixed = ["benchmark", "--engine", "slurm", "--additional-context", &context];
        self.mad(fixture, &[&fixed, args].concat())
    }

    /// One of Slurm's programs.
    pub(crate) fn slurm(&self, words: &[&str]) -> Output {
        let output =
            Command::new(words[0]).args(&words[1..]).env("SLURM_CONF", &self.conf).output();
        output.expect("a program of Slurm's")
    }

    pub(crate) fn said(&self, words: &[&str]) -> String {
        String::from_utf8_lossy(&self.slurm(words).stdout).into_owned()
    }

    /// Ids of the jobs in this state.
    pub(crate) fn jobs(&self, state: &str) -> Vec<String> {
        let said = self.said(&["squeue", "--noheader", "--format=%i", "--states", state]);
        said.lines().map(str::to_owned).collect()
    }

    /// The one job that runs, once there is one.
    pub(crate) fn running(&self) -> String {
        let mut jobs = Vec::new();
        self.until("a job runs", || {
            jobs = self.jobs("RUNNING");
            !jobs.is_empty()
        });
        assert_eq!(jobs.len(), 1, "{jobs:?}");
        jobs.remove(0)
    }

    pub(crate) fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let since = Instant::now();
        while !done() {
            assert!(since.elapsed() < WATCHDOG, "never: {what}\n{}", self.said(&["squeue"]));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// While `what` is done, the controller is configured so.
    pub(crate) fn with_setting(&self, line: &str, what: impl FnOnce()) {
        let before = std::fs::read_to_string(&self.conf).expect("a configuration");
        let restart = |text: &str| {
            self.controller("stop");
            std::fs::write(&self.conf, text).expect("a file");
            self.controller("start");
            self.until("it answers", || self.slurm(&["scontrol", "ping"]).status.success());
            self.make_idle();
        };
        restart(&format!("{before}{line}\n"));
        what();
        restart(&before);
    }

    /// While `what` is done, a node sees an empty directory in place of `hidden`.
    pub(crate) fn with_another_view(&self, node: u32, hidden: &Path, what: impl FnOnce()) {
        let pid_file = self.dir.path().join(format!("run/slurmd-n{node}.pid"));
        let restart = |view: &str| {
            let pid = std::fs::read_to_string(&pid_file).expect("a process id");
            Command::new("kill").arg(pid.trim()).status().expect("kill");
            self.until("the node is down", || !Path::new("/proc").join(pid.trim()).exists());
            let start = format!("{view} exec slurmd -N n{node}");
            let mut command = Command::new("unshare");
            command.args(["--mount", "bash", "-c", &start]).arg("bash").arg(hidden);
            assert!(command.env("SLURM_CONF", &self.conf).status().expect("unshare").success());
            self.until("the node is up", || {
                self.said(&["sinfo", "--noheader", "--states=idle", "--format=%D"]).trim() == "4"
            });
        };
        restart("mount -t tmpfs none \"$1\";");
        what();
        restart("");
    }

    /// As it was in the beginning.
    pub(crate) fn make_idle(&self) {
        if !self.slurm(&["scontrol", "ping"]).status.success() {
            self.controller("start");
        }
        self.slurm(&["scancel", "--user=root"]);
        self.slurm(&["scontrol", "update", "NodeName=n[1-4]", "State=RESUME"]);
        self.until("all nodes are idle", || {
            self.said(&["sinfo", "--noheader", "--states=idle", "--format=%D"]).trim() == "4"
        });
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Command::new(script()).arg("stop").arg(self.dir.path()).status();
    }
}
