//! What the benches share: programs to run, repetitions, and the table at the end.
#![allow(dead_code, unreachable_pub, reason = "shared: no bench needs all of it")]

pub mod catalog;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The program under test, built as `cargo install` builds it.
pub const MAD: &str = env!("CARGO_BIN_EXE_mad");

/// `program` in `dir`, with nothing of the caller's environment that steers the harness,
/// and with leases of its own: others on this machine must not make it wait.
pub fn command(program: impl AsRef<std::ffi::OsStr>, dir: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["MAD_", "NEXTEST", "CARGO", "RUST"].iter().any(|p| name.starts_with(p)) {
            command.env_remove(name);
        }
    }
    command.current_dir(dir).env("MAD_LEASE_DIR", dir.join("leases")).stdin(Stdio::null());
    command
}

/// The program of another bench target of this package, built if need be.
pub fn target(name: &str) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let built = Command::new(cargo)
        .args(["bench", "--no-run", "--message-format=json", "--bench", name])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo starts");
    let text = String::from_utf8_lossy(&built.stdout);
    let messages = text.lines().filter_map(|l| serde_json::from_str(l).ok());
    let mut programs = messages.filter_map(|m: serde_json::Value| {
        let ours = m["target"]["name"] == name;
        ours.then(|| m["executable"].as_str().map(PathBuf::from)).flatten()
    });
    programs.next_back().expect("cargo names the program it built")
}

/// How long the repetitions of one thing took.
#[derive(Debug)]
pub struct Times(Vec<Duration>);

impl Times {
    pub fn new(mut all: Vec<Duration>) -> Times {
        all.sort_unstable();
        Times(all)
    }

    /// The repetition that others disturbed least, in seconds.
    pub fn best(&self) -> f64 {
        self.0[0].as_secs_f64()
    }

    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2].as_secs_f64()
    }

    pub fn text(&self) -> String {
        format!("{:.1} ms (median {:.1})", self.best() * 1e3, self.median() * 1e3)
    }
}

/// Runs all commands in turn, `rounds` times after one round that does not count.
/// In turn, so that whatever else the machine does disturbs all of them alike.
pub fn in_turn<const N: usize>(rounds: usize, commands: &mut [Command; N]) -> [Times; N] {
    let mut all: [Vec<Duration>; N] = std::array::from_fn(|_| Vec::with_capacity(rounds));
    for round in 0..=rounds {
        for (command, times) in commands.iter_mut().zip(&mut all) {
            let took = time(command);
            if round > 0 {
                times.push(took);
            }
        }
    }
    all.map(Times::new)
}

fn time(command: &mut Command) -> Duration {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let clock = Instant::now();
    let status = command.status().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let took = clock.elapsed();
    assert!(status.success(), "{command:?}: {status}");
    took
}

/// How long `body` took.
pub fn timed<T>(body: impl FnOnce() -> T) -> (T, Duration) {
    let clock = Instant::now();
    let result = body();
    (result, clock.elapsed())
}

/// The result of a bench: what was measured, and what it must not exceed.
#[derive(Default)]
pub struct Table {
    rows: Vec<[String; 6]>,
    missed: bool,
}

impl Table {
    /// A figure that is only told.
    pub fn tell(&mut self, what: &str, ours: String, peer: &str, ratio: &str) {
        self.row([what, &ours, peer, ratio, "", ""]);
    }

    /// A figure that must be below `limit`.
    pub fn below(&mut self, what: &str, ours: f64, limit: f64, unit: &str, text: &str) {
        let wanted = format!("< {limit} {unit}");
        self.judge([what, text, "", "", &wanted], ours < limit);
    }

    /// A ratio to a peer that must be at least (`least`) or at most `limit`.
    pub fn ratio(
        &mut self,
        what: &str,
        ours: &str,
        peer: &str,
        ratio: f64,
        (least, limit): (bool, f64),
    ) {
        let sign = if least { "≥" } else { "≤" };
        let ok = if least { ratio >= limit } else { ratio <= limit };
        let wanted = format!("{sign} {limit:.2}×");
        self.judge([what, ours, peer, &format!("{ratio:.2}×"), &wanted], ok);
    }

    fn judge(&mut self, [what, ours, peer, ratio, wanted]: [&str; 5], ok: bool) {
        self.missed |= !ok;
        self.row([what, ours, peer, ratio, wanted, if ok { "ok" } else { "MISSED" }]);
    }

    fn row(&mut self, cells: [&str; 6]) {
        self.rows.push(cells.map(str::to_owned));
    }

    /// Prints the table; exit status 1 if a bound was missed.
    pub fn finish(mut self, title: &str) -> ExitCode {
        let titles = ["what", "ours", "peer", "ratio", "wanted", "ok?"];
        self.rows.insert(0, titles.map(str::to_owned));
        let widths: [usize; 6] = std::array::from_fn(|i| {
            self.rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0)
        });
        let mut text = format!("\n{title}\n");
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(widths).map(|(c, w)| format!("{c:w$}")).collect();
            let _ = writeln!(text, "  {}", cells.join(" | ").trim_end());
        }
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        let load = load.split(' ').next().unwrap_or("?");
        print!("{text}  ({cpus} CPUs, load {load} at the end)\n\n");
        ExitCode::from(u8::from(self.missed))
    }
}
