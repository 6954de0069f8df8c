//! What must hold for any numbers.

use proptest::prelude::*;

use super::*;

/// Positive values around 100, with the noise and shifts that occur.
fn values(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(60.0..140.0_f64, count)
}

fn policies() -> impl Strategy<Value = Policy> {
    let tolerance = prop_oneof![Just(0.0), 0.0..0.3_f64];
    let floor = prop::option::of(0.0..20.0_f64);
    (tolerance, floor, 0.8..0.999_f64, 0..4_u32, pools()).prop_map(
        |(tolerance, floor, confidence, max_confirmations, pool)| Policy {
            pool,
            direction: Direction::Higher,
            tolerance,
            floor,
            confidence,
            max_confirmations,
            ..Policy::default()
        },
    )
}

/// Pools of quiet and noisy machines, and none.
fn pools() -> impl Strategy<Value = Pool> {
    let series = (prop::collection::vec(values(0..6), 0..30), 0.0..1.0_f64);
    series.prop_map(|(all, calm)| {
        let calmed = |v: Vec<f64>| v.iter().map(|x| 100.0 + calm * (x - 100.0)).collect();
        let direction = Direction::Higher;
        let all: Vec<Series> =
            all.into_iter().map(|v| Series { values: calmed(v), direction }).collect();
        Pool::of(&all)
    })
}

/// Any bit pattern, and the corners more often than chance would.
fn anything() -> impl Strategy<Value = f64> {
    let corners = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::MIN, f64::MAX, 5e-324, 1.0];
    prop_oneof![prop::num::f64::ANY, prop::sample::select(corners.to_vec())]
}

/// Greater is worse; a suspicion that is not confirmed yet ranks as the regression it may be.
fn badness(verdict: &Verdict) -> u8 {
    match verdict.outcome {
        Outcome::Improved => 0,
        Outcome::Same => 1,
        Outcome::Ambiguous if !verdict.needs_confirmation => 2,
        Outcome::Ambiguous | Outcome::Regressed => 3,
        Outcome::NoBaseline | Outcome::Invalid => panic!("{verdict:?}"),
    }
}

/// Feeds fresh values until the judgement stands; `None` when they run out.
fn settle(baseline: &[f64], first: &[f64], fresh: &[f64], policy: &Policy) -> Option<Verdict> {
    let mut step = Confirmation::start(baseline, first, policy);
    let mut fresh = fresh.iter();
    loop {
        match step {
            Step::Done(verdict) => return Some(verdict),
            Step::MeasureAgain { so_far, .. } => step = so_far.measured(*fresh.next()?),
        }
    }
}

