//! A part of the Cells, for many runners.

use std::str::FromStr;

use sha2::{Digest, Sha256};

/// `i/n`: the part `i` of `n`, from 1. Which part a Cell is in follows from its id alone, so
/// that it is the same on every runner, whatever other Cells there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part, from 1.
    pub index: u32,
    /// How many there are.
    pub count: u32,
}

impl Shard {
    /// Whether the Cell is in this part.
    pub fn holds(self, id: &str) -> bool {
        let digest = Sha256::digest(id);
        let number = digest.iter().take(8).fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        number % u64::from(self.count) == u64::from(self.index - 1)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let parts = text.split_once('/').and_then(|(index, count)| {
            Some(Shard { index: index.trim().parse().ok()?, count: count.trim().parse().ok()? })
        });
        parts
            .filter(|s| s.index >= 1 && s.index <= s.count)
            .ok_or_else(|| "expected i/n with i from 1 to n, as in 1/4".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_in_one_part() {
        let shards: Vec<Shard> = (1..=4).map(|i| format!("{i}/4").parse().unwrap()).collect();
        let mut sizes = [0; 4];
        for n in 0..400 {
            let id = format!("cell-{n}");
            let at: Vec<usize> = (0..4).filter(|&i| shards[i].holds(&id)).collect();
            assert_eq!(at.len(), 1);
            sizes[at[0]] += 1;
        }
        assert!(sizes.iter().all(|n| *n > 60), "{sizes:?}");
        // What is in a part today is in it tomorrow.
        assert!(Shard { index: 2, count: 4 }.holds("rust_gemm"));
        for wrong in ["0/4", "5/4", "1", "a/b", "1/0", "-1/2"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
