//! A diagnosis as text.

use std::fmt::Write as _;

use super::rules::{cpus_busy, percent};
use super::{Diagnosis, HostUse};
use crate::catalog::Lever;
use crate::results::Table;

/// Width of a kernel's name; names of templates go on for kilobytes.
const NAME: usize = 60;

/// The diagnosis for people, with the `top` longest-running kernels.
pub fn text(diagnosis: &Diagnosis, top: usize) -> String {
    let d = diagnosis;
    let mut out = format!("{}\n", d.headline());
    for source in &d.sources {
        let path = source.path.display();
        let _ = writeln!(out, "read {path}: {}, {} calls", source.format.label(), source.calls);
    }
    if let Some(gpu) = &d.gpu {
        let gpus = if gpu.gpus == 1 { "1 GPU".to_owned() } else { format!("{} GPUs", gpu.gpus) };
        let _ = writeln!(
            out,
            "\n{gpus} busy {} of {}; {} gaps, half of them up to {}, the longest {}",
            percent(gpu.busy_share),
            duration(gpu.window_s),
            gpu.gaps.count,
            duration(gpu.gaps.median_us / 1e6),
            duration(gpu.gaps.longest_s),
        );
        if gpu.devices.len() > 1 {
            for device in &gpu.devices {
                let _ = writeln!(out, "  {}: {}", device.device, percent(device.busy_share));
            }
        }
    }
    if let Some(sums) = &d.kernels {
        let kinds: Vec<String> =
            sums.kinds.iter().map(|k| format!("{} {}", k.kind.word(), percent(k.share))).collect();
        let _ = writeln!(
            out,
            "{} calls of {} µs on average, {} of the time in calls below 10 µs\nby kind: {}",
            sums.calls,
            number(sums.mean_us),
            percent(sums.short_share),
            kinds.join(", ")
        );
        out.push('\n');
        let mut table = Table::new(["share", "kind", "calls", "mean µs", "kernel"]);
        for spot in d.hotspots.iter().take(top) {
            table.row([
                percent(spot.share),
                spot.kind.word().to_owned(),
                spot.calls.to_string(),
                number(spot.mean_us),
                shortened(&spot.name),
            ]);
        }
        let _ = write!(out, "{table}");
    }
    if let Some(host) = &d.host {
        if host.wall_s > 0.0 {
            out.push('\n');
            let _ = writeln!(out, "{}", times(host));
        }
        if let Some(counters) = &host.counters {
            let cycles = counters.instructions_per_cycle;
            let cycles = cycles.map(|n| format!("{n:.2} instructions per cycle"));
            let misses = counters.last_level_misses;
            let misses = misses.map(|n| format!("{} of last-level accesses miss", percent(n)));
            let told: Vec<String> = cycles.into_iter().chain(misses).collect();
            let _ = writeln!(out, "CPU counters: {}", told.join(", "));
        }
        if !host.functions.is_empty() {
            let mut table = Table::new(["share", "kind", "in", "function"]);
            for function in host.functions.iter().take(top) {
                table.row([
                    percent(function.share),
                    function.kind.word().to_owned(),
                    shortened(&function.object),
                    shortened(&function.name),
                ]);
            }
            let _ = write!(out, "\nCPU time by function:\n{table}");
        }
        if let Some(busy) = host.gpu_busy {
            let _ = write!(out, "GPUs busy {} of the time", percent(busy));
            if let Some(watts) = host.gpu_power_w {
                let _ = write!(out, ", {watts:.0} W at most");
            }
            if let Some(bytes) = host.gpu_memory_bytes {
                let _ = write!(out, ", {:.1} GB of memory at most", bytes as f64 / 1e9);
            }
            out.push('\n');
        }
    }
    if let Some(log) = &d.communication {
        let _ = writeln!(out, "\nNCCL/RCCL: {} ranks", log.ranks);
        for (name, collective) in &log.collectives {
            let (calls, bytes) = (collective.calls, collective.bytes);
            let _ = writeln!(out, "  {name}: {calls} calls, {bytes} bytes");
        }
        for (path, count) in &log.channels {
            let _ = writeln!(out, "  {path}: {count} channels");
        }
    }
    if !d.rules.is_empty() {
        out.push_str("\nrules tried, in order (docs/diagnose.md):\n");
    }
    for rule in &d.rules {
        let (mark, word) = if rule.holds { ("yes", "→") } else { ("no", "not") };
        let concludes = rule.concludes.word();
        let _ = writeln!(out, "  {} {mark:<3} {}  {word} {concludes}", rule.rule, rule.evidence);
    }
    if let Some(stack) = &d.stack
        && !d.levers.is_empty()
    {
        let _ = writeln!(out, "\nlevers for {} ({}):", stack.stack.word(), stack.because);
        for suggestion in &d.levers {
            let lever = &suggestion.lever;
            let values = lever.values.join(", ");
            let _ = writeln!(out, "  {} = {values}{}", lever.name, remarks(lever));
            if !lever.why.is_empty() {
                let _ = writeln!(out, "      {}", lever.why);
            }
            let _ = writeln!(out, "      because: {}", suggestion.evidence);
        }
    }
    list(&mut out, "notes", &d.notes);
    let left_out: Vec<String> =
        d.left_out.iter().map(|l| format!("{}: {}", l.path.display(), l.why)).collect();
    list(&mut out, "not read", &left_out);
    list(&mut out, "problems", &d.problems);
    out
}