proptest! {
    /// The unit does not matter. A power of two scales exactly, so not even rounding may.
    #[test]
    fn scale_invariant(
        baseline in values(1..12), current in values(1..4),
        policy in policies(), exponent in -60..60_i32,
    ) {
        let factor = 2.0_f64.powi(exponent);
        let scaled = |v: &[f64]| v.iter().map(|x| x * factor).collect::<Vec<_>>();
        let floor = policy.floor.map(|f| f * factor);
        let a = judge(&baseline, &current, &policy);
        let b = judge(&scaled(&baseline), &scaled(&current), &Policy { floor, ..policy });
        prop_assert_eq!(badness(&a), badness(&b));
        prop_assert_eq!(a.worse_by, b.worse_by);
        prop_assert_eq!(a.spread, b.spread);
    }

    /// Lower-is-better is higher-is-better seen from the other side of zero. (A reciprocal,
    /// seconds for items per second, is no exact mirror: 5 % fewer items per second are
    /// 5.3 % more seconds.)
    #[test]
    fn mirrored_by_negation(
        baseline in values(1..12), current in values(1..4), policy in policies(),
    ) {
        let negated = |v: &[f64]| v.iter().map(|x| -x).collect::<Vec<_>>();
        let a = judge(&baseline, &current, &policy);
        let lower = Policy { direction: Direction::Lower, ..policy };
        let b = judge(&negated(&baseline), &negated(&current), &lower);
        prop_assert_eq!(badness(&a), badness(&b));
        prop_assert_eq!(a.worse_by, b.worse_by);
        if let (Some((low, high)), Some((mirrored_high, mirrored_low))) = (a.interval, b.interval) {
            // Sums run the other way round: the last digit may differ.
            prop_assert!((low + mirrored_low).abs() < 1e-9 && (high + mirrored_high).abs() < 1e-9);
        }
    }

    #[test]
    fn order_does_not_matter(
        baseline in values(1..12), current in values(1..6), policy in policies(),
        seed in any::<prop::sample::Index>(),
    ) {
        let turned = |v: &[f64]| {
            let mut v = v.to_vec();
            let n = v.len();
            v.rotate_left(seed.index(n));
            v.swap(0, n - 1);
            v
        };
        let a = judge(&baseline, &current, &policy);
        prop_assert_eq!(a, judge(&turned(&baseline), &turned(&current), &policy));
    }

    #[test]
    fn worse_values_never_look_better(
        baseline in values(1..12), current in values(1..4), policy in policies(),
        loss in 0.0..80.0_f64,
    ) {
        let worse: Vec<f64> = current.iter().map(|x| x - loss).collect();
        let before = judge(&baseline, &current, &policy);
        prop_assert!(badness(&before) <= badness(&judge(&baseline, &worse, &policy)));
    }

    #[test]
    fn worse_fresh_values_never_look_better(
        baseline in values(1..12), first in values(1..4), policy in policies(),
        fresh in values(3..4), losses in prop::collection::vec(0.0..80.0_f64, 3),
    ) {
        let worse: Vec<f64> = fresh.iter().zip(&losses).map(|(x, loss)| x - loss).collect();
        let before = settle(&baseline, &first, &fresh, &policy).unwrap();
        let after = settle(&baseline, &first, &worse, &policy).unwrap();
        prop_assert!(badness(&before) <= badness(&after), "{before:?}\n{after:?}");
    }

    /// Unchanged code is never a regression: the same run again is the same.
    #[test]
    fn the_accepted_median_is_the_same(baseline in values(1..12), policy in policies()) {
        let verdict = judge(&baseline, &[median(&baseline)], &policy);
        prop_assert_eq!(verdict.outcome, Outcome::Same);
    }

    #[test]
    fn any_numbers_are_survived(
        baseline in prop::collection::vec(anything(), 0..12),
        current in prop::collection::vec(anything(), 0..4),
        fresh in prop::collection::vec(anything(), 0..4),
        tolerance in anything(), floor in prop::option::of(anything()), confidence in anything(),
        sane in any::<bool>(),
        direction in prop::sample::select(vec![
            Direction::Higher, Direction::Lower, Direction::Unknown,
        ]),
    ) {
        let policy = if sane {
            Policy { direction, ..Policy::default() }
        } else {
            let rest = Policy { max_confirmations: 2, ..Policy::default() };
            Policy { direction, tolerance, floor, confidence, ..rest }
        };
        let Some(verdict) = settle(&baseline, &current, &fresh, &policy) else { return Ok(()) };
        let numbers = [
            verdict.baseline_median, verdict.spread, verdict.change, verdict.worse_by,
            verdict.interval.map(|i| i.0), verdict.interval.map(|i| i.1),
        ];
        prop_assert!(numbers.iter().flatten().all(|x| x.is_finite()), "{verdict:?}");
        prop_assert!(!verdict.explanation.is_empty());
    }

    #[test]
    fn pools_of_any_numbers(
        all in prop::collection::vec(prop::collection::vec(anything(), 0..8), 0..8),
        sane in prop::collection::vec(values(0..6), 0..20),
    ) {
        let series = all.into_iter().chain(sane);
        let series: Vec<Series> =
            series.map(|values| Series { values, direction: Direction::Lower }).collect();
        let pool = Pool::of(&series);
        prop_assert!(pool.spread.is_none_or(|s| s.is_finite() && s > 0.0), "{pool:?}");
        prop_assert!(pool.weight.is_finite() && pool.weight >= 0.0, "{pool:?}");
        prop_assert!((0.0..1.0).contains(&pool.correlation), "{pool:?}");
        prop_assert!(pool.slow <= pool.runs, "{pool:?}");
    }

    #[test]
    fn direction_of_any_name(name in ".{0,40}") {
        prop_assert_eq!(infer(&name) == Direction::Unknown, inference_reason(&name).is_none());
    }
}
