//! What Linux perf prints: `perf stat`, `perf report --stdio`, `perf script`.

use std::collections::HashMap;
use std::io::Read;

use super::{Format, Outcome, lines};
use crate::profile::host::{CpuCounters, CpuFunction, HostUse};
use crate::profile::kind::Kind;

/// Functions that are kept, those that take most.
const FUNCTIONS: usize = 50;

/// Distinct functions that are counted one by one.
const NAMES_MAX: usize = 100_000;

/// Which of them this is the beginning of, if it is one.
pub(super) fn recognise(text: &str) -> Option<Format> {
    let lines: Vec<&str> = text.lines().take(200).collect();
    // Other logs have times in their lines, too, but no functions after them.
    let is_sample = |(i, line): (usize, &&str)| {
        let next = lines.get(i + 1).copied().unwrap_or_default();
        sample(line).is_some_and(|(_, rest)| frame(rest).or_else(|| frame(next)).is_some())
    };
    let stat = "Performance counter stats for";
    if lines.iter().any(|line| line.trim_start().starts_with(stat)) {
        Some(Format::PerfStat)
    } else if lines.iter().any(|line| is_report_header(line)) {
        Some(Format::PerfReport)
    } else {
        lines.iter().enumerate().any(is_sample).then_some(Format::PerfScript)
    }
}

fn is_report_header(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let first = matches!(words[..], ["#", "Overhead" | "Children", ..]);
    first && words.contains(&"Symbol")
}

/// Reads `perf stat`.
pub(super) fn stat(stream: impl Read) -> Outcome {
    let mut events: HashMap<String, f64> = HashMap::new();
    let mut elapsed = None;
    let problem = lines(stream, |line| {
        let said = line.split('#').next().unwrap_or_default();
        let mut words = said.split_whitespace();
        let Some(value) = words.next().and_then(number) else { return };
        let rest: Vec<&str> = words.collect();
        match rest[..] {
            ["seconds", "time", "elapsed"] => elapsed = Some(value),
            // `1,234.56 msec task-clock:u`, `12 cs`, `3,456 cpu_core/cycles/`.
            ["msec", event] | [event] => {
                let event = event.split(':').next().unwrap_or_default();
                let event = event.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                *events.entry(event.to_owned()).or_default() += value;
            }
            _ => {}
        }
    });
    let Some(wall_s) = elapsed.filter(|s| *s > 0.0) else {
        let cut = || "it has no line `seconds time elapsed`: was perf ended?".to_owned();
        return Outcome { problem: problem.or_else(|| Some(cut())), ..Outcome::default() };
    };
    let event = |names: &[&str]| names.iter().find_map(|name| events.get(*name).copied());
    let share = |part: &[&str], whole: &[&str]| {
        let (part, whole) = event(part).zip(event(whole))?;
        (whole > 0.0).then(|| part / whole)
    };
    let clock = event(&["task-clock", "cpu-clock"]);
    let host = HostUse {
        wall_s,
        cpus_busy: clock.map_or(0.0, |ms| ms / 1e3 / wall_s),
        // perf counts those that were asked for and others together.
        voluntary_switches_per_s: event(&["context-switches", "cs"]).unwrap_or(0.0) / wall_s,
        major_faults: event(&["major-faults"]).unwrap_or(0.0) as u64,
        counters: Some(CpuCounters {
            instructions_per_cycle: share(&["instructions"], &["cycles"]),
            last_level_misses: share(&["LLC-load-misses"], &["LLC-loads"])
                .or_else(|| share(&["cache-misses"], &["cache-references"])),
        }),
        ..HostUse::default()
    };
    let note = clock.is_none().then(|| "it has no task-clock: how busy is not known".to_owned());
    Outcome { problem, host: Some(host), notes: note.into_iter().collect(), ..Outcome::default() }
}

/// Reads `perf report --stdio`: rows with a share, of which those of call graphs are none.
pub(super) fn report(stream: impl Read) -> Outcome {
    let mut functions = Functions::default();
    let mut own = 0;
    let problem = lines(stream, |line| {
        if is_report_header(line) {
            // With call graphs, what a function takes itself stands in the second column.
            own = usize::from(line.contains("Children"));
            return;
        }
        let marked = ["[.] ", "[k] "].into_iter().find_map(|mark| line.split_once(mark));
        let Some((before, symbol)) = marked else { return };
        let words: Vec<&str> = before.split_whitespace().collect();
        let share = words.get(own).and_then(|word| number(word.strip_suffix('%')?));
        if let Some(share) = share {
            let object = words.last().copied().unwrap_or_default();
            functions.add(symbol.trim(), object, share);
        }
    });
    functions.finish(problem)
}

