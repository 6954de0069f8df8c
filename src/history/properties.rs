//! What must hold for any numbers.

use proptest::prelude::*;

use super::*;

/// A noisy series of up to five levels, as long as histories are.
fn histories() -> impl Strategy<Value = Vec<f64>> {
    let level = (50.0..200.0_f64, prop::collection::vec(-2.0..2.0_f64, 1..60));
    prop::collection::vec(level, 1..5).prop_map(|levels| {
        let values = levels.into_iter().flat_map(|(level, noise)| {
            noise.into_iter().map(move |share| level * (1.0 + share / 100.0))
        });
        values.collect()
    })
}

/// Any bit pattern, and the corners more often than chance would.
fn anything() -> impl Strategy<Value = f64> {
    let corners = [0.0, -0.0, f64::NAN, f64::INFINITY, f64::MIN, f64::MAX, 5e-324, 1.0];
    prop_oneof![prop::num::f64::ANY, prop::sample::select(corners.to_vec())]
}

fn indices(changes: &Changes) -> Vec<usize> {
    changes.points.iter().map(|p| p.index).collect()
}

proptest! {
    #[test]
    fn any_numbers_are_survived(series in prop::collection::vec(anything(), 0..120)) {
        let changes = change_points(&series);
        let skipped: Vec<usize> =
            (0..series.len()).filter(|i| !series[*i].is_finite()).collect();
        prop_assert_eq!(&changes.skipped, &skipped);
        let indices = indices(&changes);
        prop_assert!(indices.is_sorted_by(|a, b| a < b));
        for p in &changes.points {
            prop_assert!(series[p.index].is_finite() && p.index > 0);
            let change = p.change.unwrap_or_default();
            let numbers = [p.before, p.after, change, p.effect_size, p.standard_errors];
            prop_assert!(numbers.iter().all(|x| x.is_finite()), "{p:?}");
            prop_assert!(p.effect_size > 0.0 && p.standard_errors >= LEAST_STANDARD_ERRORS);
        }
    }

    /// The unit does not matter, nor that smaller is better. Seconds per item are the
    /// reciprocal of items per second; on a logarithmic scale both are the same series.
    #[test]
    fn unit_and_direction_do_not_matter(series in histories(), unit in 1e-6..1e6_f64) {
        let found = indices(&change_points(&series));
        let scaled: Vec<f64> = series.iter().map(|v| v * unit).collect();
        let inverse: Vec<f64> = series.iter().map(|v| unit / v).collect();
        let negated: Vec<f64> = series.iter().map(|v| v * -unit).collect();
        prop_assert_eq!(&indices(&change_points(&scaled)), &found);
        prop_assert_eq!(&indices(&change_points(&inverse)), &found);
        let linear = indices(&change_points(&negated));
        prop_assert_eq!(indices(&change_points(&scale(&negated, 2.0))), linear);
    }

    #[test]
    fn read_backwards_they_are_the_same(series in histories()) {
        let there = change_points(&series);
        let reversed: Vec<f64> = series.iter().rev().copied().collect();
        let back = change_points(&reversed);
        let mirrored: Vec<usize> =
            back.points.iter().rev().map(|p| series.len() - p.index).collect();
        prop_assert_eq!(indices(&there), mirrored);
        for (a, b) in there.points.iter().zip(back.points.iter().rev()) {
            prop_assert_eq!((a.before, a.after), (b.after, b.before));
        }
    }

    /// What is not finite only moves the indices.
    #[test]
    fn gaps_change_nothing(
        series in histories(), gaps in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let mut with_gaps: Vec<(Option<usize>, f64)> =
            series.iter().enumerate().map(|(i, v)| (Some(i), *v)).collect();
        for gap in gaps {
            with_gaps.insert(gap.index(with_gaps.len() + 1), (None, f64::NAN));
        }
        let values: Vec<f64> = with_gaps.iter().map(|(_, v)| *v).collect();
        let changes = change_points(&values);
        let original: Vec<usize> =
            changes.points.iter().filter_map(|p| with_gaps[p.index].0).collect();
        prop_assert_eq!(original, indices(&change_points(&series)));
        prop_assert_eq!(changes.skipped.len(), values.len() - series.len());
    }

    #[test]
    fn nothing_changes_in_a_constant_series(value in anything(), n in 0..200_usize) {
        prop_assert!(change_points(&vec![value; n]).points.is_empty());
    }

    /// A few values that are far off are no level, wherever they are and however far.
    #[test]
    fn a_dip_is_no_change(
        n in 30..300_usize, dip in prop::collection::vec(0.001..1e6_f64, 1..4),
        at in any::<prop::sample::Index>(),
    ) {
        let mut series: Vec<f64> = (0..n).map(|i| 100.0 + (i * 7 % 11) as f64 / 3.0).collect();
        let start = at.index(n - dip.len());
        series[start..start + dip.len()].copy_from_slice(&dip);
        prop_assert_eq!(indices(&change_points(&series)), Vec::<usize>::new());
    }
}

fn scale(series: &[f64], factor: f64) -> Vec<f64> {
    series.iter().map(|v| v * factor).collect()
}
