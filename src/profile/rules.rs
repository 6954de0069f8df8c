//! From numbers to a bottleneck, by stated rules: the first that holds decides.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::host::HostUse;
use super::kind::Kind;

/// What holds a workload back.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Bottleneck {
    /// Arithmetic: matrix products and convolutions.
    Compute,
    /// Moving data between the GPU and its memory, or the host's.
    Memory,
    /// Waiting for other GPUs.
    Communication,
    /// Starting kernels: the GPU waits for the host.
    Launch,
    /// No single one.
    Mixed,
    /// What was read does not say.
    Unknown,
}

impl Bottleneck {
    /// Every bottleneck.
    pub const ALL: [Bottleneck; 6] = [
        Bottleneck::Compute,
        Bottleneck::Memory,
        Bottleneck::Communication,
        Bottleneck::Launch,
        Bottleneck::Mixed,
        Bottleneck::Unknown,
    ];

    /// Its word in reports.
    pub fn word(self) -> &'static str {
        match self {
            Bottleneck::Compute => "compute",
            Bottleneck::Memory => "memory",
            Bottleneck::Communication => "communication",
            Bottleneck::Launch => "launch",
            Bottleneck::Mixed => "mixed",
            Bottleneck::Unknown => "unknown",
        }
    }
}

/// Nanoseconds below which a kernel is short: about what launching two takes.
pub(super) const SHORT_NS: u64 = 10_000;

/// Busy share of the GPUs below which they wait for the host, whatever runs on them.
const IDLE: f64 = 0.5;
/// Busy share below which short kernels are the reason.
const HALF_IDLE: f64 = 0.8;
/// Mean kernel, in µs, that is short where the busy share is known.
const SHORT_US: f64 = SHORT_NS as f64 / 1e3;
/// Mean kernel, in µs, that is short where only sums are known: less than a launch takes.
const TINY_US: f64 = 5.0;
/// Calls of which a mean says something.
const CALLS: f64 = 100.0;
/// Share of collectives that nothing hides.
const COLLECTIVES: f64 = 0.25;
/// Share of the time without collectives that one side must have.
const DOMINANT: f64 = 0.55;
/// Share of kernels of unknown kind that makes any answer a guess.
const UNNAMED: f64 = 0.5;

/// CPUs that the processes keep busy when they are what limits: most of one.
const CPU_BUSY: f64 = 0.8;

/// Instructions per cycle below which a CPU waits for something.
const CYCLES: f64 = 1.0;
/// Share of the accesses to the last-level cache that miss when that is the memory.
const MISSES: f64 = 0.1;

/// One rule, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RuleCheck {
    /// Its number in the table of docs/diagnose.md.
    pub rule: u32,
    /// The bottleneck that it concludes.
    pub concludes: Bottleneck,
    /// What it looked at, with the numbers found and the thresholds.
    pub evidence: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Numbers that the rules look at; shares are from 0 to 1.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbers {
    pub(super) calls: u64,
    pub(super) mean_us: f64,
    /// Time in which anything ran, of the time from the first to the last activity.
    pub(super) busy: Option<f64>,
    /// Collectives of the busy time that nothing else ran beside; where no times are
    /// known, collectives of all kernel time.
    pub(super) collectives: f64,
    pub(super) collectives_exposed: bool,
    /// Of the kernel time without collectives.
    pub(super) gemm: f64,
    pub(super) memory: f64,
    pub(super) other: f64,
}

/// A row of the table that the guide prints.
pub struct Rule {
    /// Its number; they are tried in this order.
    pub rule: u32,
    /// What it concludes.
    pub concludes: Bottleneck,
    /// When, with the threshold.
    pub when: String,
    /// Why that.
    pub why: &'static str,
}

