//! 100 entries that do nothing, as jobs of a Slurm cluster on this machine, against `sbatch` of 100
//! such scripts in a loop and waiting for all of them. Needs Slurm and root, like `tests/slurm`.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use common::{MAD, Table, Times, command};
use serde_json::json;
use tempfile::TempDir;

/// Entries, and jobs of the loop.
const JOBS: usize = 100;
/// Repetitions of each, in turn.
const ROUNDS: usize = 5;

/// What a person would write: the same jobs, and five questions a second for all of them.
const LOOP: &str = r#"
for i in $(seq "$1"); do
    ids=$ids,$(sbatch --parsable --output=out/%j --no-requeue --nodes=1 --ntasks=1 --time=10 job.sh)
done

while squeue --noheader --jobs="${ids#,}" --format=%i | grep -q .; do sleep 0.2; done
test "$(cat out/* | grep -c '^performance: ')" -eq "$1"
rm -r out; mkdir out
"#;

/// Four nodes on this machine; they end with it.
struct Cluster {
    dir: TempDir,
    conf: String,
}

impl Cluster {
    fn script() -> Command {
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/slurm.sh"))
    }

    /// `None` where there is no Slurm, or it does not start.
    fn start() -> Option<Cluster> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let started = Cluster::script().arg("start").arg(dir.path()).output().ok()?;
        let conf = String::from_utf8_lossy(&started.stdout).trim().to_owned();
        started.status.success().then_some(Cluster { dir, conf })
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = Cluster::script().arg("stop").arg(self.dir.path()).status();
    }
}

fn main() -> ExitCode {
    let Some(cluster) = Cluster::start() else {
        eprintln!("no Slurm cluster here: skipped");
        return ExitCode::SUCCESS;
    };
    let dir = tempfile::tempdir().expect("a temporary directory");
    match compare(dir.path(), &cluster.conf) {
        Ok(table) => table.finish("slurm: median of the ratios of 5 rounds, in turn"),
        Err(why) => {
            eprintln!("{why}\neverything is kept in {}", dir.keep().display());
            ExitCode::FAILURE
        }
    }
}

/// Runs both in turn in `root`; why one of them failed otherwise.
fn compare(root: &Path, conf: &str) -> Result<Table, String> {
    // Of their own: the directory of a script is copied for each execution.
    let scripts = root.join("scripts");
    fs::create_dir(&scripts).expect("a directory");
    let entries: Vec<_> = (0..JOBS)
        .map(|i| json!({ "name": format!("nothing{i}"), "scripts": "scripts/run.sh", "n_gpus": "0" }))
        .collect();
    fs::write(root.join("models.json"), json!(entries).to_string()).expect("a catalog");
    fs::write(scripts.join("run.sh"), "echo 'performance: 1 seconds'\n").expect("a script");
    fs::write(root.join("job.sh"), "#!/bin/bash\nbash scripts/run.sh\n").expect("a script");
    fs::create_dir(root.join("out")).expect("a directory");
    let (bin, calls) = (root.join("bin"), root.join("calls"));
    let path = counting(&bin, &calls);

    let mad = || {
        let mut mad = command(MAD, root);
        mad.args(["-q", "benchmark", "-c", r#"{"slurm": {"exclusive": false, "time": "10"}}"#]);
        mad.env("PATH", &path).env("SLURM_CONF", conf);
        mad
    };
    let by_hand = || {
        let mut by_hand = command("bash", root);
        by_hand.args(["-c", LOOP, "bash", &JOBS.to_string()]).env("SLURM_CONF", conf);
        by_hand
    };
    let (mut ours, mut peers, mut asked, mut memory) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 1..=ROUNDS {
        let _ = fs::remove_file(&calls);
        let (took, peak) = timed(mad(), &root.join("mad.log"))?;
        memory = memory.max(peak);
        let all = fs::read_to_string(&calls).unwrap_or_default();
        asked
            .push(all.lines().filter(|name| *name != "sbatch").count() as f64 / took.as_secs_f64());
        let (by_hand, _) = timed(by_hand(), &root.join("loop.log"))?;
        eprintln!("round {round}: mad {took:.2?}, the loop {by_hand:.2?}");
        ours.push(took);
        peers.push(by_hand);
    }

    let ratios = ours.iter().zip(&peers).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64());
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ROUNDS / 2];
    let (ours, peers) = (Times::new(ours), Times::new(peers));
    let mut table = Table::default();
    let what = "100 Slurm jobs by mad, over sbatch of 100 scripts in a loop";
    table.below(what, ratio, 1.1, "", &format!("{ratio:.2}"));
    table.tell("  the two", ours.text(), &peers.text(), "");
    let often = asked.iter().copied().fold(0.0, f64::max);
    table.below("questions to Slurm per second", often, 2.0, "", &format!("{often:.2}"));
    let mib = memory as f64 / 1024.0;
    table.below("memory of mad at its peak", mib, 200.0, "MiB", &format!("{mib:.0} MiB"));
    Ok(table)
}

/// Slurm's programs, each of which writes down that it was called.
fn counting(bin: &Path, calls: &Path) -> String {
    fs::create_dir(bin).expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    for name in ["sbatch", "squeue", "sacct", "scontrol", "scancel"] {
        let found = std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file());
        let Some(program) = found else { continue };
        let wrapper: PathBuf = bin.join(name);
        let text = format!(
            "#!/bin/sh\necho {name} >>'{}'\nexec '{}' \"$@\"\n",
            calls.display(),
            program.display()
        );
        fs::write(&wrapper, text).expect("a script");
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    format!("{}:{path}", bin.display())
}

/// How long it took, and the most memory it had, in KiB; what it printed is in `log`, and is the
/// error where it fails.
fn timed(mut command: Command, log: &Path) -> Result<(Duration, u64), String> {
    let out = fs::File::create(log).expect("a file");
    command.stdout(out.try_clone().expect("a file")).stderr(out);
    let clock = Instant::now();
    let mut child = command.spawn().expect("it starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        if let Some(ended) = child.try_wait().expect("a status") {
            let took = clock.elapsed();
            if ended.success() {
                return Ok((took, peak));
            }
            let said = fs::read_to_string(log).unwrap_or_default();
            return Err(format!("{said}{:?}: {ended}", command.get_program()));
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap_or(0);
        peak = peak.max(kib);
        std::thread::sleep(Duration::from_millis(20));
    }
}
