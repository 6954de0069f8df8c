//! How often the gate cries wolf, what it finds, and what that costs in Executions, next
//! to the rules of other tools, on simulated machines.
//!
//! `cargo bench --bench detection` prints the tables of docs/verdicts.md and ends with 1
//! if a wanted figure is missed. `MAD_BENCH_RUNS` sets the simulated runs per cell.

mod peers;
mod world;

use std::process::ExitCode;
use std::thread;

use mad_harness::regress::{
    Confirmation, Direction, Outcome, Policy, Pool, Series, Step, WINDOW, median,
};
use peers::Peer;
use world::{Kind, Metric, Rng};

/// Checks of one simulated run.
const CHECKS: usize = 300;
/// Metrics that the pool is made of, as `mad` reads that many.
const POOLED: usize = 256;
const CVS: [f64; 5] = [0.005, 0.01, 0.02, 0.05, MIXED];
/// Stands for metrics of very different noise, from 0.5 to 5 %.
const MIXED: f64 = 0.0;
const HISTORIES: [usize; 4] = [2, 5, 10, 30];
const SLOWER: [f64; 4] = [0.02, 0.03, 0.05, 0.10];

/// One cell of the table: a machine, and how many runs are accepted.
#[derive(Clone, Copy, Debug)]
struct Cell {
    kind: Kind,
    cv: f64,
    history: usize,
}

/// Counts of one gate in one cell and for one slow-down.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    runs: usize,
    red_runs: usize,
    checks: usize,
    red: usize,
    executions: usize,
}

impl Tally {
    fn red_runs(&self) -> f64 {
        self.red_runs as f64 / self.runs as f64
    }

    fn red(&self) -> f64 {
        self.red as f64 / self.checks as f64
    }

    fn executions(&self) -> f64 {
        self.executions as f64 / self.checks as f64
    }
}

impl Cell {
    fn name(self) -> String {
        let kind = match self.kind {
            Kind::Normal => "normal",
            Kind::LogNormal => "log-normal",
            Kind::SlowOutliers => "3 % of runs slow,",
            Kind::Correlated => "AR(1) 0.5,",
        };
        match self.cv {
            MIXED => format!("{kind} 0.5 to 5 %"),
            cv => format!("{kind} {} %", 100.0 * cv),
        }
    }
}

/// Ours first, then the peers.
struct Results {
    cell: Cell,
    unchanged: Vec<Tally>,
    slower: [Vec<Tally>; SLOWER.len()],
}

fn runs() -> usize {
    let wanted = std::env::var("MAD_BENCH_RUNS").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(2000)
}

/// One whole run of unchanged or slower code.
fn run(cell: Cell, shift: f64, checks: usize, rng: &mut Rng, tallies: &mut [Tally]) {
    let mut metrics: Vec<(Metric, Vec<f64>)> = (0..CHECKS.max(checks))
        .map(|_| {
            let cv = if cell.cv == MIXED { 0.005 * 10_f64.powf(rng.uniform()) } else { cell.cv };
            let mut metric = Metric::new(cell.kind, cv, rng);
            let history = (0..cell.history).map(|_| metric.next(rng)).collect();
            (metric, history)
        })
        .collect();
    let window = |history: &[f64]| history[history.len().saturating_sub(WINDOW)..].to_vec();
    let series: Vec<Series> = metrics[..POOLED]
        .iter()
        .map(|(_, h)| Series { values: window(h), direction: Direction::Lower })
        .collect();
    let policy =
        Policy { direction: Direction::Lower, pool: Pool::of(&series), ..Policy::default() };
    let mut red = vec![0; tallies.len()];
    for (metric, history) in &mut metrics[..checks] {
        let current = shift * metric.next(rng);
        for (peer, red) in Peer::ALL.iter().zip(&mut red[1..]) {
            *red += usize::from(peer.is_red(history, current, rng));
        }
        let (regressed, executions) =
            judge(&window(history), current, &policy, || shift * metric.next(rng));
        red[0] += usize::from(regressed);
        tallies[0].executions += executions;
    }
    for (tally, red) in tallies.iter_mut().zip(red) {
        tally.runs += 1;
        tally.red_runs += usize::from(red > 0);
        tally.checks += checks;
        tally.red += red;
    }
}

/// Whether the gate calls it regressed, and how many Executions that took.
fn judge(
    baseline: &[f64],
    first: f64,
    policy: &Policy,
    mut measure: impl FnMut() -> f64,
) -> (bool, usize) {
    // What is not worse than the tolerance is the same: no need to compute why.
    if first <= median(baseline) * (1.0 + policy.tolerance) {
        return (false, 1);
    }
    let mut step = Confirmation::start(baseline, &[first], policy);
    loop {
        match step {
            Step::Done(verdict) => {
                return (verdict.outcome == Outcome::Regressed, 1 + verdict.fresh.len());
            }
            Step::MeasureAgain { so_far, .. } => step = so_far.measured(measure()),
        }
    }
}

fn simulate(cell: Cell, runs: usize) -> Results {
    let seed = cell.history as u64 ^ cell.cv.to_bits() ^ (cell.kind as u64) << 60;
    let mut rng = Rng(seed);
    let blank = || vec![Tally::default(); 1 + Peer::ALL.len()];
    let mut unchanged = blank();
    for _ in 0..runs {
        run(cell, 1.0, CHECKS, &mut rng, &mut unchanged);
    }
    let slower = SLOWER.map(|by| {
        let mut tallies = blank();
        for _ in 0..runs.div_ceil(30) {
            run(cell, 1.0 + by, 100, &mut rng, &mut tallies);
        }
        tallies
    });
    Results { cell, unchanged, slower }
}