/// Every rule, in order.
pub fn table() -> Vec<Rule> {
    use Bottleneck::{Communication, Compute, Launch, Memory, Mixed, Unknown};
    let row = |rule, concludes, when, why| Rule { rule, concludes, when, why };
    vec![
        row(
            1,
            Launch,
            format!("the GPUs are busy for less than {} of the time", percent(IDLE)),
            "A GPU that waits gets no faster by faster kernels. So this comes before what the kernels do.",
        ),
        row(
            2,
            Launch,
            format!(
                "the GPUs are busy for less than {}, and the mean kernel is shorter than {SHORT_US} µs",
                percent(HALF_IDLE)
            ),
            "Kernels shorter than it takes to start them leave gaps between them.",
        ),
        row(
            3,
            Launch,
            format!(
                "only sums are known, and the mean of at least {CALLS} kernels is shorter than {TINY_US} µs"
            ),
            "Without times nobody knows the gaps, but so short a kernel ends before the next is started.",
        ),
        row(
            4,
            Communication,
            format!(
                "collectives that no other kernel runs beside take {} or more of the busy time (of \
                 the kernel time, where only sums are known)",
                percent(COLLECTIVES)
            ),
            "Communication that runs beside work costs little.",
        ),
        row(
            5,
            Unknown,
            format!(
                "kernels of unknown kind take more than {} of the other kernels",
                percent(UNNAMED)
            ),
            "A share of what is known says little then.",
        ),
        row(
            6,
            Compute,
            format!("matrix products and convolutions take {} or more", percent(DOMINANT)),
            "They do many operations per byte.",
        ),
        row(
            7,
            Memory,
            format!(
                "attention, elementwise kernels, norms and copies take {} or more",
                percent(DOMINANT)
            ),
            "They do few operations per byte.",
        ),
        row(8, Mixed, "none of these".to_owned(), "No single change helps much."),
        row(
            9,
            Launch,
            format!(
                "only samples: the GPUs that are used are busy for less than {}",
                percent(IDLE)
            ),
            "They wait for the host.",
        ),
        row(
            10,
            Compute,
            format!(
                "only samples: matrix products and convolutions take {} of the CPU time or more",
                percent(DOMINANT)
            ),
            "Functions of the host are told by their names, as kernels are.",
        ),
        row(
            11,
            Memory,
            format!(
                "only samples: attention, elementwise functions, norms and copies take {} of the \
                 CPU time or more",
                percent(DOMINANT)
            ),
            "They do few operations per byte on the host, too.",
        ),
        row(
            12,
            Memory,
            format!(
                "only counters: fewer than {CYCLES} instructions per cycle, and {} or more of the \
                 accesses to the last-level cache miss",
                percent(MISSES)
            ),
            "The CPU waits for its memory.",
        ),
        row(
            13,
            Compute,
            format!("only samples: the processes keep {CPU_BUSY} CPUs or more busy"),
            "A single thread that never waits is enough to limit a program.",
        ),
        row(
            14,
            Unknown,
            "only samples: none of these".to_owned(),
            "The processes wait, for a disk, a network or a clock; samples do not say for which. Or only \
             functions are known, and none of a known kind dominates.",
        ),
    ]
}

