//! The schema of one catalog entry: MAD's keys plus the three objects of ours.
//!
//! Values arrive as strings or numbers in real catalogs, so the types here accept
//! both; unknown keys are kept beside, in [`super::Model::raw`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::regress::Direction;

/// One entry of a catalog file.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "mad-harness catalog entry")]
pub struct Entry {
    /// Identity of the entry, by convention `framework_project_workload`.
    #[schemars(required)]
    pub name: String,
    /// What is run: a `.sh`, `.slurm` or `.py` file, or a directory with `run.sh`.
    #[schemars(required)]
    pub scripts: Option<String>,
    /// Words appended to the script's command line, split as a POSIX shell would.
    pub args: Option<String>,
    /// Prefix of the Dockerfiles: `docker/x` stands for `docker/x.*`. Absent: the host.
    pub dockerfile: Option<String>,
    /// Docker build context; default `./docker`.
    pub dockercontext: Option<String>,
    /// Repository cloned before the script runs.
    pub url: Option<String>,
    /// GPUs wanted; `-1` is all of them, `0` is none (a CPU entry). Default 1.
    pub n_gpus: Option<Count>,
    /// Alias of `n_gpus`.
    pub gpus_per_node: Option<Count>,
    /// Alias of `n_gpus`.
    pub gpu_count: Option<Count>,
    /// Alias of `n_gpus`.
    pub num_gpus: Option<Count>,
    /// Alias of `n_gpus`.
    pub ngpus: Option<Count>,
    /// Who keeps the entry.
    pub owner: Option<String>,
    /// Precision the entry trains or infers in, for the record.
    pub training_precision: Option<String>,
    /// Words that select the entry.
    pub tags: Option<Tags>,
    /// Seconds after which the execution is ended; 0 or less is no limit of its own.
    pub timeout: Option<Seconds>,
    /// CSV file the script writes instead of a `performance:` line.
    pub multiple_results: Option<String>,
    /// Names of data sets (`data.json`), comma-separated.
    pub data: Option<String>,
    /// Key into `credential.json`.
    pub cred: Option<String>,
    /// GPU architectures the entry must not run on, comma-separated.
    #[serde(deserialize_with = "text_or_empty_list")]
    pub skip_gpu_arch: Option<String>,
    /// Words appended to the options of `docker run`.
    pub additional_docker_run_options: Option<String>,
    /// How the entry spreads over GPUs and nodes; `launcher` matters here.
    pub distributed: Option<Map<String, Value>>,
    /// Defaults of a Slurm deployment.
    pub slurm: Option<Map<String, Value>>,
    /// Environment of self-managed and Slurm runs.
    pub env_vars: Option<Map<String, Value>>,
    /// Node count, when nothing else says it.
    pub nnodes: Option<Count>,
    /// Whether the log is searched for error patterns.
    pub log_error_pattern_scan: Option<Value>,
    /// Replaces the built-in error patterns.
    pub log_error_patterns: Option<Vec<String>>,
    /// Lines holding one of these are never an error.
    pub log_error_benign_patterns: Option<Vec<String>>,
    /// Kept for the record.
    pub deprecated: Option<bool>,
    /// Image of a self-managed entry.
    pub docker_image: Option<String>,
    /// Image of a self-managed entry.
    pub image: Option<String>,
    /// How the entry is measured.
    pub bench: Option<Bench>,
    /// How the entry is judged.
    pub regress: Option<Regress>,
    /// What may be tried to make the entry faster.
    pub tune: Option<Tune>,
}

impl Entry {
    /// Every key this schema knows.
    pub fn known_keys() -> Vec<String> {
        let schema = schemars::schema_for!(Entry);
        let properties = schema.get("properties").and_then(Value::as_object);
        properties.map(|p| p.keys().cloned().collect()).unwrap_or_default()
    }
}

/// The `bench` object: how an entry is measured.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Bench {
    /// Executions per Measurement.
    #[schemars(range(min = 1))]
    pub samples: Option<u32>,
    /// Executions thrown away first.
    pub warmup: Option<u32>,
    /// Whether the CPU must not be shared with another Execution (default: true without
    /// GPUs, false with GPUs).
    pub exclusive: Option<bool>,
    /// Cores of its own, with the others left to other Executions.
    #[schemars(range(min = 1))]
    pub cpus: Option<u32>,
}

/// The `regress` object: how an entry is judged.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Regress {
    /// Relative change that is still "same", `0.05` = 5 %.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub tolerance: Option<f64>,
    /// The metric that stands for the entry in tables.
    pub primary: Option<String>,
    /// Exceptions per metric.
    pub metrics: BTreeMap<String, MetricRule>,
}

/// How one metric is judged.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetricRule {
    /// Which way is better, where the name does not say it.
    pub direction: Option<Direction>,
    /// Relative change that is still "same".
    #[schemars(range(min = 0.0, max = 1.0))]
    pub tolerance: Option<f64>,
    /// Absolute change, in the metric's unit, that is still "same".
    #[schemars(range(min = 0.0))]
    pub floor: Option<f64>,
    /// Whether a regression fails (default true); with `reason` and `until` otherwise.
    pub gated: Option<bool>,
    /// Why it is not gated.
    pub reason: Option<String>,
    /// Last day without the gate, `2026-12-31`; from the next one on it is gated again.
    pub until: Option<String>,
    /// A regression that is known: it is reported and does not fail.
    pub xfail: Option<KnownRegression>,
}

