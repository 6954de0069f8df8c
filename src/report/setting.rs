//! What a number was measured with, and when two may be put side by side.

use schemars::JsonSchema;
use serde::Serialize;

/// What a number was measured with, as far as its source says; an empty part is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub struct Setting {
    /// GPUs of all nodes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub n_gpus: String,
    /// Nodes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub nnodes: String,
    /// Precision of the computation, as the entry writes it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub precision: String,
    /// Class of machines, which records know.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub machine_class: String,
    /// Architecture of the GPUs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gpu_architecture: String,
    /// Name of the host.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// Arguments of the script.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub args: String,
}

impl Setting {
    /// Whether nothing is known.
    pub fn is_unknown(&self) -> bool {
        *self == Setting::default()
    }

    /// What tells series of one model and metric apart. The host counts only where there is
    /// nothing better: on a cluster it is the number of a job.
    pub(super) fn key(&self) -> [&str; 5] {
        let Setting { n_gpus, nnodes, precision, args, .. } = self;
        [n_gpus, nnodes, precision, self.machine(), args]
    }

    fn machine(&self) -> &str {
        let names = [&self.machine_class, &self.gpu_architecture, &self.host];
        names.into_iter().find(|name| !name.is_empty()).map_or("", String::as_str)
    }

    /// Why numbers of the two must not be compared; nothing if they may be.
    pub(super) fn conflicts(&self, earlier: &Setting) -> Vec<String> {
        let mut found = changed([
            ("n_gpus", &earlier.n_gpus, &self.n_gpus),
            ("nnodes", &earlier.nnodes, &self.nnodes),
            ("precision", &earlier.precision, &self.precision),
            ("machine class", &earlier.machine_class, &self.machine_class),
        ]);
        if self.machine_class.is_empty() || earlier.machine_class.is_empty() {
            let gpus = (&earlier.gpu_architecture, &self.gpu_architecture);
            found.extend(changed([("GPU architecture", gpus.0, gpus.1)]));
        }
        found
    }

    /// Whether it cannot be told that both are of one class of machines.
    pub(super) fn machine_in_doubt(&self, earlier: &Setting) -> bool {
        let known = |a: &str, b: &str| !a.is_empty() && !b.is_empty();
        !known(&earlier.machine_class, &self.machine_class)
            && !known(&earlier.gpu_architecture, &self.gpu_architecture)
            && known(&earlier.host, &self.host)
            && earlier.host != self.host
    }

    /// What differs without forbidding a comparison.
    pub(super) fn differences(&self, earlier: &Setting) -> Vec<String> {
        changed([("host", &earlier.host, &self.host), ("args", &earlier.args, &self.args)])
    }

    /// The setting in a few words.
    pub fn words(&self) -> String {
        let mut words = Vec::new();
        if !self.n_gpus.is_empty() {
            let s = if self.n_gpus == "1" { "" } else { "s" };
            words.push(format!("{} GPU{s}", self.n_gpus));
        }
        if !matches!(self.nnodes.as_str(), "" | "1") {
            words.push(format!("{} nodes", self.nnodes));
        }
        let rest = [&self.precision, self.machine(), &self.args].map(str::trim);
        words.extend(rest.into_iter().filter(|w| !w.is_empty()).map(str::to_owned));
        words.join(", ")
    }
}

/// The parts that are known on both sides and differ.
fn changed<const N: usize>(parts: [(&str, &String, &String); N]) -> Vec<String> {
    let both = |(_, a, b): &(&str, &String, &String)| !a.is_empty() && !b.is_empty() && a != b;
    parts.into_iter().filter(both).map(|(what, a, b)| format!("{what} {a} → {b}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(n_gpus: &str, arch: &str, host: &str) -> Setting {
        Setting {
            n_gpus: n_gpus.to_owned(),
            gpu_architecture: arch.to_owned(),
            host: host.to_owned(),
            ..Setting::default()
        }
    }

    #[test]
    fn what_is_unknown_conflicts_with_nothing() {
        let eight = setting("8", "gfx942", "a");
        assert!(eight.conflicts(&Setting::default()).is_empty());
        assert_eq!(setting("4", "gfx942", "a").conflicts(&eight), ["n_gpus 8 → 4"]);
        assert_eq!(
            setting("8", "gfx90a", "a").conflicts(&eight),
            ["GPU architecture gfx942 → gfx90a"]
        );
    }

    #[test]
    fn a_class_of_machines_says_more_than_an_architecture() {
        let class = |name: &str, arch: &str| Setting {
            machine_class: name.to_owned(),
            ..setting("1", arch, "a")
        };
        assert!(class("x", "gfx942").conflicts(&class("x", "")).is_empty());
        assert_eq!(class("x", "g").conflicts(&class("y", "g")), ["machine class y → x"]);
    }

    #[test]
    fn another_host_is_in_doubt_only_without_a_better_name() {
        assert!(setting("0", "", "a").machine_in_doubt(&setting("0", "", "b")));
        assert!(
            !setting("8", "gfx942", "job-1").machine_in_doubt(&setting("8", "gfx942", "job-2"))
        );
        assert_eq!(setting("8", "g", "job-1").key(), setting("8", "g", "job-2").key());
        assert_ne!(setting("0", "", "a").key(), setting("0", "", "b").key());
    }
}
