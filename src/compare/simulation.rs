//! A glance at what `benches/compare` measures at length (seeded, no clock).

#[path = "../../benches/compare/world.rs"]
mod world;

use super::*;
use crate::regress::Direction;
use world::{Drift, Machine};

const RUNS: u64 = 100;

/// Verdicts on a candidate that takes `slower` times as long, and Executions on average.
fn simulate(machine: Machine, slower: f64, level: f64) -> (Vec<Outcome>, f64) {
    let criterion = Criterion { direction: Direction::Lower, min_effect: 0.02, level };
    let one = |seed| {
        let mut times = machine.times(seed);
        let measure = |candidate| if candidate { slower * times.next() } else { times.next() };
        criterion.decide(Order::new(seed, 0), 100, measure)
    };
    let (outcomes, pairs): (Vec<Outcome>, Vec<usize>) = (0..RUNS).map(one).unzip();
    (outcomes, 2.0 * pairs.iter().sum::<usize>() as f64 / RUNS as f64)
}

/// Machines that are quiet enough for 3 %.
fn quiet() -> impl Iterator<Item = Machine> {
    Machine::all().into_iter().filter(|m| m.noise <= 0.01)
}

#[test]
fn equal_sides_are_rarely_called_different() {
    let mut wrong = 0;
    for machine in quiet() {
        let (outcomes, _) = simulate(machine, 1.0, 0.05);
        wrong += outcomes.iter().filter(|o| **o != Outcome::Same).count();
    }
    // 1200 comparisons, of which 60 may be wrong at this level.
    assert!(wrong <= 12, "{wrong}");
}

#[test]
fn three_percent_are_found_whatever_drifts() {
    for machine in quiet() {
        let (outcomes, executions) = simulate(machine, 1.03, 0.01);
        let found = outcomes.iter().filter(|o| **o == Outcome::Slower).count();
        assert!(found >= 99, "{}: {found}", machine.name());
        let most = if machine.drift == Drift::Wave(20.0) { 30.0 } else { 26.0 };
        assert!(executions <= most, "{}: {executions}", machine.name());
    }
}
