//! STREAM triad, a[i] = b[i] + s·c[i], over arrays of f64: memory bandwidth.
//!
//! Counted as STREAM counts: three values of eight bytes per element, without the read
//! that a write to an uncached line causes. Every thread works on memory that it touched
//! first. The reported bandwidth is that of the fastest pass, again as STREAM has it: what
//! else uses the memory can only slow a pass down. Afterwards every element is checked.

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const FACTOR: f64 = 3.0;
const WARM_UP: Duration = Duration::from_millis(200);
const MEASURE: Duration = Duration::from_millis(800);
const MIN_PASSES: usize = 5;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("rust_membw/triad: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = whole("MAD_NUM_THREADS", cores.min(256), 1, 256)?;
    let mib = whole("MAD_MEMBW_MIB", 64, 1, 4096)?;
    let slowdown = planted_slowdown()?;
    let length = (mib << 20) / size_of::<f64>();
    if let Some(cache) = last_level_cache()
        && (mib << 20) < 4 * cache
    {
        println!(
            "note: arrays of {mib} MiB with a last-level cache of {} MiB: part of the traffic \
             stays in the cache",
            cache >> 20
        );
    }

    let barrier = Barrier::new(threads);
    let stop = AtomicBool::new(false);
    let wrong = AtomicUsize::new(0);
    let work = |index: usize| {
        let part = length * index / threads..length * (index + 1) / threads;
        let mut a = vec![-1.0f64; part.len()];
        let b: Vec<f64> = part.clone().map(|i| (i % 1000) as f64).collect();
        let c: Vec<f64> = part.clone().map(|i| (i % 77) as f64 + 0.5).collect();
        let mut seconds = Vec::new();
        let begun = Instant::now();
        loop {
            barrier.wait();
            let clock = Instant::now();
            for ((a, b), c) in a.iter_mut().zip(&b).zip(&c) {
                *a = b + FACTOR * c;
            }
            std::hint::black_box(&mut a);
            if index == 0 {
                plant(clock, slowdown);
            }
            barrier.wait();
            if index == 0 {
                let elapsed = begun.elapsed();
                if elapsed >= WARM_UP {
                    seconds.push(clock.elapsed().as_secs_f64());
                }
                let enough = seconds.len() >= MIN_PASSES && elapsed >= WARM_UP + MEASURE;
                stop.store(enough, Ordering::Relaxed);
            }
            barrier.wait();
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        let differing = a
            .iter()
            .zip(part)
            .filter(|&(&a, i)| a != (i % 1000) as f64 + FACTOR * ((i % 77) as f64 + 0.5));
        wrong.fetch_add(differing.count(), Ordering::Relaxed);
        seconds
    };
    let mut seconds = thread::scope(|scope| {
        for index in 1..threads {
            let work = &work;
            scope.spawn(move || work(index));
        }
        work(0)
    });
    let wrong = wrong.into_inner();
    if wrong > 0 {
        return Err(format!(
            "check failed: {wrong} of {length} elements are wrong"
        ));
    }

    seconds.sort_by(f64::total_cmp);
    let bytes = (3 * size_of::<f64>() * length) as f64;
    let rate = |seconds: f64| bytes / seconds / 1e9;
    println!(
        "three arrays of {mib} MiB, {threads} threads, {} passes, median {:.2}, slowest {:.2}",
        seconds.len(),
        rate(seconds[seconds.len() / 2]),
        rate(seconds[seconds.len() - 1]),
    );
    println!("performance: {:.3} gigabytes_per_second", rate(seconds[0]));
    Ok(())
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

/// A barrier that keeps its threads awake: sleepers are often woken on one and the same
/// core and then take turns.
struct Barrier {
    threads: usize,
    arrived: AtomicUsize,
    round: AtomicUsize,
}

impl Barrier {
    fn new(threads: usize) -> Self {
        Self {
            threads,
            arrived: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
        }
    }

    fn wait(&self) {
        let round = self.round.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.threads {
            self.arrived.store(0, Ordering::Release);
            self.round.store(round.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while self.round.load(Ordering::Acquire) == round {
            if spins < 1000 {
                spins += 1;
                std::hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}