/// A regression that is known.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownRegression {
    /// Why it is accepted that the metric is worse than its baseline.
    pub reason: String,
    /// Day since when it is known, `2026-12-31`.
    pub since: Option<String>,
}

/// The `tune` object: what may be changed to make an entry faster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tune {
    /// Single changes worth trying.
    pub levers: Vec<Lever>,
    /// The metric that shows whether the answer is still right. A change that makes it worse
    /// is not recommended, and one that may change the answer only with it.
    pub accuracy: Option<String>,
    /// Relative loss of it that is none (default 0.01 = 1 %).
    #[schemars(range(min = 0.0, max = 1.0))]
    pub accuracy_tolerance: Option<f64>,
}

/// One thing that can be changed.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lever {
    /// Variable, argument or configuration path.
    pub name: String,
    /// What `name` is.
    pub kind: LeverKind,
    /// Values to try.
    pub values: Vec<String>,
    /// Bottlenecks the lever acts on.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Executions to throw away after the change.
    #[serde(default)]
    pub warmup: u32,
    /// Files that go from one execution to the next, the warm-up included: paths relative to the
    /// work directory, with `*` for any characters. Without them a warm-up is worthless that
    /// leaves something in that directory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// The file that a lever of the kind `config` is in: YAML, JSON or TOML; `*` stands for
    /// any characters. `name` is the path of the value, with dots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Levers that must not be tried together with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<String>,
    /// Whether it may change the answer: a lower precision, another KV cache.
    #[serde(default)]
    pub numerics: bool,
    /// Kind of kernel that must be in the profile: `gemm`, `attention`, `collective`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
    /// Stacks it is for: `vllm`, `pytorch`, …; of an entry's own lever nobody asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stacks: Vec<String>,
    /// Why it may help.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Where a [`Lever`] acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LeverKind {
    /// An environment variable.
    Env,
    /// A word of the command line.
    Arg,
    /// A value in a configuration file.
    Config,
}

/// A GPU or node count: an integer, or a string that holds one; `-1` is all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// All the host has.
    All,
    /// Exactly this many.
    Exactly(u32),
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Count::All => f.write_str("-1"),
            Count::Exactly(n) => write!(f, "{n}"),
        }
    }
}

impl std::str::FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().parse::<i64>() {
            Ok(-1) => Ok(Count::All),
            Ok(n) => u32::try_from(n).map(Count::Exactly).map_err(|_| count_error(&n)),
            Err(_) => Err(count_error(&format_args!("{text:?}"))),
        }
    }
}

fn count_error(found: &dyn fmt::Display) -> String {
    format!("expected a count (an integer from 0, or -1 for all), found {found}")
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        scalar(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Count {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Count {
    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An integer from 0, or -1 for all; as a number or a string.",
            "anyOf": [
                { "type": "integer", "minimum": -1 },
                { "type": "string", "pattern": r"^\s*(-1|\+?[0-9]+)\s*$" },
            ]
        })
    }
}

/// A time limit in seconds: a number, a string that holds one, or null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub f64);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = scalar(deserializer)?;
        match text.trim().parse::<f64>() {
            Ok(s) if s.is_finite() => Ok(Seconds(s)),
            _ => Err(de::Error::custom(format!("expected a number of seconds, found {text:?}"))),
        }
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> Cow<'static, str> {
        "Seconds".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Seconds; 0 or less is no limit of its own.",
            "anyOf": [
                { "type": "number" },
                { "type": "string", "pattern": r"^\s*[-+]?[0-9.]+\s*$" },
            ]
        })
    }
}

/// Tags: a list of words, or one comma-separated string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(pub Vec<String>);

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TagsVisitor;
        impl<'de> Visitor<'de> for TagsVisitor {
            type Value = Tags;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of words or a comma-separated string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Tags, E> {
                Ok(Tags(split_commas(text).map(str::to_owned).collect()))
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Tags, A::Error> {
                let mut tags = Vec::new();
                while let Some(tag) = seq.next_element::<String>()? {
                    tags.push(tag);
                }
                Ok(Tags(tags))
            }
        }
        deserializer.deserialize_any(TagsVisitor)
    }
}

impl JsonSchema for Tags {
    fn schema_name() -> Cow<'static, str> {
        "Tags".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Words that select the entry: a list, or one comma-separated string.",
            "anyOf": [
                { "type": "array", "items": { "type": "string" } },
                { "type": "string" },
            ]
        })
    }
}

/// The non-empty, trimmed parts of a comma-separated text.
pub fn split_commas(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|s| !s.is_empty())
}

/// Text, or the empty list that madengine writes into manifests for none.
fn text_or_empty_list<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Array(list) if list.is_empty() => Ok(None),
        other => Err(de::Error::custom(format!(
            "expected architectures, comma-separated in one string, found {other}"
        ))),
    }
}

/// A number or a string, as text.
fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, str>, D::Error> {
    struct ScalarVisitor;
    impl<'de> Visitor<'de> for ScalarVisitor {
        type Value = Cow<'de, str>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a number, or a string that holds one")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text.to_owned()))
        }
        fn visit_i64<E: de::Error>(self, n: i64) -> Result<Self::Value, E> {
            Ok(Cow::Owned(n.to_string()))
        }
        fn visit_u64<E: de::Error>(self, n: u64) -> Result<Self::Value, E> {
            Ok(Cow::Owned(n.to_string()))
        }
        fn visit_f64<E: de::Error>(self, n: f64) -> Result<Self::Value, E> {
            Ok(Cow::Owned(n.to_string()))
        }
    }
    deserializer.deserialize_any(ScalarVisitor)
}
