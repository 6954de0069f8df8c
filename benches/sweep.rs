//! What packing saves, what the scheduler costs, and what kill -9 leaves: docs/sweep.md.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use common::{MAD, Table, command, timed};
use serde_json::{Value, json};

/// GPU counts of every entry.
const COUNTS: [u32; 4] = [1, 2, 4, 8];
/// Rounds of kill -9.
const KILLS: usize = 50;

fn main() -> ExitCode {
    let mut table = Table::default();
    packing(&mut table);
    thousand(&mut table);
    killed(&mut table);
    table.finish("sweeps on a simulated machine of 8 GPUs")
}

/// A catalog and a machine in a directory of their own.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    /// With entries that sleep for so many seconds, by GPU count.
    fn new(entries: &[BTreeMap<u32, f64>]) -> World {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let root = dir.path();
        let mut models = Vec::new();
        for (i, sleeps) in entries.iter().enumerate() {
            let scripts = root.join(format!("scripts/e{i}"));
            fs::create_dir_all(&scripts).expect("a directory");
            let cases: String = sleeps.iter().map(|(n, s)| format!("{n}) s={s:.3};; ")).collect();
            let text = format!(
                "case $MAD_RUNTIME_NGPUS in {cases}esac\n[ \"$s\" = 0.000 ] || sleep $s\n\
                 echo \"performance: $MAD_RUNTIME_NGPUS samples_per_second\"\n"
            );
            fs::write(scripts.join("run.sh"), text).expect("a script");
            models.push(json!({
                "name": format!("e{i}"), "scripts": format!("scripts/e{i}/run.sh"), "n_gpus": "1",
                "tags": ["all_of_them"],
            }));
        }
        fs::write(root.join("models.json"), json!(models).to_string()).expect("a catalog");
        let machine =
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/machines/8x-mi300x.json");
        let text = fs::read_to_string(machine).expect("a machine");
        let mut machine: Value = serde_json::from_str(&text).expect("JSON");
        machine["simulated"] = json!(true);
        fs::write(root.join("machine.json"), machine.to_string()).expect("a machine");
        World { dir }
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn sweep(&self, args: &[&str]) -> Command {
        let mut mad = command(MAD, self.root());
        mad.args(["--quiet", "sweep"]).args(args).stdout(Stdio::null()).stderr(Stdio::null());
        mad
    }

    fn all(&self, counts: &str, more: &[&str]) -> Command {
        let args = ["--tags", "all_of_them", "--ngpus", counts, "--machine", "machine.json"];
        self.sweep(&[args.as_slice(), more].concat())
    }

    fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.root().join("target/mad/runs")) else {
            return Vec::new();
        };
        let mut runs: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        runs.sort();
        runs
    }
}

fn json_file(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// All measurements below a run directory, whatever attempt.
fn measurements(run: &Path) -> Vec<Value> {
    let dirs = |path: &Path| -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
        entries.flatten().map(|e| e.path()).filter(|p| p.is_dir()).collect()
    };
    let files = dirs(run).into_iter().flat_map(|d| dirs(&d)).map(|d| d.join("measurement.json"));
    files.filter(|f| f.is_file()).map(|f| json_file(&f)).collect()
}

/// Pairs of Executions that had the same GPU at the same time.
fn overlaps(run: &Path) -> usize {
    let mut by_gpu: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for m in measurements(run) {
        for e in m["executions"].as_array().expect("executions") {
            let held =
                (e["held"][0].as_f64().expect("a time"), e["held"][1].as_f64().expect("a time"));
            for gpu in e["gpus"].as_array().expect("GPUs") {
                by_gpu.entry(gpu.as_u64().expect("a GPU")).or_default().push(held);
            }
        }
    }
    let clashes = |mut held: Vec<(f64, f64)>| {
        held.sort_by(|a, b| a.0.total_cmp(&b.0));
        held.windows(2).filter(|pair| pair[1].0 < pair[0].1).count()
    };
    by_gpu.into_values().map(clashes).sum()
}

/// 200 Cells with times of a heavy tail: packed, and one after the other.
fn packing(table: &mut Table) {
    let mut random = fastrand::Rng::with_seed(5);
    // Pareto with shape 1.1 from 0.05 s, cut at 2 s.
    let mut time = || (0.05 / random.f64().max(1e-9).powf(1.0 / 1.1)).min(2.0);
    let entries: Vec<BTreeMap<u32, f64>> =
        (0..50).map(|_| COUNTS.iter().map(|&n| (n, time())).collect()).collect();
    let cells = || entries.iter().flatten();
    let work: f64 = cells().map(|(n, s)| f64::from(*n) * s).sum();
    let bound = cells().map(|(_, s)| *s).fold(work / 8.0, f64::max);
    let world = World::new(&entries);
    let run = |more: &[&str]| {
        let (status, took) = timed(|| world.all("1,2,4,8", more).status().expect("mad starts"));
        assert!(status.success(), "{status}");
        took.as_secs_f64()
    };
    let serial = run(&["--serial"]);
    let packed = run(&[]);
    let newest = world.runs().pop().expect("a run");
    assert_eq!(measurements(&newest).len(), 200);
    let clashes = overlaps(&newest);
    let (ours, peer) = (format!("{packed:.2} s"), format!("{bound:.2} s"));
    table.ratio(
        "200 cells, against max(longest, work / 8)",
        &ours,
        &peer,
        packed / bound,
        (false, 1.15),
    );
    let widths: f64 = cells().map(|(_, s)| s).sum();
    table.tell("  sum of all sleeps", format!("{widths:.2} s"), "", "");
    table.tell(
        "  against one after the other",
        format!("{packed:.2} s"),
        &format!("{serial:.2} s"),
        &format!("{:.2}×", serial / packed),
    );
    table.below("  pairs of leases that overlap", clashes as f64, 0.5, "", &clashes.to_string());
    narrow(table);
}

