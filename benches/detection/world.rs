//! Simulated machines: seeded noise, no clock.

/// SplitMix64: small, seeded, good enough to simulate noise.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // 53 random bits, shifted by half a step so that 0 never comes up.
        (((z ^ (z >> 31)) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Box-Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

/// How the times of unchanged code vary from run to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// The bell curve.
    Normal,
    /// Skewed to the slow side.
    LogNormal,
    /// Normal, and 3 % of Executions are 15 % slow.
    SlowOutliers,
    /// Every run resembles the one before: AR(1) with ρ = 0.5.
    Correlated,
}

impl Kind {
    pub(crate) const ALL: [Kind; 4] =
        [Kind::Normal, Kind::LogNormal, Kind::SlowOutliers, Kind::Correlated];
}

const RHO: f64 = 0.5;

/// The times of one metric, one Execution after the other; lower is better.
pub(crate) struct Metric {
    kind: Kind,
    cv: f64,
    state: f64,
}

impl Metric {
    pub(crate) fn new(kind: Kind, cv: f64, rng: &mut Rng) -> Metric {
        Metric { kind, cv, state: rng.normal() }
    }

    pub(crate) fn next(&mut self, rng: &mut Rng) -> f64 {
        let z = rng.normal();
        100.0
            * match self.kind {
                Kind::Normal => 1.0 + self.cv * z,
                Kind::LogNormal => (self.cv.powi(2).ln_1p().sqrt() * z).exp(),
                Kind::SlowOutliers => {
                    let slow = if rng.uniform() < 0.03 { 1.15 } else { 1.0 };
                    slow * (1.0 + self.cv * z)
                }
                Kind::Correlated => {
                    self.state = RHO * self.state + (1.0 - RHO * RHO).sqrt() * z;
                    1.0 + self.cv * self.state
                }
            }
    }
}
