//! Matrix products C = A·B on the CPU: blocked, packed, with a register-tiled kernel that
//! the compiler turns into vector instructions.
//!
//! A window is a number of products in a row; all threads meet after each product. The
//! reported speed is that of the median window, 2·m·n·k operations per product. The last
//! product of each size is compared in full with a naive one in f64; a size whose product is
//! wrong gets no row, and there is no file at all then.
//!
//! Usage: gemm RESULTS.csv

#![forbid(unsafe_code)]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Rows of the register tile. Six rows of 16 f32 keep all sums in registers from AVX2 on;
/// with more the compiler gives up on that and is many times slower.
const ROWS: usize = 6;

const WARM_UP: Duration = Duration::from_millis(120);
const MEASURE: Duration = Duration::from_millis(420);
/// Products are repeated until a window takes at least this long.
const WINDOW: Duration = Duration::from_millis(10);
const MIN_WINDOWS: usize = 5;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("rust_gemm: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let [results] = arguments.as_slice() else {
        return Err("usage: gemm RESULTS.csv".into());
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let setup = Setup {
        block: whole("MAD_GEMM_BLOCK", 256, 16, 4096)?,
        threads: whole("MAD_NUM_THREADS", cores.min(256), 1, 256)?,
        slowdown: planted_slowdown()?,
    };
    if setup.threads > cores {
        println!("note: {} threads on {cores} cores", setup.threads);
    }

    let mut csv = String::from("model,performance,metric,m,n,k,threads,block,seconds\n");
    let (waited, begun) = (waited_for_core(), Instant::now());
    for size in [256, 512, 1024] {
        bench::<f32, 16>(size, &setup, &mut csv)?;
    }
    bench::<f64, 8>(512, &setup, &mut csv)?;
    note_busy_machine(waited, begun);
    write_whole(Path::new(results), &csv)
}

struct Setup {
    /// Depth of a packed block, and rows of A in it.
    block: usize,
    threads: usize,
    slowdown: f64,
}

// ---------------------------------------------------------------- environment

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

/// `MAD_PLANT_SLOWDOWN=0.2` makes every product take 20 % longer. It exists to test that a
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
        println!(
            "note: {NAME} makes every product {} % longer",
            share * 100.0
        );
    }
    Ok(share)
}

// ------------------------------------------------------------------- elements

trait Element: Copy + Default + Send + Sync + Into<f64> {
    const NAME: &str;
    const EPSILON: f64;
    fn from_f32(value: f32) -> Self;
    fn multiply_add(self, factor: Self, sum: Self) -> Self;
    fn plus(self, other: Self) -> Self;
}

macro_rules! element {
    ($type:ident) => {
        impl Element for $type {
            const NAME: &str = stringify!($type);
            const EPSILON: f64 = $type::EPSILON as f64;

            fn from_f32(value: f32) -> Self {
                value.into()
            }

            #[inline(always)]
            fn multiply_add(self, factor: Self, sum: Self) -> Self {
                if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
                    self.mul_add(factor, sum)
                } else {
                    self * factor + sum
                }
            }

            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self + other
            }
        }
    };
}

element!(f32);
element!(f64);

/// A square matrix, row by row.
struct Matrix<T> {
    size: usize,
    values: Vec<T>,
}

impl<T: Element> Matrix<T> {
    /// Values in [-0.5, 0.5) from xorshift64*, exact in both precisions.
    fn random(size: usize, seed: u64) -> Self {
        let mut state = seed;
        let values = (0..size * size)
            .map(|_| {
                state ^= state >> 12;
                state ^= state << 25;
                state ^= state >> 27;
                let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
                T::from_f32(bits as f32 / (1u32 << 24) as f32 - 0.5)
            })
            .collect();
        Self { size, values }
    }

    fn row(&self, row: usize) -> &[T] {
        &self.values[row * self.size..][..self.size]
    }
}

// -------------------------------------------------------------------- product

/// The part of C that one thread computes, with its packing buffers.
struct Part<T, const COLS: usize> {
    rows: Range<usize>,
    cols: Range<usize>,
    result: Vec<T>,
    packed_a: Vec<[T; ROWS]>,
    packed_b: Vec<[T; COLS]>,
}

impl<T: Element, const COLS: usize> Part<T, COLS> {
    fn new(size: usize, index: usize, threads: usize) -> Self {
        // The most square grid of threads, so that little is packed twice.
        let down = (1..=threads)
            .filter(|down| threads.is_multiple_of(*down) && down * down <= threads)
            .max()
            .unwrap_or(1);
        let across = threads / down;
        let rows = share(size, index / across, down, ROWS);
        let cols = share(size, index % across, across, COLS);
        Self {
            result: vec![T::default(); rows.len() * cols.len()],
            rows,
            cols,
            packed_a: Vec::new(),
            packed_b: Vec::new(),
        }
    }

