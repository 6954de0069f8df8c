//! Simulated machines, seeded: no clock.

use fastrand::Rng;

/// How the times of unchanged code vary from Execution to Execution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    /// Standard deviation of the logarithm.
    pub(crate) noise: f64,
    /// Share of Executions that take 15 % longer.
    pub(crate) slow: f64,
    /// Correlation of neighbours.
    pub(crate) rho: f64,
    pub(crate) drift: Drift,
}

/// How all numbers drift by 10 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Drift {
    None,
    /// Up and down within so many Executions.
    Wave(f64),
    /// At once, one time in 50, and back.
    Steps,
}

impl Machine {
    pub(crate) fn all() -> Vec<Machine> {
        let of = |noise| {
            let base = Machine { noise, slow: 0.0, rho: 0.0, drift: Drift::None };
            [
                base,
                Machine { slow: 0.03, ..base },
                Machine { rho: 0.5, ..base },
                Machine { drift: Drift::Wave(200.0), ..base },
                Machine { drift: Drift::Wave(20.0), ..base },
                Machine { drift: Drift::Steps, ..base },
            ]
        };
        [0.005, 0.01, 0.02, 0.05].into_iter().flat_map(of).collect()
    }

    pub(crate) fn name(&self) -> String {
        let mut name = format!("noise {} %", 100.0 * self.noise);
        if self.slow > 0.0 {
            name += &format!(", {} % of executions slow", 100.0 * self.slow);
        }
        if self.rho > 0.0 {
            name += &format!(", AR(1) {}", self.rho);
        }
        match self.drift {
            Drift::None => {}
            Drift::Wave(period) => name += &format!(", 10 % wave of {period} executions"),
            Drift::Steps => name += ", 10 % steps",
        }
        name
    }

    pub(crate) fn times(self, seed: u64) -> Times {
        let mut rng = Rng::with_seed(seed);
        let (state, phase) = (normal(&mut rng), rng.f64());
        Times { machine: self, rng, state, phase, step: 0.0, executions: 0.0 }
    }
}

/// The times of one Execution after the other.
pub(crate) struct Times {
    machine: Machine,
    rng: Rng,
    state: f64,
    phase: f64,
    step: f64,
    executions: f64,
}

impl Times {
    pub(crate) fn next(&mut self) -> f64 {
        let m = self.machine;
        self.executions += 1.0;
        self.state = m.rho * self.state + (1.0 - m.rho * m.rho).sqrt() * normal(&mut self.rng);
        if m.drift == Drift::Steps && self.rng.f64() < 0.02 {
            self.step = 0.1 - self.step;
        }
        let drift = match m.drift {
            Drift::None => 0.0,
            Drift::Wave(period) => {
                0.05 * (std::f64::consts::TAU * (self.executions / period + self.phase)).sin()
            }
            Drift::Steps => self.step,
        };
        let slow = if self.rng.f64() < m.slow { 1.15 } else { 1.0 };
        slow * (1.0 + drift) * (m.noise * self.state).exp()
    }
}

/// Box-Muller.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}
