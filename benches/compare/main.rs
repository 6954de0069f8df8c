//! What `mad compare` finds, how often it is wrong, and what that takes.
//!
//! First simulated machines, seeded. Then this one: an entry of the shipped catalog with a
//! real slow-down of 3 % planted in one side, and with none, in turn. Whatever else the machine
//! does meanwhile is the noise and the drift; how much that was is printed.
//!
//! `MAD_BENCH_TRIES` is how often each is tried (default 20; 0 leaves it at the simulation).

mod measured;
mod world;

use std::process::ExitCode;

use mad_harness::compare::{Criterion, Order, Outcome};
use mad_harness::regress::Direction;
use world::Machine;

/// Comparisons per cell of the table.
const RUNS: u64 = 2000;
/// Share of comparisons of equal sides that may call them different.
const FALSE_ALARMS: f64 = 0.01;

fn main() -> ExitCode {
    // `cargo test --benches` only wants to know that it starts.
    if !std::env::args().any(|a| a == "--bench") {
        return ExitCode::SUCCESS;
    }
    let mut missed = simulated();
    let tries = std::env::var("MAD_BENCH_TRIES").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    if tries > 0 {
        missed.extend(measured::measured(tries));
    }
    for line in &missed {
        println!("missed: {line}");
    }
    match missed.is_empty() {
        true => {
            println!("every wanted figure is met");
            ExitCode::SUCCESS
        }
        false => ExitCode::FAILURE,
    }
}

/// The table of simulated machines; what was wanted and is not so.
fn simulated() -> Vec<String> {
    println!("Simulated, smallest effect 2 %, at most 200 executions per side. In percent.\n");
    println!(
        "| machine | equal: called different | same | undecided | executions | \
         3 % slower: found | called faster or same | executions |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let mut missed = Vec::new();
    for machine in Machine::all() {
        let equal = Tally::of(machine, 1.0);
        let slower = Tally::of(machine, 1.03);
        println!(
            "| {} | {:.2} | {:.1} | {:.1} | {:.0} | {:.1} | {:.2} | {:.0} |",
            machine.name(),
            equal.share(&[Outcome::Slower, Outcome::Faster]),
            equal.share(&[Outcome::Same]),
            equal.share(&[Outcome::Undecided]),
            equal.executions,
            slower.share(&[Outcome::Slower]),
            slower.share(&[Outcome::Faster, Outcome::Same]),
            slower.executions,
        );
        let wrong = equal.share(&[Outcome::Slower, Outcome::Faster]);
        // Twice the standard error of what is wanted.
        let most = FALSE_ALARMS + 2.0 * (FALSE_ALARMS / RUNS as f64).sqrt();
        if wrong > 100.0 * most {
            missed.push(format!("{}: {wrong:.2} % of equal sides differ", machine.name()));
        }
        if machine.noise <= 0.02 && slower.share(&[Outcome::Slower]) < 95.0 {
            missed.push(format!("{}: 3 % is not found", machine.name()));
        }
    }
    println!();
    missed
}

struct Tally {
    outcomes: Vec<Outcome>,
    executions: f64,
}

impl Tally {
    fn of(machine: Machine, slower: f64) -> Tally {
        let criterion =
            Criterion { direction: Direction::Lower, min_effect: 0.02, level: FALSE_ALARMS };
        let one = |seed| {
            let mut times = machine.times(seed);
            let measure = |candidate| if candidate { slower * times.next() } else { times.next() };
            criterion.decide(Order::new(seed, 0), 200, measure)
        };
        let (outcomes, pairs): (Vec<Outcome>, Vec<usize>) = (0..RUNS).map(one).unzip();
        Tally { outcomes, executions: 2.0 * pairs.iter().sum::<usize>() as f64 / RUNS as f64 }
    }

    fn share(&self, wanted: &[Outcome]) -> f64 {
        let hits = self.outcomes.iter().filter(|o| wanted.contains(o)).count();
        100.0 * hits as f64 / self.outcomes.len() as f64
    }
}
