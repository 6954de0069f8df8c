//! The trigamma function and its inverse, which moderated variances need.

/// The derivative of digamma, for positive `x`.
pub(super) fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    // Up to where the asymptotic series is good to twelve digits.
    while x < 12.0 {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    sum + 1.0 / x
        + y / 2.0
        + y / x * (1.0 / 6.0 - y * (1.0 / 30.0 - y * (1.0 / 42.0 - y * (1.0 / 30.0))))
}

/// The `x` with `trigamma(x) = y`, for positive `y`.
pub(super) fn trigamma_inverse(y: f64) -> f64 {
    // Between the two asymptotes 1/x (large x) and 1/x² (small x); trigamma falls.
    let (mut low, mut high) = (f64::min(1.0 / y, 1.0 / y.sqrt()), 1.0 / y + 1.0 / y.sqrt() + 1.0);
    low /= 2.0;
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if trigamma(middle) > y {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let sixth = std::f64::consts::PI.powi(2) / 6.0;
        assert!((trigamma(1.0) - sixth).abs() < 1e-11, "{}", trigamma(1.0));
        assert!((trigamma(0.5) - 3.0 * sixth).abs() < 1e-11);
        for x in [1e-3, 0.1, 0.5, 1.0, 3.7, 50.0, 1e4] {
            let back = trigamma_inverse(trigamma(x));
            assert!((back / x - 1.0).abs() < 1e-6, "{x} → {back}");
        }
    }
}
