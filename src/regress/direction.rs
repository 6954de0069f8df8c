//! Which way a metric is better, told from its name or unit.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which way a metric is better.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// More is better: throughput, accuracy.
    Higher,
    /// Less is better: latency, memory, loss.
    Lower,
    /// Nobody said, and the name does not tell.
    #[default]
    Unknown,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::Unknown => "unknown",
        })
    }
}

/// One line of the table that [`infer`] reads.
#[derive(Debug, Clone, Copy)]
pub struct DirectionRule {
    /// Consecutive words of a metric's name; a leading `^` ties them to its start.
    pub pattern: &'static str,
    /// What they say.
    pub direction: Direction,
    /// Why, in words a person reads.
    pub why: &'static str,
}

const fn higher(pattern: &'static str, why: &'static str) -> DirectionRule {
    DirectionRule { pattern, direction: Direction::Higher, why }
}

const fn lower(pattern: &'static str, why: &'static str) -> DirectionRule {
    DirectionRule { pattern, direction: Direction::Lower, why }
}

const RATE: &str = "a rate: work per time";
const THROUGHPUT: &str = "throughput";
const QUALITY: &str = "a quality score";
const DURATION: &str = "a duration";
const MEMORY: &str = "memory in use";
const ERROR: &str = "an error measure";

/// What words in a metric's name say about its direction. `/` reads as `per`.
///
/// Words are matched whole, the longest pattern first, and a word counts once: `second`
/// is a duration, but not within `per second`. A bare `s` or `sec` counts only at the
/// start (`s/it`), because `tokens_s` may mean either. Cues that disagree
/// (`throughput_ms`) decide nothing.
pub const DIRECTION_RULES: &[DirectionRule] = &[
    higher("per s", RATE),
    higher("per sec", RATE),
    higher("per second", RATE),
    higher("per ms", RATE),
    higher("per us", RATE),
    higher("per min", RATE),
    higher("per minute", RATE),
    higher("per h", RATE),
    higher("per hour", RATE),
    higher("per day", RATE),
    higher("persec", RATE),
    higher("throughput", THROUGHPUT),
    higher("goodput", THROUGHPUT),
    higher("memory throughput", THROUGHPUT),
    higher("qps", RATE),
    higher("rps", RATE),
    higher("tps", RATE),
    higher("fps", RATE),
    higher("tgs", "tokens per GPU and second"),
    higher("iops", RATE),
    higher("bandwidth", "bandwidth"),
    higher("memory bandwidth", "bandwidth"),
    higher("mem bandwidth", "bandwidth"),
    higher("busbw", "bandwidth"),
    higher("algbw", "bandwidth"),
    higher("mbps", "bandwidth"),
    higher("gbps", "bandwidth"),
    higher("tbps", "bandwidth"),
    higher("flops", "arithmetic rate"),
    higher("gflops", "arithmetic rate"),
    higher("tflops", "arithmetic rate"),
    higher("pflops", "arithmetic rate"),
    higher("tops", "arithmetic rate"),
    higher("mfu", "utilisation of the hardware's peak"),
    higher("hfu", "utilisation of the hardware's peak"),
    higher("speedup", "speed-up"),
    higher("accuracy", QUALITY),
    higher("acc", QUALITY),
    higher("f1", QUALITY),
    higher("auc", QUALITY),
    higher("bleu", QUALITY),
    higher("rouge", QUALITY),
    higher("exact match", QUALITY),
    lower("latency", "latency"),
    lower("time", DURATION),
    lower("runtime", DURATION),
    lower("walltime", DURATION),
    lower("duration", DURATION),
    lower("elapsed", DURATION),
    lower("delay", DURATION),
    lower("^s", DURATION),
    lower("^sec", DURATION),
    lower("second", DURATION),
    lower("seconds", DURATION),
    lower("ms", DURATION),
    lower("msec", DURATION),
    lower("millisecond", DURATION),
    lower("milliseconds", DURATION),
    lower("us", DURATION),
    lower("usec", DURATION),
    lower("microsecond", DURATION),
    lower("microseconds", DURATION),
    lower("ns", DURATION),
    lower("nsec", DURATION),
    lower("nanosecond", DURATION),
    lower("nanoseconds", DURATION),
    lower("minutes", DURATION),
    lower("hours", DURATION),
    lower("ttft", "time to first token"),
    lower("tpot", "time per output token"),
    lower("itl", "inter-token latency"),
    lower("e2el", "end-to-end latency"),
    lower("loss", "loss"),
    lower("perplexity", "perplexity"),
    lower("ppl", "perplexity"),
    lower("memory", MEMORY),
    lower("vram", MEMORY),
    lower("bytes used", MEMORY),
    lower("error", ERROR),
    lower("errors", ERROR),
    lower("wer", "word error rate"),
    lower("overhead", "overhead"),
];

