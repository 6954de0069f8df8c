//! The piecewise constant function that fits a series best, at a price per change.

/// The starts, but for the first, of the segments that minimise the sum of squared distances
/// from the segment means plus `penalty` per change. Values are finite; ascending indices.
///
/// The minimum is exact: optimal partitioning (Jackson et al., "An algorithm for optimal
/// partitioning of data on an interval", 2005) with the functional pruning of FPOP
/// (Maidstone, Hocking, Rigaill, Fearnhead, "On optimal multiple changepoint algorithms for
/// large data", 2017). PELT (Killick, Fearnhead, Eckley, 2012) finds the same segments, but
/// only saves time where changes are many: on a series without one it is quadratic.
pub(super) fn segment_starts(values: &[f64], penalty: f64) -> Vec<usize> {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low >= high {
        return Vec::new();
    }
    // For each level the last segment could have: where it would best have started. Every
    // value adds its square, and a start that is best for no level can never be again.
    let mut pieces = vec![Piece::new(low, high, 0, 0.0)];
    let mut kept = Vec::new();
    let mut start_of_last = vec![0; values.len()];
    for (i, value) in values.iter().enumerate() {
        pieces.iter_mut().for_each(|piece| piece.add(*value));
        let best = pieces.iter().min_by(|a, b| a.least_cost().total_cmp(&b.least_cost()));
        let Some(best) = best else { break };
        start_of_last[i] = best.start;
        let fresh = Piece::new(low, high, i + 1, best.least_cost() + penalty);
        kept.clear();
        for piece in pieces.drain(..) {
            piece.keep_below(&fresh, &mut kept);
        }
        std::mem::swap(&mut pieces, &mut kept);
    }
    let mut starts = Vec::new();
    let mut end = values.len();
    while end > 0 {
        end = start_of_last[end - 1];
        starts.push(end);
    }
    starts.pop();
    starts.reverse();
    starts
}

/// Levels of the last segment for which one start of it is best, and the cost at each:
/// `offset + count · (level − mean)²`.
#[derive(Debug, Clone, Copy)]
struct Piece {
    low: f64,
    high: f64,
    start: usize,
    count: f64,
    mean: f64,
    offset: f64,
}

impl Piece {
    /// A segment without values, after everything before it cost `offset`.
    fn new(low: f64, high: f64, start: usize, offset: f64) -> Self {
        Self { low, high, start, count: 0.0, mean: 0.0, offset }
    }

    /// Updated as Welford does, so that no large squares cancel.
    fn add(&mut self, value: f64) {
        let distance = value - self.mean;
        let count = self.count + 1.0;
        self.offset += distance * distance * self.count / count;
        self.mean += distance / count;
        self.count = count;
    }

    fn least_cost(&self) -> f64 {
        let distance = self.mean.clamp(self.low, self.high) - self.mean;
        self.offset + self.count * distance * distance
    }

    /// Appends what remains of this piece where it costs no more than the constant of the
    /// `fresh` one, and `fresh` where it does.
    fn keep_below(self, fresh: &Piece, pieces: &mut Vec<Piece>) {
        // NaN, which every comparison below takes for "nowhere", if it is above everywhere.
        let reach = ((fresh.offset - self.offset) / self.count).sqrt();
        let from = (self.mean - reach).max(self.low);
        let to = (self.mean + reach).min(self.high);
        if reach.is_nan() || from >= to {
            return fresh.cover(self.low, self.high, pieces);
        }
        fresh.cover(self.low, from, pieces);
        pieces.push(Piece { low: from, high: to, ..self });
        fresh.cover(to, self.high, pieces);
    }

    /// Appends this piece for the levels from `low` to `high`, joined to one that ends there.
    fn cover(&self, low: f64, high: f64, pieces: &mut Vec<Piece>) {
        match pieces.last_mut() {
            _ if low >= high => {}
            Some(last) if last.start == self.start => last.high = high,
            _ => pieces.push(Piece { low, high, ..*self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(values: &[f64], starts: &[usize], penalty: f64) -> f64 {
        let ends = starts.iter().copied().chain([values.len()]);
        let mut start = 0;
        let mut sum = penalty * starts.len() as f64;
        for end in ends {
            let segment = &values[start..end];
            let mean = segment.iter().sum::<f64>() / segment.len() as f64;
            sum += segment.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
            start = end;
        }
        sum
    }

    #[test]
    fn a_step_is_split_where_it_is() {
        let series = [0.0, 1.0, 0.0, 1.0, 9.0, 10.0, 9.0, 10.0, 10.0];
        assert_eq!(segment_starts(&series, 3.0), [4]);
        assert!(segment_starts(&series, 1000.0).is_empty());
        assert!(segment_starts(&[], 3.0).is_empty());
        assert!(segment_starts(&[7.0; 20], 3.0).is_empty());
        assert_eq!(segment_starts(&[0.0, 1.0, 0.0], 0.1), [1, 2]);
    }

    proptest! {
        /// No other set of starts is cheaper: all of them are tried.
        #[test]
        fn nothing_is_cheaper(
            values in prop::collection::vec(-5.0..5.0_f64, 1..11), penalty in 0.01..20.0_f64,
        ) {
            let found = cost(&values, &segment_starts(&values, penalty), penalty);
            for set in 0..1_usize << (values.len() - 1) {
                let starts: Vec<usize> =
                    (1..values.len()).filter(|i| set >> (i - 1) & 1 == 1).collect();
                prop_assert!(found <= cost(&values, &starts, penalty) + 1e-9);
            }
        }
    }
}