/// Reads `perf script`: of each sample, the function that ran.
pub(super) fn script(stream: impl Read) -> Outcome {
    let mut functions = Functions::default();
    let mut waiting = None;
    let problem = lines(stream, |line| {
        if let Some((weight, rest)) = sample(line) {
            waiting = Some(weight);
            // Without call graphs the function stands in the same line.
            if let Some((symbol, object)) = frame(rest) {
                functions.add(symbol, object, weight);
                waiting = None;
            }
        } else if let Some((symbol, object)) = frame(line)
            && let Some(weight) = waiting.take()
        {
            functions.add(symbol, object, weight);
        }
    });
    functions.finish(problem)
}

/// `python 123 [001] 12345.678901:     250000 cycles:P:  …`: the period, which is the weight of
/// the sample, and what follows the event.
fn sample(line: &str) -> Option<(f64, &str)> {
    let time = |word: &str| {
        let number = word.strip_suffix(':')?;
        let (s, fraction) = number.split_once('.')?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        (digits(s) && digits(fraction)).then_some(())
    };
    let at = line.split_whitespace().skip(1).find(|word| time(word).is_some())?;
    let (_, rest) = line.split_once(at)?;
    let rest = rest.trim_start();
    let (first, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (weight, event, after) = match first.parse::<f64>() {
        Ok(period) => {
            let after = after.trim_start();
            let (event, after) = after.split_once(char::is_whitespace).unwrap_or((after, ""));
            (period, event, after)
        }
        Err(_) => (1.0, first, after),
    };
    (event.ends_with(':') && weight.is_finite()).then_some((weight, after))
}

/// `7f1234567890 sgemm_kernel+0x123 (/usr/lib/libopenblas.so)`: function and file.
fn frame(text: &str) -> Option<(&str, &str)> {
    let (address, rest) = text.trim().split_once(' ')?;
    if address.is_empty() || !address.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let (symbol, object) = rest.trim().strip_suffix(')')?.rsplit_once(" (")?;
    let symbol = symbol.rsplit_once("+0x").map_or(symbol, |(name, _)| name);
    Some((symbol, object.rsplit('/').next().unwrap_or(object)))
}

fn number(text: &str) -> Option<f64> {
    text.replace(',', "").parse().ok().filter(|n: &f64| n.is_finite() && *n >= 0.0)
}

/// What functions take, summed.
#[derive(Default)]
struct Functions {
    weights: HashMap<(String, String), f64>,
    total: f64,
}

impl Functions {
    fn add(&mut self, symbol: &str, object: &str, weight: f64) {
        let key = (symbol.to_owned(), object.to_owned());
        self.total += weight;
        if self.weights.len() < NAMES_MAX || self.weights.contains_key(&key) {
            *self.weights.entry(key).or_default() += weight;
        }
    }

    fn finish(self, problem: Option<String>) -> Outcome {
        if self.total <= 0.0 {
            let none = "it has no sample with a function in it".to_owned();
            return Outcome { problem: problem.or(Some(none)), ..Outcome::default() };
        }
        let function = |((name, object), weight): ((String, String), f64)| CpuFunction {
            kind: Kind::of(&name),
            name,
            object,
            share: weight / self.total,
        };
        let mut functions: Vec<CpuFunction> = self.weights.into_iter().map(function).collect();
        let by = |f: &CpuFunction| (f.name.clone(), f.object.clone());
        functions.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| by(a).cmp(&by(b))));
        let kinds = Kind::ALL.map(|kind| {
            let of = functions.iter().filter(|f| f.kind == kind);
            (kind, of.map(|f| f.share).sum::<f64>())
        });
        functions.truncate(FUNCTIONS);
        let kinds = kinds.into_iter().filter(|(_, share)| *share > 0.0).collect();
        let host = HostUse { functions, kinds, ..HostUse::default() };
        Outcome { problem, host: Some(host), ..Outcome::default() }
    }
}
