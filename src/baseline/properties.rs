//! What holds of levels and windows, whatever is accepted in whatever order.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::prelude::*;

use super::accept::accept;
use super::*;
use crate::regress::{Direction, Policy, WINDOW, median};

const TOLERANCE: f64 = 0.05;

fn policy(_: &str, _: &str) -> Policy {
    Policy { direction: Direction::Higher, tolerance: TOLERANCE, ..Policy::default() }
}

fn rules(agree: usize) -> Rules<'static> {
    Rules { agree, force: false, new_level: &|_, _| None, policy: &policy }
}

fn run(id: usize, value: f64, why: &str) -> Accepted {
    let metric = AcceptedMetric {
        metric: "tok/s".to_owned(),
        median: value,
        values: vec![value],
        direction: Direction::Higher,
    };
    Accepted {
        level: 0,
        run: format!("r{id}"),
        at: String::new(),
        by: "ada".to_owned(),
        why: why.to_owned(),
        forced: false,
        objection: None,
        provenance: BTreeMap::new(),
        metrics: BTreeMap::from([("tok/s".to_owned(), metric)]),
    }
}

fn nothing(window: usize) -> Baseline {
    let key = Key {
        machine_class: "box".to_owned(),
        model: "m".to_owned(),
        n_gpus: 0,
        precision: String::new(),
    };
    Baseline::new(&key, window)
}

/// Accepts the runs one after the other.
fn each(window: usize, values: &[f64]) -> (Baseline, Vec<Acceptance>) {
    let mut baseline = nothing(window);
    let mut done = Vec::new();
    for (i, value) in values.iter().enumerate() {
        let one = run(i, *value, &format!("because {i}"));
        let acceptance = accept(Path::new("f"), baseline, &[one], &rules(1)).unwrap();
        baseline = acceptance.baseline.clone();
        done.push(acceptance);
    }
    (baseline, done)
}

/// Numbers near one of a few levels.
fn values() -> impl Strategy<Value = Vec<f64>> {
    let near = prop::sample::select(vec![50.0, 100.0, 104.0, 200.0]);
    prop::collection::vec((near, -0.02..0.02_f64), 1..80)
        .prop_map(|values| values.into_iter().map(|(v, noise)| v * (1.0 + noise)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_is_sound_and_bounded_and_its_levels_say_why(
        values in values(), window in 2_usize..20,
    ) {
        let (baseline, done) = each(window, &values);
        prop_assert_eq!(baseline.inconsistency(), None);
        let newest = baseline.accepted.last().map(|a| a.run.clone());
        prop_assert_eq!(newest, Some(format!("r{}", values.len() - 1)));
        let levels = baseline.levels();
        prop_assert!(levels.len() <= 20);
        prop_assert!(levels.iter().all(|l| l.runs.len() <= window.max(WINDOW) + 1));
        let forgotten: usize = done.iter().map(|d| d.forgotten).sum();
        prop_assert_eq!(baseline.accepted.len() + forgotten, values.len());
        // The run that started a level stays, with its reason.
        let starts = done.iter().enumerate().filter(|(_, d)| d.created || !d.new_level.is_empty());
        let starts: Vec<String> = starts.map(|(i, _)| format!("because {i}")).collect();
        let kept: Vec<String> = levels.iter().map(|l| l.runs[0].why.clone()).collect();
        prop_assert_eq!(&starts[starts.len() - kept.len()..], &kept[..]);
    }

    #[test]
    fn the_window_is_the_newest_runs_of_the_newest_level(
        values in values(), window in 2_usize..20,
    ) {
        let (baseline, done) = each(window, &values);
        let start = done.iter().rposition(|d| d.created || !d.new_level.is_empty()).unwrap();
        let level = &values[start..];
        let expected = &level[level.len().saturating_sub(window)..];
        prop_assert_eq!(baseline.window("tok/s"), expected);
    }

    #[test]
    fn what_is_within_the_tolerance_joins_the_level(
        values in values(), window in 2_usize..20, share in -0.99..0.99_f64,
    ) {
        let (baseline, _) = each(window, &values);
        let center = median(&baseline.window("tok/s"));
        let level = baseline.current_level();
        // Without a reason, since it takes none.
        let one = run(values.len(), center * (1.0 + share * TOLERANCE), "");
        let done = accept(Path::new("f"), baseline, &[one], &rules(1)).unwrap();
        prop_assert!(done.new_level.is_empty());
        prop_assert_eq!(done.baseline.current_level(), level);
    }

    #[test]
    fn what_is_far_away_takes_a_reason(values in values(), far in prop::bool::ANY) {
        let (baseline, _) = each(WINDOW, &values);
        let center = median(&baseline.window("tok/s"));
        let value = if far { center * 3.0 } else { center / 3.0 };
        let level = baseline.current_level();
        let silent = accept(
            Path::new("f"),
            baseline.clone(),
            &[run(values.len(), value, " ")],
            &rules(1),
        );
        let asked = matches!(silent, Err(BaselineError::WhyMissing { .. }));
        prop_assert!(asked);
        let one = run(values.len(), value, "a reason");
        let done = accept(Path::new("f"), baseline, &[one], &rules(1)).unwrap();
        prop_assert_eq!(done.baseline.current_level(), level + 1);
        prop_assert_eq!(done.baseline.window("tok/s"), [value]);
    }

    #[test]
    fn a_first_level_is_made_of_runs_that_agree_or_tells_that_it_is_not(
        values in prop::collection::vec(90.0..110.0_f64, 1..6), agree in 1_usize..5,
        force in prop::bool::ANY,
    ) {
        let runs: Vec<Accepted> =
            values.iter().enumerate().map(|(i, v)| run(i, *v, "a reason")).collect();
        let center = median(&values);
        let near = |v: &f64| (v - center).abs() <= TOLERANCE * center;
        let good = values.len() >= agree && values.iter().all(near);
        let rules = Rules { force, ..rules(agree) };
        match accept(Path::new("f"), nothing(WINDOW), &runs, &rules) {
            Ok(done) => {
                prop_assert!(good || force);
                prop_assert_eq!(done.objection.is_none(), good);
                let told = |a: &Accepted| a.forced != good && a.objection.is_none() == good;
                prop_assert!(done.baseline.accepted.iter().all(told));
                prop_assert_eq!(done.baseline.current_level(), 1);
            }
            Err(e) => prop_assert!(!good && !force, "{e}"),
        }
    }
}