/// The same times with Cells of one GPU: how far packing goes when widths do not bound it.
fn narrow(table: &mut Table) {
    let mut random = fastrand::Rng::with_seed(6);
    let mut time = || (0.05 / random.f64().max(1e-9).powf(1.0 / 1.1)).min(2.0);
    let entries: Vec<BTreeMap<u32, f64>> =
        (0..200).map(|_| BTreeMap::from([(1, time())])).collect();
    let world = World::new(&entries);
    let [serial, packed] = [["--serial"].as_slice(), &[]].map(|more| {
        let (status, took) = timed(|| world.all("1", more).status().expect("mad starts"));
        assert!(status.success(), "{status}");
        took.as_secs_f64()
    });
    let (ours, peer) = (format!("{packed:.2} s"), format!("{serial:.2} s"));
    table.ratio(
        "200 cells of 1 GPU, one after the other",
        &ours,
        &peer,
        serial / packed,
        (true, 5.0),
    );
}

/// 1,000 Cells that do next to nothing: what the scheduler itself takes.
fn thousand(table: &mut Table) {
    let entries: Vec<BTreeMap<u32, f64>> =
        (0..250).map(|_| COUNTS.iter().map(|&n| (n, 0.0)).collect()).collect();
    let world = World::new(&entries);
    let clock = Instant::now();
    let mut child = world.all("1,2,4,8", &[]).spawn().expect("mad starts");
    let (mut cpu, mut peak) = (0.0_f64, 0.0_f64);
    let status = loop {
        if let Some(status) = child.try_wait().expect("mad can be waited for") {
            break status;
        }
        if let Some((seconds, mib)) = usage(child.id()) {
            (cpu, peak) = (cpu.max(seconds), peak.max(mib));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
    assert_eq!(measurements(&world.runs()[0]).len(), 1000);
    let took = clock.elapsed().as_secs_f64();
    table.tell("1,000 cells of no work", format!("{took:.1} s"), "", "");
    let each = 1e3 * cpu / 1000.0;
    table.tell("  CPU of mad itself per cell", format!("{each:.2} ms"), "", "");
    table.tell("  memory of mad at most", format!("{peak:.0} MiB"), "", "");
}

/// Seconds of CPU of the process itself, and its peak memory in MiB.
fn usage(pid: u32) -> Option<(f64, f64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().ok()? + fields[12].parse::<f64>().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = peak.trim().strip_suffix("kB")?.trim().parse().ok()?;
    // USER_HZ is 100 on every Linux.
    Some((ticks / 100.0, kib / 1024.0))
}

/// kill -9 at random moments of 40 Cells: after --resume, 40 results, each measured once to
/// completion, and once in perf.csv.
fn killed(table: &mut Table) {
    let entries: Vec<BTreeMap<u32, f64>> = (0..10)
        .map(|i| COUNTS.iter().map(|&n| (n, 0.02 + 0.01 * f64::from(i))).collect())
        .collect();
    let world = World::new(&entries);
    let (status, whole) = timed(|| world.all("1,2,4,8", &[]).status().expect("mad starts"));
    assert!(status.success(), "{status}");
    let mut random = fastrand::Rng::with_seed(7);
    let (mut wrong, mut kept, mut before) = (0, 0, 0);
    for _ in 0..KILLS {
        let _ = fs::remove_dir_all(world.root().join("target"));
        let _ = fs::remove_file(world.root().join("perf.csv"));
        let child = world.all("1,2,4,8", &[]).spawn().expect("mad starts");
        kill_after(child, whole.mul_f64(random.f64()));
        let run = world.runs().into_iter().find(|run| run.join("run.json").is_file());
        let done = run.as_ref().map_or(0, |run| measurements(run).len());
        kept += done;
        let status = match run {
            Some(_) => world.sweep(&["--resume", "latest"]).status(),
            None => {
                before += 1;
                world.all("1,2,4,8", &[]).status()
            }
        };
        let good = status.is_ok_and(|s| s.success()) && is_whole(&world);
        wrong += usize::from(!good);
    }
    table.below(
        &format!("{KILLS} times kill -9 in 40 cells: sweeps with lost or double results"),
        wrong as f64,
        0.5,
        "",
        &wrong.to_string(),
    );
    table.tell("  cells kept over all rounds", kept.to_string(), &(40 * KILLS).to_string(), "");
    table.tell("  killed before the run had begun", before.to_string(), "", "");
}

fn kill_after(mut child: Child, delay: Duration) {
    std::thread::sleep(delay);
    // SIGKILL; it may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// Whether there are 40 results, each once.
fn is_whole(world: &World) -> bool {
    let run = world.runs().into_iter().find(|run| run.join("run.json").is_file());
    let Some(run) = run else { return false };
    let rows = |path: PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().filter(|line| line.contains(",SUCCESS,")).count()
    };
    let cells: std::collections::BTreeSet<(String, u64)> = measurements(&run)
        .iter()
        .map(|m| (m["id"].as_str().unwrap_or("").to_owned(), m["n_gpus"].as_u64().unwrap_or(0)))
        .collect();
    measurements(&run).len() == 40
        && cells.len() == 40
        && overlaps(&run) == 0
        && rows(world.root().join("perf.csv")) == 40
        && rows(run.join("perf.csv")) == 40
}