/// What the processes did on the host.
fn times(host: &HostUse) -> String {
    let (busy, wall) = (cpus_busy(host), duration(host.wall_s));
    let (asked, not) = (host.voluntary_switches_per_s, host.involuntary_switches_per_s);
    let faults = host.major_faults;
    // perf counts all context switches together, and no memory.
    match host.max_rss_bytes {
        0 => format!(
            "{busy} for {wall}, {asked:.0} context switches per second, {faults} page faults from \
             disk"
        ),
        bytes => format!(
            "{busy} for {wall}, {:.0} MB of memory at most, {asked:.0} context switches per second \
             asked for and {not:.0} not, {faults} page faults from disk",
            bytes as f64 / 1e6
        ),
    }
}

/// What one must know before a lever is tried.
pub(super) fn remarks(lever: &Lever) -> String {
    let mut remarks = Vec::new();
    if lever.numerics {
        remarks.push("may change the answer".to_owned());
    }
    match lever.warmup {
        0 => {}
        1 => remarks.push("the first execution does not count".to_owned()),
        n => remarks.push(format!("the first {n} executions do not count")),
    }
    if !lever.conflicts.is_empty() {
        remarks.push(format!("not with {}", lever.conflicts.join(", ")));
    }
    if let Some(file) = &lever.file {
        remarks.push(format!("in {file}"));
    }
    if remarks.is_empty() { String::new() } else { format!("  ({})", remarks.join("; ")) }
}

fn list(out: &mut String, title: &str, items: &[String]) {
    if !items.is_empty() {
        let _ = writeln!(out, "\n{title}:");
    }
    for item in items {
        let _ = writeln!(out, "  {item}");
    }
}

/// A number of µs with as many digits as say something.
pub(super) fn number(us: f64) -> String {
    if us >= 100.0 { format!("{us:.0}") } else { format!("{us:.1}") }
}

/// Seconds with a unit that suits them.
pub(super) fn duration(s: f64) -> String {
    let (value, unit) = match s {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "µs"),
    };
    if value >= 100.0 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

/// A name without control characters that fits into a column.
pub(crate) fn shortened(name: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if name.chars().count() <= NAME {
        return name.chars().map(clean).collect();
    }
    name.chars().take(NAME - 1).map(clean).chain(['…']).collect()
}