    /// Overwrites the part with its share of A·B.
    fn compute(&mut self, a: &Matrix<T>, b: &Matrix<T>, block: usize) {
        self.result.fill(T::default());
        for depth in (0..a.size).step_by(block) {
            let depth = depth..a.size.min(depth + block);
            self.pack_b(b, &depth);
            for first in self.rows.clone().step_by(block) {
                let rows = first..self.rows.end.min(first + block);
                self.pack_a(a, &rows, &depth);
                self.multiply(&rows, depth.len());
            }
        }
    }

    /// Strips of `COLS` columns; what lies beyond the part is zero.
    fn pack_b(&mut self, b: &Matrix<T>, depth: &Range<usize>) {
        self.packed_b.clear();
        for first in self.cols.clone().step_by(COLS) {
            let width = COLS.min(self.cols.end - first);
            for k in depth.clone() {
                let mut strip = [T::default(); COLS];
                strip[..width].copy_from_slice(&b.row(k)[first..first + width]);
                self.packed_b.push(strip);
            }
        }
    }

    /// Strips of `ROWS` rows, column by column.
    fn pack_a(&mut self, a: &Matrix<T>, rows: &Range<usize>, depth: &Range<usize>) {
        self.packed_a.clear();
        for first in rows.clone().step_by(ROWS) {
            let start = self.packed_a.len();
            self.packed_a
                .resize(start + depth.len(), [T::default(); ROWS]);
            let strip = &mut self.packed_a[start..];
            for row in first..rows.end.min(first + ROWS) {
                let values = &a.row(row)[depth.clone()];
                for (column, value) in strip.iter_mut().zip(values) {
                    column[row - first] = *value;
                }
            }
        }
    }

    fn multiply(&mut self, rows: &Range<usize>, depth: usize) {
        let width = self.cols.len();
        for (strip_b, b) in self.packed_b.chunks_exact(depth).enumerate() {
            let col = strip_b * COLS;
            let cols = COLS.min(width - col);
            for (strip_a, a) in self.packed_a.chunks_exact(depth).enumerate() {
                let sums = kernel(a, b);
                let row = rows.start - self.rows.start + strip_a * ROWS;
                let end = rows.end - self.rows.start;
                for (row, sums) in (row..end).zip(sums) {
                    let target = &mut self.result[row * width + col..][..cols];
                    for (target, sum) in target.iter_mut().zip(sums) {
                        *target = target.plus(sum);
                    }
                }
            }
        }
    }
}

/// Not inlined: the optimiser vectorises this loop well only while it sees nothing of what
/// happens to the results.
#[inline(never)]
fn kernel<T: Element, const COLS: usize>(a: &[[T; ROWS]], b: &[[T; COLS]]) -> [[T; COLS]; ROWS] {
    let mut sums = [[T::default(); COLS]; ROWS];
    for (a, b) in a.iter().zip(b) {
        for (sums, a) in sums.iter_mut().zip(a) {
            for (sum, b) in sums.iter_mut().zip(b) {
                *sum = a.multiply_add(*b, *sum);
            }
        }
    }
    sums
}

/// The part of `total` that falls to one of `parts`, in whole units of `unit`.
fn share(total: usize, index: usize, parts: usize, unit: usize) -> Range<usize> {
    let units = total.div_ceil(unit);
    let edge = |index: usize| (units * index / parts * unit).min(total);
    edge(index)..edge(index + 1)
}

// ------------------------------------------------------------------ measuring

fn bench<T: Element, const COLS: usize>(
    size: usize,
    setup: &Setup,
    csv: &mut String,
) -> Result<(), String> {
    let name = format!("{}_{size}", T::NAME);
    let a = Matrix::<T>::random(size, 0x9e37_79b9_7f4a_7c15);
    let b = Matrix::<T>::random(size, 0xd1b5_4a32_d192_ed03);

    let mistake = Mutex::new(None);
    let shared = Shared {
        barrier: Barrier::new(setup.threads),
        repeats: AtomicUsize::new(1),
        stop: AtomicBool::new(false),
    };
    let work = |index: usize| {
        let mut part = Part::<T, COLS>::new(size, index, setup.threads);
        let timings = measure(&mut part, &a, &b, setup, &shared, index == 0);
        if let Err(message) = check(&part, &a, &b)
            && let Ok(mut mistake) = mistake.lock()
        {
            *mistake = Some(message);
        }
        timings
    };
    let timings = thread::scope(|scope| {
        for index in 1..setup.threads {
            let work = &work;
            scope.spawn(move || work(index));
        }
        work(0)
    });
    if let Ok(Some(message)) = mistake.into_inner() {
        return Err(format!("check failed: {name}: {message}"));
    }

    let mut seconds = timings.seconds;
    seconds.sort_by(f64::total_cmp);
    let product = median(&seconds);
    let operations = 2.0 * (size as f64).powi(3);
    let gflops = operations / product / 1e9;
    println!(
        "{name}: {gflops:.2} gflops, {} windows of {} products, product median {:.1} us, \
         fastest {:.1} us, slowest {:.1} us",
        seconds.len(),
        timings.repeats,
        product * 1e6,
        seconds[0] * 1e6,
        seconds[seconds.len() - 1] * 1e6,
    );
    let (threads, block) = (setup.threads, setup.block);
    writeln!(
        csv,
        "{name},{gflops:.3},gflops,{size},{size},{size},{threads},{block},{product:.9}"
    )
    .map_err(|error| error.to_string())
}

