//! Which machines' numbers may be compared.
//!
//! Nothing here depends on a reading that changes by itself: a machine key that once
//! included the current clock made a new machine of the same host at every reboot.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::description::{Gpu, Machine};

/// Longest name part taken over as it is; a slug stays well below the 255 bytes of a file
/// name even with several parts.
const SLUG_MAX: usize = 64;

/// Memory sizes that differ by less than this are the same hardware seen by another
/// driver, which reserves a little more or less.
const MEMORY_TOLERANCE: f64 = 0.05;

/// Key of a class of machines whose numbers may be compared, e.g.
/// `8x-gfx942-amd-instinct-mi300x` or `cpu-amd-epyc-9654-96-core-processor-192t`.
///
/// Safe as a file name, stable over reboots and driver updates, readable.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct MachineClass(String);

impl MachineClass {
    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MachineClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for MachineClass {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// One way in which two machines differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs, e.g. `GPU product`.
    pub what: String,
    /// The value on this machine.
    pub ours: String,
    /// The value on the other one.
    pub theirs: String,
    /// True when numbers of the two must not be compared; false when the difference is
    /// only worth a warning.
    pub breaking: bool,
}

impl Machine {
    /// The class of this machine for a job that uses `gpus_used`.
    ///
    /// With GPUs: `<n>x-<arch>-<product>`, one such part per kind of GPU, joined by `_`.
    /// A pretended machine has `simulated-` in front.
    /// Without: `cpu-<model>-<threads>t` with the threads available to this process, since
    /// those bound what a CPU job can do.
    pub fn class(&self, gpus_used: &[&Gpu]) -> MachineClass {
        let pretended = if self.simulated { "simulated-" } else { "" };
        if gpus_used.is_empty() {
            let (model, threads) = (slug(&self.cpu.model), self.cpu.available);
            return MachineClass(format!("{pretended}cpu-{model}-{threads}t"));
        }
        let mut kinds = BTreeMap::<(&str, &str), usize>::new();
        for gpu in gpus_used {
            *kinds.entry((&gpu.arch, &gpu.product)).or_default() += 1;
        }
        let parts: Vec<String> = kinds
            .into_iter()
            .map(|((arch, product), n)| format!("{n}x-{}-{}", slug(arch), slug(product)))
            .collect();
        MachineClass(format!("{pretended}{}", parts.join("_")))
    }

    /// What [`class`](Self::class) begins with on every machine that has as many GPUs of the same
    /// architecture; none without GPUs, or with several kinds of them.
    pub fn architecture(&self, gpus_used: &[&Gpu]) -> Option<String> {
        let first = gpus_used.first()?;
        let alike = |gpu: &&Gpu| (&gpu.arch, &gpu.product) == (&first.arch, &first.product);
        let all = gpus_used.iter().all(alike);
        all.then(|| format!("{}x-{}-", gpus_used.len(), slug(&first.arch)))
    }

    /// How `other` differs from this machine in what matters to a measurement; empty when
    /// it does not. Breaking differences come first.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut check = |breaking: bool, what: &str, ours: String, theirs: String| {
            if ours != theirs {
                found.push(Difference { what: what.to_owned(), ours, theirs, breaking });
            }
        };

        check(true, "simulated", self.simulated.to_string(), other.simulated.to_string());
        let (ours, theirs) = (&self.cpu, &other.cpu);
        check(true, "CPU model", ours.model.clone(), theirs.model.clone());
        for (what, ours, theirs) in [
            ("CPU sockets", ours.sockets, theirs.sockets),
            ("CPU cores", ours.cores, theirs.cores),
            ("CPU threads", ours.threads, theirs.threads),
            ("available CPU threads", ours.available, theirs.available),
            ("NUMA nodes", ours.numa_nodes, theirs.numa_nodes),
        ] {
            check(true, what, ours.to_string(), theirs.to_string());
        }