/// The direction a metric's name or unit tells; `Unknown` without a cue, or when cues
/// disagree.
pub fn infer(metric: &str) -> Direction {
    deciding_rule(metric).map_or(Direction::Unknown, |rule| rule.direction)
}

/// Why [`infer`] answered as it did; `None` when it answered `Unknown`.
pub fn inference_reason(metric: &str) -> Option<&'static str> {
    deciding_rule(metric).map(|rule| rule.why)
}

/// The first rule that matches, provided that all others agree with it.
fn deciding_rule(metric: &str) -> Option<&'static DirectionRule> {
    let words = words(metric);
    let mut cues = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match longest_match(&words, at) {
            Some((rule, length)) => {
                cues.push(rule);
                at += length;
            }
            None => at += 1,
        }
    }
    let first = *cues.first()?;
    cues.iter().all(|rule| rule.direction == first.direction).then_some(first)
}

fn longest_match(words: &[String], at: usize) -> Option<(&'static DirectionRule, usize)> {
    DIRECTION_RULES
        .iter()
        .filter_map(|rule| {
            let pattern = match rule.pattern.strip_prefix('^') {
                Some(_) if at > 0 => return None,
                Some(pattern) => pattern,
                None => rule.pattern,
            };
            let length = pattern.split(' ').count();
            let here = words[at..].iter().take(length).map(String::as_str);
            here.eq(pattern.split(' ')).then_some((rule, length))
        })
        .max_by_key(|(_, length)| *length)
}

/// Lower-case words: split at anything that is not a letter or digit and before a capital
/// that follows a lower-case letter; `/` becomes `per`.
fn words(metric: &str) -> Vec<String> {
    let mut spaced = String::with_capacity(metric.len() + 8);
    let mut previous_lower = false;
    for c in metric.chars() {
        match c {
            '/' => spaced.push_str(" per "),
            c if c.is_alphanumeric() => {
                if c.is_uppercase() && previous_lower {
                    spaced.push(' ');
                }
                spaced.extend(c.to_lowercase());
            }
            _ => spaced.push(' '),
        }
        previous_lower = c.is_lowercase();
    }
    spaced.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_seen_in_the_wild() {
        let higher = [
            "samples_per_second",
            "train_samples_per_second",
            "tokens_per_second",
            "tok/s",
            "tokens/s",
            "tokens/sec/gpu",
            "samples/sec",
            "images/s",
            "throughput",
            "Throughput",
            "output_throughput",
            "requests_per_minute",
            "qps",
            "GB/s",
            "GiB/s",
            "bytes_per_second",
            "memory_bandwidth",
            "TFLOPS",
            "TFLOPs",
            "tflops/s/gpu",
            "gflops",
            "accuracy",
            "eval_f1",
            "mfu",
            "tokensPerSecond",
            "images per second",
            "tgs",
            "it/s",
        ];
        let lower = [
            "latency",
            "latency_ms",
            "p99_latency",
            "time",
            "duration",
            "ms",
            "us",
            "ns",
            "s",
            "seconds",
            "ttft",
            "median_tpot_ms",
            "itl",
            "e2el",
            "loss",
            "perplexity",
            "peak_memory_gb",
            "bytes used",
            "error_rate",
            "time_per_token",
            "ms/token",
            "seconds_per_iteration",
            "s/it",
            "sec/step",
            "msPerStep",
            "train_runtime",
            "time_to_first_token",
            "latencyMs",
        ];
        let unknown = [
            "",
            "transformers",
            "score",
            "performance",
            "throughput_ms",
            "tokens_s",
            "msft",
            "memory_per_second_loss",
            "latency_tokens_per_second",
            "precision",
            "class",
            "GPUs",
            "%",
            "日本",
        ];
        for (names, direction) in [
            (&higher[..], Direction::Higher),
            (&lower, Direction::Lower),
            (&unknown, Direction::Unknown),
        ] {
            for name in names {
                assert_eq!(infer(name), direction, "{name:?}: {:?}", words(name));
                assert_eq!(
                    inference_reason(name).is_none(),
                    direction == Direction::Unknown,
                    "{name:?}"
                );
            }
        }
    }

    #[test]
    fn the_table_is_well_formed() {
        let mut seen = std::collections::BTreeSet::new();
        for rule in DIRECTION_RULES {
            let pattern = rule.pattern.trim_start_matches('^');
            assert_eq!(words(pattern).join(" "), pattern, "pattern is not in words");
            assert!(seen.insert(rule.pattern), "{} twice", rule.pattern);
            assert_ne!(rule.direction, Direction::Unknown, "{}", rule.pattern);
        }
    }

    #[test]
    fn written_in_lower_case() {
        assert_eq!(serde_json::to_string(&Direction::Higher).unwrap(), "\"higher\"");
        assert_eq!(serde_json::from_str::<Direction>("\"unknown\"").unwrap(), Direction::Unknown);
    }
}
