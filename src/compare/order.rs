//! Which side is executed when.

/// Blocks of four Executions, ABBA or BAAB as a coin falls.
///
/// Both sides of a block have the same mean time, so that drift at a constant rate cancels;
/// the coin keeps whatever else changes on the machine from favouring one of them.
#[derive(Clone, Debug)]
pub struct Order(fastrand::Rng);

/// The seed that goes with a run where nobody says one: five digits, which can be typed again.
pub fn seed_of(run: &str) -> u64 {
    run.bytes().fold(0_u64, |hash, b| hash.wrapping_mul(31).wrapping_add(b.into())) % 100_000
}

/// One block: whether the base comes first in its first pair. In its second pair it is the
/// other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The base, the candidate, the candidate, the base.
    pub base_first: bool,
}

impl Order {
    /// The order that goes with a seed and the `nth` entry of a comparison.
    pub fn new(seed: u64, nth: usize) -> Order {
        Order(fastrand::Rng::with_seed(seed.wrapping_add(nth as u64)))
    }
}

impl Iterator for Order {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        Some(Block { base_first: self.0.bool() })
    }
}

impl Block {
    /// Of each of its pairs, whether the base comes first.
    pub fn pairs(self) -> [bool; 2] {
        [self.base_first, !self.base_first]
    }

    /// `ABBA`, where A is the base.
    pub fn letters(self) -> &'static str {
        if self.base_first { "ABBA" } else { "BAAB" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_an_order_and_entries_have_their_own() {
        let letters = |seed, nth| -> Vec<&str> {
            Order::new(seed, nth).take(64).map(Block::letters).collect()
        };
        assert_eq!(letters(7, 0), letters(7, 0));
        assert_ne!(letters(7, 0), letters(7, 1));
        let first = letters(7, 0).iter().filter(|l| **l == "ABBA").count();
        assert!((16..=48).contains(&first), "{first}");
    }
}