        let (ours, theirs) = (&self.gpus, &other.gpus);
        check(true, "GPU count", ours.len().to_string(), theirs.len().to_string());
        check(
            true,
            "GPU product",
            kinds(ours, |gpu| &gpu.product),
            kinds(theirs, |gpu| &gpu.product),
        );
        check(
            true,
            "GPU architecture",
            kinds(ours, |gpu| &gpu.arch),
            kinds(theirs, |gpu| &gpu.arch),
        );
        if !same_gpu_memory(ours, theirs) {
            check(true, "GPU memory", gpu_memory(ours), gpu_memory(theirs));
        }

        if !close(self.memory_bytes, other.memory_bytes) {
            check(false, "memory", gib(self.memory_bytes), gib(other.memory_bytes));
        }
        let driver = |machine: &Self| match &machine.driver {
            Some(driver) => format!("{} {}", driver.name, driver.version),
            None => "none".to_owned(),
        };
        check(false, "GPU driver", driver(self), driver(other));
        let runtime = |machine: &Self| {
            let runtime = machine.driver.as_ref()?.runtime.clone()?;
            Some(runtime)
        };
        check(
            false,
            "GPU runtime",
            runtime(self).unwrap_or_else(|| "none".to_owned()),
            runtime(other).unwrap_or_else(|| "none".to_owned()),
        );
        check(false, "kernel", self.kernel.clone(), other.kernel.clone());
        check(false, "OS", self.os.clone(), other.os.clone());
        check(false, "hostname", self.hostname.clone(), other.hostname.clone());
        found
    }
}

/// The distinct values of `key`, sorted: how many there are is the count's business.
fn kinds(gpus: &[Gpu], key: impl Fn(&Gpu) -> &str) -> String {
    let mut values: Vec<&str> = gpus.iter().map(key).collect();
    values.sort_unstable();
    values.dedup();
    if values.is_empty() { "none".to_owned() } else { values.join(", ") }
}

fn memories(gpus: &[Gpu]) -> Vec<u64> {
    let mut sizes: Vec<u64> = gpus.iter().map(|gpu| gpu.memory_bytes).collect();
    sizes.sort_unstable();
    sizes
}

fn gpu_memory(gpus: &[Gpu]) -> String {
    let mut sizes: Vec<String> = memories(gpus).into_iter().map(gib).collect();
    sizes.dedup();
    sizes.join(", ")
}

fn same_gpu_memory(ours: &[Gpu], theirs: &[Gpu]) -> bool {
    // Unequal counts are reported as such.
    memories(ours).into_iter().zip(memories(theirs)).all(|(ours, theirs)| close(ours, theirs))
}

fn close(a: u64, b: u64) -> bool {
    a.abs_diff(b) as f64 <= MEMORY_TOLERANCE * a.max(b) as f64
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30))
}

/// A name as part of a file name: lower-case ASCII letters and digits, single hyphens
/// between them, never empty.
///
/// `+` is spelled out, because Intel tells products apart by it (8480 and 8480+), and
/// `(R)` and the like are dropped. A name that does not survive this otherwise (letters
/// beyond ASCII, too long, nothing left) gets a hash of the original, so that two names
/// do not fall together.
pub(crate) fn slug(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let plain = ["(r)", "(tm)", "(c)"]
        .iter()
        .fold(lower, |name, mark| name.replace(mark, " "))
        .replace('+', "plus ");
    let mut slug = String::with_capacity(plain.len());
    for word in plain.split(|c: char| !c.is_ascii_alphanumeric()) {
        if !word.is_empty() {
            if !slug.is_empty() {
                slug.push('-');
            }
            slug.push_str(word);
        }
    }
    if slug.is_empty() || slug.len() > SLUG_MAX || !name.is_ascii() {
        slug.truncate(SLUG_MAX);
        let stem = slug.trim_end_matches('-');
        let stem = if stem.is_empty() { "unnamed" } else { stem };
        return format!("{stem}-{:08x}", fnv1a(name.as_bytes()));
    }
    slug
}

/// FNV-1a, 32 bits: the standard library's hashers promise no stability over releases.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
