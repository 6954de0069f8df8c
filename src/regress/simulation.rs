//! What the rule costs and finds, measured on simulated runs (seeded, no clock).
//!
//! `MAD_SIMULATION_TRIALS=20000 cargo test --lib simulation -- --nocapture` prints the
//! table on the page of [`judge`](super::judge).

use super::*;

/// SplitMix64: small, seeded, good enough to simulate noise.
struct Rng(u64);

impl Rng {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // 53 random bits, shifted by half a step so that 0 never comes up.
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Box-Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// The noise of a simulated machine: throughput around 100.
#[derive(Clone, Copy)]
struct World {
    /// Coefficient of variation of one Execution.
    cv: f64,
    /// Share of Executions that are 15 % slow.
    slow: f64,
    /// Executions per run; a run's value is their median.
    executions: usize,
}

const QUIET: World = World { cv: 0.02, slow: 0.0, executions: 1 };
const HEAVY: World = World { slow: 0.03, ..QUIET };
const NOISY: World = World { cv: 0.05, ..QUIET };
const THREE: World = World { executions: 3, ..QUIET };

impl World {
    fn execution(&self, rng: &mut Rng, shift: f64) -> f64 {
        let slow = if rng.uniform() < self.slow { 0.85 } else { 1.0 };
        100.0 * shift * slow * (1.0 + self.cv * rng.normal())
    }

    fn run(&self, rng: &mut Rng, shift: f64) -> Vec<f64> {
        (0..self.executions).map(|_| self.execution(rng, shift)).collect()
    }
}

/// Shares of runs, 0 … 1.
#[derive(Debug)]
struct Rates {
    /// Suspected by one look.
    suspected: f64,
    /// Called regressed in the end.
    regressed: f64,
    /// Not called the same (or better): regressed or ambiguous.
    noticed: f64,
}

fn trials() -> usize {
    let wanted = std::env::var("MAD_SIMULATION_TRIALS").ok();
    wanted.and_then(|n| n.parse().ok()).unwrap_or(2000)
}

/// Accepts `history` runs, then judges one whose values are multiplied by `shift`.
fn simulate(world: World, history: usize, tolerance: f64, shift: f64) -> Rates {
    let policy = Policy { direction: Direction::Higher, tolerance, ..Policy::default() };
    let mut rng = Rng(history as u64 ^ tolerance.to_bits() ^ shift.to_bits() << 1);
    let (mut suspected, mut regressed, mut noticed) = (0, 0, 0);
    for _ in 0..trials() {
        let baseline: Vec<f64> = (0..history).map(|_| median(&world.run(&mut rng, 1.0))).collect();
        let mut step = Confirmation::start(&baseline, &world.run(&mut rng, shift), &policy);
        let verdict = loop {
            match step {
                Step::Done(verdict) => break verdict,
                Step::MeasureAgain { so_far, .. } => {
                    suspected += usize::from(so_far.asked() == 0);
                    step = so_far.measured(world.execution(&mut rng, shift));
                }
            }
        };
        regressed += usize::from(verdict.outcome == Outcome::Regressed);
        noticed += usize::from(matches!(verdict.outcome, Outcome::Regressed | Outcome::Ambiguous));
    }
    let share = |n: usize| n as f64 / trials() as f64;
    Rates { suspected: share(suspected), regressed: share(regressed), noticed: share(noticed) }
}

const HISTORIES: [usize; 5] = [1, 2, 5, 10, 30];

fn row(name: &str, rates: &[Rates], last: impl Fn(&Rates) -> f64) {
    let cells: Vec<String> = rates
        .iter()
        .map(|r| format!("{:.1} → {:.2}", 100.0 * r.suspected, 100.0 * last(r)))
        .collect();
    println!("/// | {name} | {} |", cells.join(" | "));
}

#[test]
fn false_alarms_of_unchanged_code() {
    for (name, world, tolerance, before, after) in [
        ("noise 2 %, tolerance 5 %", QUIET, 0.05, 0.01, 0.002),
        ("same, 3 % of runs 15 % slow", HEAVY, 0.05, 0.045, 0.003),
        ("noise 2 %, 3 Executions a run", THREE, 0.05, 0.005, 0.002),
        ("noise 5 %, tolerance 5 %", NOISY, 0.05, 0.06, 0.015),
        ("noise 2 %, tolerance 0", QUIET, 0.0, 0.03, 0.01),
        ("same, 3 % of runs 15 % slow", HEAVY, 0.0, 0.06, 0.015),
    ] {
        let rates = HISTORIES.map(|history| simulate(world, history, tolerance, 1.0));
        row(name, &rates, |r| r.regressed);
        for (rates, history) in rates.iter().zip(HISTORIES) {
            assert!(rates.suspected <= before, "{name}, {history} runs: {rates:?}");
            assert!(rates.regressed <= after, "{name}, {history} runs: {rates:?}");
        }
    }
}

#[test]
fn planted_slow_downs_are_found() {
    // The last two: the least share called regressed, and noticed, after five or more runs.
    for (name, world, shift, found, noticed) in [
        ("10 % slower, noise 2 %", QUIET, 0.90, 0.85, 0.98),
        ("10 % slower, 3 % of runs 15 % slow", HEAVY, 0.90, 0.78, 0.97),
        ("10 % slower, 3 Executions a run", THREE, 0.90, 0.95, 0.99),
        ("20 % slower, noise 2 %", QUIET, 0.80, 0.99, 0.99),
    ] {
        let rates = HISTORIES.map(|history| simulate(world, history, 0.05, shift));
        row(name, &rates, |r| r.regressed);
        row(&format!("{name}: not green"), &rates, |r| r.noticed);
        for (rates, history) in rates.iter().zip(HISTORIES) {
            assert!(rates.noticed >= 0.92, "{name}, {history} runs: {rates:?}");
            if history >= 5 {
                assert!(rates.regressed >= found, "{name}, {history} runs: {rates:?}");
                assert!(rates.noticed >= noticed, "{name}, {history} runs: {rates:?}");
            }
        }
    }
}
