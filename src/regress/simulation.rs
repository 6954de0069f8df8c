//! A glance at what `benches/detection` measures at length: the budget holds, planted
//! slow-downs are found, and few Executions are spent (seeded, no clock).

#[path = "../../benches/detection/world.rs"]
mod world;

use super::*;
use world::{Kind, Metric, Rng};

/// Judges `runs` runs of 100 checks each, whose times are multiplied by `shift`: how many
/// checks end red, as a share, and the Executions per check.
fn simulate(
    kind: Kind,
    cv: f64,
    history: usize,
    shift: f64,
    runs: usize,
    most: Option<u32>,
) -> (f64, f64) {
    let mut rng = Rng(history as u64 ^ cv.to_bits() ^ shift.to_bits() << 1);
    let (mut red, mut executions) = (0, 0);
    for _ in 0..runs {
        let mut metrics: Vec<(Metric, Vec<f64>)> = (0..100)
            .map(|_| {
                let mut metric = Metric::new(kind, cv, &mut rng);
                let values = (0..history).map(|_| metric.next(&mut rng)).collect();
                (metric, values)
            })
            .collect();
        let direction = Direction::Lower;
        let series: Vec<Series> =
            metrics.iter().map(|(_, v)| Series { values: v.clone(), direction }).collect();
        let mut policy = Policy { direction, pool: Pool::of(&series), ..Policy::default() };
        if let Some(most) = most {
            (policy.until_decided, policy.max_confirmations) = (true, most - 1);
        }
        for (metric, accepted) in &mut metrics {
            let first = shift * metric.next(&mut rng);
            let mut step = Confirmation::start(accepted, &[first], &policy);
            let verdict = loop {
                match step {
                    Step::Done(verdict) => break verdict,
                    Step::MeasureAgain { so_far, .. } => {
                        step = so_far.measured(shift * metric.next(&mut rng));
                    }
                }
            };
            red += usize::from(verdict.outcome == Outcome::Regressed);
            executions += verdict.current_n;
        }
    }
    let checks = (runs * 100) as f64;
    (f64::from(u32::try_from(red).unwrap()) / checks, executions as f64 / checks)
}

#[test]
fn unchanged_code_stays_green() {
    for kind in Kind::ALL {
        for (cv, history) in [(0.01, 5), (0.05, 5), (0.01, 2), (0.02, 10)] {
            let (red, executions) = simulate(kind, cv, history, 1.0, 20, None);
            // One in 2000 would be fifteen times the budget: there is luck in 2000 checks.
            assert!(red <= 0.0005, "{kind:?} {cv} {history}: {red}");
            assert!(executions < 1.1, "{kind:?} {cv} {history}: {executions}");
        }
    }
}

#[test]
fn planted_slow_downs_are_found() {
    for (kind, cv, history, shift, found, spent) in [
        (Kind::Normal, 0.01, 5, 1.05, 0.9, 3.3),
        (Kind::LogNormal, 0.01, 10, 1.05, 0.95, 2.5),
        (Kind::SlowOutliers, 0.01, 10, 1.05, 0.9, 4.5),
        (Kind::Correlated, 0.005, 5, 1.05, 0.95, 3.3),
        (Kind::Normal, 0.02, 10, 1.10, 0.95, 2.7),
        (Kind::Normal, 0.005, 2, 1.10, 0.95, 3.0),
    ] {
        let (red, executions) = simulate(kind, cv, history, shift, 5, None);
        assert!(red >= found, "{kind:?} {cv} {history} {shift}: {red}");
        assert!(executions <= spent, "{kind:?} {cv} {history} {shift}: {executions}");
    }
}

#[test]
fn going_on_until_it_is_decided_costs_no_false_alarms_and_finds_more() {
    for kind in Kind::ALL {
        for (cv, history) in [(0.01, 5), (0.02, 10)] {
            let (red, executions) = simulate(kind, cv, history, 1.0, 10, Some(20));
            assert!(red <= 0.0005, "{kind:?} {cv} {history}: {red}");
            assert!(executions < 2.5, "{kind:?} {cv} {history}: {executions}");
        }
    }
    let (without, _) = simulate(Kind::Normal, 0.02, 10, 1.06, 5, None);
    let (with, _) = simulate(Kind::Normal, 0.02, 10, 1.06, 5, Some(20));
    assert!(with > without + 0.1, "{with} {without}");
}