/// A share as people read it.
pub(super) fn percent(share: f64) -> String {
    // A sum of nothing is -0.
    let percent = share * 100.0 + 0.0;
    if percent != 0.0 && percent < 9.95 && (percent - percent.round()).abs() > 0.05 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// Every rule that was looked at, up to the one that holds.
pub(super) fn judge(numbers: &Numbers) -> Vec<RuleCheck> {
    let n = numbers;
    let share = |what: &str, value: f64, sign: &str, limit: f64| {
        format!("{what} {} ({sign} {})", percent(value), percent(limit))
    };
    let mut checks = Vec::new();
    let mean = format!("mean of {} kernels {:.1} µs", n.calls, n.mean_us);
    if let Some(busy) = n.busy {
        checks.push((1, busy < IDLE, share("GPU busy", busy, "below", IDLE)));
        checks.push((
            2,
            busy < HALF_IDLE && n.mean_us < SHORT_US,
            format!("{}, {mean} (below {SHORT_US})", share("GPU busy", busy, "below", HALF_IDLE)),
        ));
    } else {
        let few = (n.calls as f64) < CALLS;
        checks.push((3, !few && n.mean_us < TINY_US, format!("{mean} (below {TINY_US})")));
    }
    let exposed = if n.collectives_exposed { "collectives beside no work" } else { "collectives" };
    checks.push((
        4,
        n.collectives >= COLLECTIVES,
        share(exposed, n.collectives, "at least", COLLECTIVES),
    ));
    checks.push((
        5,
        n.other > UNNAMED,
        share("kernels of unknown kind", n.other, "above", UNNAMED),
    ));
    checks.push((
        6,
        n.gemm >= DOMINANT,
        share("matrix products and convolutions", n.gemm, "at least", DOMINANT),
    ));
    checks.push((
        7,
        n.memory >= DOMINANT,
        share("attention, elementwise, norms, copies", n.memory, "at least", DOMINANT),
    ));
    checks.push((8, true, "nothing dominates".to_owned()));
    up_to_the_one_that_holds(checks)
}

/// The rules for what was only sampled.
pub(super) fn judge_host(host: &HostUse) -> Vec<RuleCheck> {
    let mut checks = Vec::new();
    if let Some(busy) = host.gpu_busy {
        let evidence = format!("GPU busy {} (below {})", percent(busy), percent(IDLE));
        checks.push((9, busy < IDLE, evidence));
    }
    if !host.functions.is_empty() {
        let gemm = host.share_of(&[Kind::Gemm]);
        let evidence = format!(
            "matrix products and convolutions {} of the CPU time (at least {})",
            percent(gemm),
            percent(DOMINANT)
        );
        checks.push((10, gemm >= DOMINANT, evidence));
        let memory = host.share_of(&[Kind::Attention, Kind::Elementwise, Kind::Norm, Kind::Copy]);
        let evidence = format!(
            "attention, elementwise, norms, copies {} of the CPU time (at least {})",
            percent(memory),
            percent(DOMINANT)
        );
        checks.push((11, memory >= DOMINANT, evidence));
    }
    let counters = host.counters.clone().unwrap_or_default();
    if let Some((cycles, misses)) = counters.instructions_per_cycle.zip(counters.last_level_misses)
    {
        let evidence = format!(
            "{cycles:.2} instructions per cycle (below {CYCLES}), {} of last-level accesses miss \
             (at least {})",
            percent(misses),
            percent(MISSES)
        );
        checks.push((12, cycles < CYCLES && misses >= MISSES, evidence));
    }
    if host.wall_s > 0.0 {
        let busy = cpus_busy(host);
        let evidence = format!("{busy} (at least {CPU_BUSY})");
        checks.push((13, host.cpus_busy >= CPU_BUSY, evidence));
        checks.push((14, true, format!("the processes wait: {busy}")));
    } else {
        checks.push((14, true, "no function of a known kind dominates".to_owned()));
    }
    up_to_the_one_that_holds(checks)
}

/// How many CPUs are busy, of those there are where that is known.
pub(super) fn cpus_busy(host: &HostUse) -> String {
    match (host.cpus_busy, host.cpus) {
        (busy, 0) => format!("{busy:.2} CPUs busy"),
        (busy, cpus) => format!("{busy:.2} of {cpus} CPUs busy"),
    }
}

fn up_to_the_one_that_holds(checks: Vec<(u32, bool, String)>) -> Vec<RuleCheck> {
    let end = checks.iter().position(|(_, holds, _)| *holds).unwrap_or(checks.len() - 1);
    let rules = table();
    let check = |(rule, holds, evidence): (u32, bool, String)| RuleCheck {
        rule,
        concludes: rules[rule as usize - 1].concludes,
        evidence,
        holds,
    };
    checks.into_iter().take(end + 1).map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conclusion(numbers: &Numbers) -> Bottleneck {
        let checks = judge(numbers);
        assert!(checks.iter().rev().skip(1).all(|c| !c.holds));
        checks.last().filter(|c| c.holds).expect("one holds").concludes
    }

    #[test]
    fn the_busy_share_comes_before_what_the_kernels_do() {
        // What was once called compute-bound: 8.6 % busy, half of it matrix products.
        let numbers = Numbers {
            calls: 397_292,
            mean_us: 9.0,
            busy: Some(0.086),
            gemm: 0.6,
            memory: 0.3,
            other: 0.1,
            ..Numbers::default()
        };
        assert_eq!(conclusion(&numbers), Bottleneck::Launch);
        assert_eq!(
            conclusion(&Numbers { busy: Some(0.95), ..numbers.clone() }),
            Bottleneck::Compute
        );
        assert_eq!(conclusion(&Numbers { busy: None, ..numbers.clone() }), Bottleneck::Compute);
        let tiny = Numbers { busy: None, mean_us: 3.0, ..numbers.clone() };
        assert_eq!(conclusion(&tiny), Bottleneck::Launch);
        assert_eq!(conclusion(&Numbers { calls: 5, ..tiny }), Bottleneck::Compute);
        let gaps = Numbers { busy: Some(0.7), ..numbers };
        assert_eq!(conclusion(&gaps), Bottleneck::Launch);
        assert_eq!(conclusion(&Numbers { mean_us: 40.0, ..gaps }), Bottleneck::Compute);
    }

    #[test]
    fn the_numbers_of_rules_are_their_places() {
        for (i, rule) in table().iter().enumerate() {
            assert_eq!(rule.rule as usize, i + 1);
        }
    }

    #[test]
    fn shares_read_well() {
        assert_eq!(percent(0.086), "8.6 %");
        assert_eq!(percent(0.5), "50 %");
        assert_eq!(percent(0.05), "5 %");
        assert_eq!(percent(0.0), "0 %");
    }
}