struct Shared {
    barrier: Barrier,
    repeats: AtomicUsize,
    stop: AtomicBool,
}

#[derive(Default)]
struct Timings {
    /// Seconds per product, window by window.
    seconds: Vec<f64>,
    repeats: usize,
}

/// All threads call it together; the leader keeps the clock.
fn measure<T: Element, const COLS: usize>(
    part: &mut Part<T, COLS>,
    a: &Matrix<T>,
    b: &Matrix<T>,
    setup: &Setup,
    shared: &Shared,
    leader: bool,
) -> Timings {
    let mut timings = Timings::default();
    let begun = Instant::now();
    let mut warm = false;
    loop {
        shared.barrier.wait();
        let repeats = shared.repeats.load(Ordering::Relaxed);
        let clock = Instant::now();
        for _ in 0..repeats {
            let product = Instant::now();
            part.compute(a, b, setup.block);
            std::hint::black_box(&part.result);
            if setup.slowdown > 0.0 && leader {
                let end = product.elapsed().mul_f64(1.0 + setup.slowdown);
                while product.elapsed() < end {
                    std::hint::spin_loop();
                }
            }
            shared.barrier.wait();
        }
        let window = clock.elapsed();
        if leader {
            let elapsed = begun.elapsed();
            if warm {
                timings.repeats = repeats;
                timings.seconds.push(window.as_secs_f64() / repeats as f64);
            } else if window < WINDOW {
                shared.repeats.store(repeats * 2, Ordering::Relaxed);
            } else {
                warm = elapsed >= WARM_UP;
            }
            let enough = timings.seconds.len() >= MIN_WINDOWS && elapsed >= WARM_UP + MEASURE;
            shared.stop.store(enough, Ordering::Relaxed);
        }
        shared.barrier.wait();
        if shared.stop.load(Ordering::Relaxed) {
            return timings;
        }
    }
}

/// Compares a part with the naive product in f64. The bound is that of the rounding errors
/// of `size` additions of products no larger than 1/4.
fn check<T: Element, const COLS: usize>(
    part: &Part<T, COLS>,
    a: &Matrix<T>,
    b: &Matrix<T>,
) -> Result<(), String> {
    let tolerance = a.size as f64 * 0.25 * T::EPSILON;
    let width = part.cols.len();
    let mut expected = vec![0.0f64; width];
    for row in part.rows.clone() {
        expected.fill(0.0);
        for (k, &factor) in a.row(row).iter().enumerate() {
            let factor: f64 = factor.into();
            for (sum, &value) in expected.iter_mut().zip(&b.row(k)[part.cols.clone()]) {
                let value: f64 = value.into();
                *sum += factor * value;
            }
        }
        let found = &part.result[(row - part.rows.start) * width..][..width];
        for (col, (expected, &found)) in expected.iter().zip(found).enumerate() {
            let found: f64 = found.into();
            let error = (found - expected).abs();
            if error.is_nan() || error > tolerance {
                return Err(format!(
                    "row {row}, column {}: {found} instead of {expected}",
                    part.cols.start + col
                ));
            }
        }
    }
    Ok(())
}

/// A barrier for phases of a few microseconds: it spins first, and yields where
/// somebody else has the core.
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

/// How long the calling thread has been ready to run while something else had its core.
/// Linux keeps count.
fn waited_for_core() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Says so where the machine was too busy for the numbers to mean much.
fn note_busy_machine(before: Option<Duration>, begun: Instant) {
    if let (Some(before), Some(after)) = (before, waited_for_core()) {
        let share = after
            .saturating_sub(before)
            .div_duration_f64(begun.elapsed());
        if share > 0.02 {
            println!(
                "note: the machine was busy, {:.0} % of the time went into waiting for a core",
                share * 100.0
            );
        }
    }
}

/// The middle of sorted values.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    } else {
        sorted[middle]
    }
}

/// The file appears whole or not at all.
fn write_whole(path: &Path, text: &str) -> Result<(), String> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(".part");
    fs::write(&staged, text)
        .and_then(|()| fs::rename(&staged, path))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
