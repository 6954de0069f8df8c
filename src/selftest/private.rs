//! A directory in which runs happen that nobody else is to hear of.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use super::{BUILT_IN, Setup};
use crate::catalog::BASELINE_VARIABLE;
use crate::engine::Cancel;
use crate::options;
use crate::record::RunDir;

/// What makes the scripts of this catalog slower.
const PLANT: &str = "MAD_PLANT_SLOWDOWN";
/// The work that comes along.
const WORKLOAD: &str = include_str!("workload.sh");
/// Variables that mean the same for these runs: who waits for whom on this machine, how much
/// time a script has to end, and what may run at all.
const KEPT: [&str; 3] = ["MAD_LEASE_DIR", "MAD_KILL_GRACE", "MAD_CATALOG_PYTHON"];

/// The directory, and how `mad` is started in it.
pub(super) struct Private<'a> {
    /// The entry that is measured.
    pub(super) entry: String,
    program: PathBuf,
    root: PathBuf,
    dir: TempDir,
    cancel: &'a Cancel,
}

/// What a command said, and how it ended.
pub(super) struct Said {
    pub(super) exit: i32,
    pub(super) text: String,
}

impl<'a> Private<'a> {
    pub(super) fn new(setup: &'a Setup<'_>) -> Result<Private<'a>> {
        let dir = tempfile::Builder::new().prefix("mad-selftest-").tempdir();
        let dir = dir.context("cannot make a directory for the self-test")?;
        let (entry, root) = match setup.entry {
            Some((root, model)) => (model.id(), root.to_owned()),
            None => (BUILT_IN.to_owned(), dir.path().join("catalog")),
        };
        let private =
            Private { entry, program: setup.program.clone(), root, dir, cancel: &setup.cancel };
        if setup.entry.is_none() {
            private.write_catalog().context("cannot write the catalog of the self-test")?;
        }
        Ok(private)
    }

    fn write_catalog(&self) -> std::io::Result<()> {
        let scripts = self.root.join("scripts");
        fs::create_dir_all(&scripts)?;
        let entry = json!({
            "name": BUILT_IN,
            "scripts": format!("scripts/{BUILT_IN}.sh"),
            "n_gpus": "0",
            "owner": "mad selftest",
            "training_precision": "",
            "tags": ["cpu"],
            "args": "",
            "timeout": 60,
            "regress": { "metrics": { "microseconds": { "direction": "lower" } } },
        });
        fs::write(self.root.join("models.json"), json!([entry]).to_string())?;
        fs::write(scripts.join(format!("{BUILT_IN}.sh")), WORKLOAD)
    }

    /// Measures and judges the entry, made slower by this share.
    pub(super) fn measure(&self, slowdown: Option<f64>) -> Result<Said> {
        let output = self.dir.path().join("perf.csv");
        let mut mad = self.mad(&["benchmark", "--quiet"]);
        mad.arg("--output").arg(output).arg("--").arg(&self.entry);
        if let Some(slowdown) = slowdown {
            mad.env(PLANT, slowdown.to_string());
        }
        self.run(mad)
    }

    /// Accepts the last `runs` runs.
    pub(super) fn accept(&self, runs: u32) -> Result<Said> {
        let mut mad = self.mad(&["baseline", "accept"]);
        mad.args(["--by", "mad selftest", "--why", "a self-test"]);
        mad.arg("--last").arg(runs.to_string());
        self.run(mad)
    }

    /// The run that ended last.
    pub(super) fn latest(&self) -> Result<RunDir> {
        RunDir::find(&self.run_dir(), "latest")
    }

    fn run_dir(&self) -> PathBuf {
        self.dir.path().join("mad")
    }

    fn mad(&self, words: &[&str]) -> Command {
        let mut mad = Command::new(&self.program);
        mad.arg("--root").arg(&self.root).args(words).arg("--run-dir").arg(self.run_dir());
        let steers = |name: &OsStr| {
            let name = name.to_string_lossy();
            let ours = options::variables().iter().any(|v| *v == name) || name == PLANT;
            (ours || name.starts_with("NEXTEST")) && !KEPT.contains(&&*name)
        };
        for (name, _) in std::env::vars_os().filter(|(name, _)| steers(name)) {
            mad.env_remove(name);
        }
        mad.env(BASELINE_VARIABLE, self.dir.path().join("baselines"));
        mad
    }

    fn run(&self, mut mad: Command) -> Result<Said> {
        let log = self.dir.path().join("said");
        let file = File::create(&log)?;
        mad.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let child =
            mad.spawn().with_context(|| format!("cannot run {}", self.program.display()))?;
        let status = self.wait(child)?;
        if self.cancel.is_cancelled() {
            bail!("interrupted");
        }
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let exit = status.code().with_context(|| format!("mad was ended: {status}\n{text}"))?;
        Ok(Said { exit, text })
    }

    /// Waits for the end of `child`, and ends it when this run is to end.
    fn wait(&self, mut child: Child) -> Result<ExitStatus> {
        let mut told = false;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if self.cancel.is_cancelled() && !told {
                told = true;
                let pid = Pid::from_raw(child.id().cast_signed());
                // An error means that it has ended by itself.
                let _ = pid.map(|pid| kill_process(pid, Signal::TERM));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::validate::Validator;

    #[test]
    fn the_work_that_comes_along_is_an_entry_that_reports() {
        let program = PathBuf::from("mad");
        let cancel = Cancel::default();
        let setup = Setup { program, entry: None, slowdown: 0.1, cancel };
        let private = Private::new(&setup).unwrap();
        let catalog = Catalog::load(&private.root);
        assert_eq!(catalog.problems, []);
        let model = &catalog.models[0];
        assert_eq!(Validator::new(&catalog).model(model), []);
        let script = private.root.join(model.script().unwrap());
        let script = script.canonicalize().unwrap();
        let mut bash = Command::new("bash");
        // It leaves a file where it runs.
        bash.arg(script).env(PLANT, "0.1").current_dir(&private.root);
        let output = bash.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success());
        let number = said.strip_prefix("performance: ").unwrap().strip_suffix(" microseconds\n");
        assert!(number.unwrap().parse::<u32>().unwrap() > 0, "{said}");
    }
}