/// All cells, on two threads.
fn simulate_all() -> Vec<Results> {
    let cells: Vec<Cell> = Kind::ALL
        .iter()
        .flat_map(|&kind| CVS.map(|cv| (kind, cv)))
        .flat_map(|(kind, cv)| HISTORIES.map(|history| Cell { kind, cv, history }))
        .collect();
    let only = std::env::var("MAD_BENCH_ONLY").unwrap_or_default();
    let cells: Vec<Cell> = cells.into_iter().filter(|c| format!("{c:?}").contains(&only)).collect();
    let (even, odd): (Vec<_>, Vec<_>) = cells.iter().enumerate().partition(|(i, _)| i % 2 == 0);
    thread::scope(|scope| {
        let work = |cells: Vec<(usize, &Cell)>| {
            let cells: Vec<(usize, Cell)> = cells.into_iter().map(|(i, c)| (i, *c)).collect();
            scope.spawn(move || {
                cells.into_iter().map(|(i, c)| (i, simulate(c, runs()))).collect::<Vec<_>>()
            })
        };
        let threads = [work(even), work(odd)];
        let mut all: Vec<(usize, Results)> =
            threads.into_iter().flat_map(|t| t.join().unwrap_or_default()).collect();
        all.sort_by_key(|(i, _)| *i);
        all.into_iter().map(|(_, results)| results).collect()
    })
}

fn percent(share: f64) -> String {
    format!("{:.2}", 100.0 * share)
}

fn print_ours(all: &[Results]) {
    println!("\nThe gate: unchanged code, then slower code. In percent.\n");
    println!(
        "| noise | runs accepted | red checks | red runs of {CHECKS} | executions | \
         2 % found | 3 % | 5 % | 10 % | executions at 5 % |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for r in all {
        let (name, history) = (r.cell.name(), r.cell.history);
        let ours = &r.unchanged[0];
        let found: Vec<String> = r.slower.iter().map(|t| percent(t[0].red())).collect();
        println!(
            "| {name} | {history} | {:.4} | {} | {:.3} | {} | {:.2} |",
            100.0 * ours.red(),
            percent(ours.red_runs()),
            ours.executions(),
            found.join(" | "),
            r.slower[2][0].executions(),
        );
    }
}

fn print_peers(all: &[Results]) {
    println!(
        "\nRules of others: red runs of {CHECKS} when nothing changed / 5 % found. In percent.\n"
    );
    let names: Vec<&str> = Peer::ALL.iter().map(|p| p.name()).collect();
    println!("| noise | runs accepted | mad | {} |", names.join(" | "));
    println!("|---|---|---|{}", "---|".repeat(names.len()));
    for r in all {
        let cells: Vec<String> = (r.unchanged.iter().zip(&r.slower[2]))
            .map(|(u, s)| format!("{:.1} / {:.0}", 100.0 * u.red_runs(), 100.0 * s.red()))
            .collect();
        println!("| {} | {} | {} |", r.cell.name(), r.cell.history, cells.join(" | "));
    }
}

/// What was wanted and is not so.
fn missed(all: &[Results]) -> Vec<String> {
    let mut missed = Vec::new();
    for r in all.iter().filter(|r| r.cell.history >= 5) {
        let Cell { kind, cv, history } = r.cell;
        let place = format!("{}, {history} runs", r.cell.name());
        let (ours, found) = (&r.unchanged[0], &r.slower[2][0]);
        // The pool reckons with one spread per metric as well as it can.
        let budget = if cv == MIXED { 0.02 } else { 0.01 };
        if ours.red_runs() > budget {
            missed.push(format!(
                "{place}: {} % red runs, at most 1 wanted",
                percent(ours.red_runs())
            ));
        }
        // Slow runs cost confirmations. Correlated runs hold less than their number says: a
        // gate that knew their noise exactly would, within the budget, find about 85 % with
        // two executions and five accepted runs. Both have bounds of their own, which keep
        // what is reached.
        let quiet = cv != MIXED && cv <= 0.01;
        let (least, most) = match kind {
            Kind::Normal | Kind::LogNormal => (0.95, 2.5),
            Kind::SlowOutliers => (0.90, 4.5),
            Kind::Correlated => (0.50, 4.0),
        };
        if quiet && found.red() < least {
            let least = 100.0 * least;
            missed
                .push(format!("{place}: {} % of 5 % found, {least} wanted", percent(found.red())));
        }
        if quiet && found.executions() > most {
            missed.push(format!("{place}: {:.2} executions, {most} wanted", found.executions()));
        }
        for (i, peer) in Peer::ALL.iter().enumerate() {
            let (quiet, finds) = (&r.unchanged[i + 1], &r.slower[2][i + 1]);
            if quiet.red_runs() < ours.red_runs() && finds.red() > found.red() {
                missed.push(format!("{place}: {} is better on both axes", peer.name()));
            }
        }
    }
    missed
}

fn main() -> ExitCode {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|a| a == "--bench") {
        return ExitCode::SUCCESS;
    }
    let all = simulate_all();
    print_ours(&all);
    print_peers(&all);
    let missed = missed(&all);
    println!();
    for line in &missed {
        println!("missed: {line}");
    }
    if missed.is_empty() {
        println!("every wanted figure is met");
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
