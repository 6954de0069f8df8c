//! Pointer chase: the time of one load that depends on the load before.
//!
//! The chain visits every cache line of a buffer once, in random order, and returns to
//! its start, so neither the prefetcher nor a second load in flight can help. Translation
//! misses are part of the number, as they are part of real accesses. The reported latency
//! is that of the fastest window: what else uses the memory can only slow a window down.

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const LINE: usize = 64;
const WARM_UP: Duration = Duration::from_millis(200);
const MEASURE: Duration = Duration::from_millis(1000);
/// Loads per timed window.
const WINDOW: usize = 1 << 16;
const MIN_WINDOWS: usize = 5;

/// One cache line: the index of the next, and padding.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    next: u32,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("rust_membw/latency: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mib = whole("MAD_MEMBW_MIB", 64, 1, 4096)?;
    let slowdown = planted_slowdown()?;
    if let Some(cache) = last_level_cache()
        && (mib << 20) < 4 * cache
    {
        println!(
            "note: a buffer of {mib} MiB with a last-level cache of {} MiB: part of the loads \
             hit the cache",
            cache >> 20
        );
    }
    let lines = cycle((mib << 20) / LINE);

    // One full round proves that the chain is a single cycle, and is the first warm-up.
    let mut at = 0;
    let mut steps = 0;
    loop {
        at = lines[at as usize].next;
        steps += 1;
        if at == 0 || steps > lines.len() {
            break;
        }
    }
    if steps != lines.len() {
        let count = lines.len();
        return Err(format!(
            "check failed: the chain closes after {steps} of {count} lines"
        ));
    }

    let mut nanoseconds = Vec::new();
    let begun = Instant::now();
    while nanoseconds.len() < MIN_WINDOWS || begun.elapsed() < WARM_UP + MEASURE {
        let clock = Instant::now();
        for _ in 0..WINDOW {
            at = lines[at as usize].next;
        }
        at = std::hint::black_box(at);
        plant(clock, slowdown);
        let window = clock.elapsed();
        if begun.elapsed() >= WARM_UP {
            nanoseconds.push(window.as_secs_f64() * 1e9 / WINDOW as f64);
        }
    }

    nanoseconds.sort_by(f64::total_cmp);
    println!(
        "{mib} MiB, {} windows of {WINDOW} loads, median {:.2}, slowest {:.2}",
        nanoseconds.len(),
        nanoseconds[nanoseconds.len() / 2],
        nanoseconds[nanoseconds.len() - 1],
    );
    println!("performance: {:.3} latency_ns", nanoseconds[0]);
    Ok(())
}

/// A random permutation with a single cycle (Sattolo), the same on every machine.
fn cycle(count: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = (0..count as u32).map(|next| Line { next }).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for last in (1..count).rev() {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let random = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        let other = ((random * last as u64) >> 32) as usize;
        lines.swap(last, other);
    }
    lines
}

/// Reads a whole number from the environment and holds it to its range.
fn whole(name: &str, default: usize, min: usize, max: usize) -> Result<usize, String> {
    let Some(text) = env::var_os(name) else {
        return Ok(default);
    };
    text.to_str()
        .and_then(|text| text.trim().parse().ok())
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| format!("{name}={text:?}: expected a whole number from {min} to {max}"))
}

/// `MAD_PLANT_SLOWDOWN=0.2` makes every pass take 20 % longer. It exists to test that a
/// regression gate turns red.
fn planted_slowdown() -> Result<f64, String> {
    const NAME: &str = "MAD_PLANT_SLOWDOWN";
    let Some(text) = env::var_os(NAME) else {
        return Ok(0.0);
    };
    let share = text
        .to_str()
        .and_then(|text| text.trim().parse::<f64>().ok())
        .filter(|share| (0.0..=10.0).contains(share))
        .ok_or_else(|| format!("{NAME}={text:?}: expected a number from 0 to 10"))?;
    if share > 0.0 {
        println!("note: {NAME} makes every pass {} % longer", share * 100.0);
    }
    Ok(share)
}

/// Waits until the pass that began with `clock` is longer by the planted share.
fn plant(clock: Instant, slowdown: f64) {
    if slowdown > 0.0 {
        let end = clock.elapsed().mul_f64(1.0 + slowdown);
        while clock.elapsed() < end {
            std::hint::spin_loop();
        }
    }
}

/// The largest cache that the first CPU reports, where the system says so.
fn last_level_cache() -> Option<usize> {
    (0..8)
        .filter_map(|index| {
            let path = format!("/sys/devices/system/cpu/cpu0/cache/index{index}/size");
            let text = fs::read_to_string(path).ok()?;
            let kib: usize = text.trim().strip_suffix('K')?.parse().ok()?;
            Some(kib << 10)
        })
        .max()
}
