//! Batched greedy decoding with a small decoder-only transformer, in f32 on the CPU.
//!
//! The network is a real one in all but its weights, which come from a fixed
//! pseudo-random sequence: RMSNorm, rotary position embedding, multi-head attention
//! with a KV cache, SwiGLU, and an output head tied to the token embedding.
//!
//! The program measures only after it has checked itself:
//! * the logits of cached decoding equal those of a plain, single-threaded forward
//!   pass in f64 that keeps no cache;
//! * tokens and logits do not depend on the number of threads, nor on which other
//!   sequences share the batch;
//! * every timed window yields the tokens of the first.
//!
//! All threads walk through one step together (`Worker::step`). Each keeps the
//! residual stream for itself and computes its share of every matrix product, so the
//! order of the additions behind any one value never depends on the split.

#![forbid(unsafe_code)]

use std::env;
use std::fs;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const DIM: usize = 256;
const HEADS: usize = 8;
const HEAD_DIM: usize = DIM / HEADS;
const LAYERS: usize = 4;
const HIDDEN: usize = 704;
const VOCAB: usize = 4096;

/// Tokens of each sequence that are in the cache before a window starts.
const PROMPT: usize = 32;
/// Tokens that one timed window decodes for each sequence.
const WINDOW: usize = 32;
const CONTEXT: usize = PROMPT + WINDOW;

const WARM_UP: Duration = Duration::from_millis(400);
const MEASURE: Duration = Duration::from_millis(1800);
const MIN_WINDOWS: usize = 5;

/// Output values that one pass over the weights computes side by side.
const LANES: usize = 16;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("rust_transformer_decode: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let batch = whole("MAD_MODEL_BATCH_SIZE", 8, 1, 256)?;
    let threads = whole("MAD_NUM_THREADS", cores.min(256), 1, 256)?;
    let slowdown = planted_slowdown()?;
    if threads > cores {
        println!("note: {threads} threads on {cores} cores");
    }

    let model = Model::new();
    check_against_reference(&model)?;
    check_independence(&model, threads)?;

    let job = Job {
        first: 0,
        batch,
        threads,
        slowdown,
        plan: Plan::Timed,
    };
    let (waited, begun) = (waited_for_core(), Instant::now());
    let outcome = decode(&model, &job);
    note_busy_machine(waited, begun);
    if let Some(window) = outcome.deviating_window {
        return Err(format!(
            "window {window} decoded other tokens than the first"
        ));
    }
    let mut seconds = outcome.seconds;
    seconds.sort_by(f64::total_cmp);
    let median = median(&seconds);
    println!(
        "{} parameters, batch {batch}, {threads} threads, {} windows of {WINDOW} steps, \
         median {:.3} ms, fastest {:.3} ms, slowest {:.3} ms, tokens {:016x}",
        model.parameters(),
        seconds.len(),
        median * 1e3,
        seconds[0] * 1e3,
        seconds[seconds.len() - 1] * 1e3,
        fingerprint(&outcome.tokens),
    );
    let tokens_per_second = (batch * WINDOW) as f64 / median;
    println!("performance: {tokens_per_second:.2} tokens_per_second");
    Ok(())
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

/// `MAD_PLANT_SLOWDOWN=0.2` makes every step take 20 % longer. It exists to test that a
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
        println!("note: {NAME} makes every step {} % longer", share * 100.0);
    }
    Ok(share)
}

// ---------------------------------------------------------------------- model

struct Model {
    /// Token embedding, one row of `DIM` per token; also the output head.
    embedding: Vec<f32>,
    head: Packed,
    layers: Vec<Layer>,
    final_norm: Vec<f32>,
    /// Cosine and sine of the rotation, `HEAD_DIM / 2` pairs per position.
    rotation: Vec<(f32, f32)>,
}

struct Layer {
    attention_norm: Vec<f32>,
    /// Query, key and value projections, one below the other.
    qkv: Packed,
    output: Packed,
    mlp_norm: Vec<f32>,
    gate: Packed,
    up: Packed,
    down: Packed,
}

impl Model {
    fn new() -> Self {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let embedding = random.weights(VOCAB * DIM, 0.02);
        let layers = (0..LAYERS)
            .map(|_| Layer {
                attention_norm: random.gains(),
                qkv: random.matrix(3 * DIM, DIM),
                output: random.matrix(DIM, DIM),
                mlp_norm: random.gains(),
                gate: random.matrix(HIDDEN, DIM),
                up: random.matrix(HIDDEN, DIM),
                down: random.matrix(DIM, HIDDEN),
            })
            .collect();
        let rotation = (0..CONTEXT)
            .flat_map(|position| {
                (0..HEAD_DIM / 2).map(move |pair| {
                    let exponent = -2.0 * pair as f64 / HEAD_DIM as f64;
                    let angle = position as f64 * 10_000f64.powf(exponent);
                    (angle.cos() as f32, angle.sin() as f32)
                })
            })
            .collect();
        Self {
            head: Packed::new(&embedding, VOCAB, DIM),
            embedding,
            layers,
            final_norm: random.gains(),
            rotation,
        }
    }

    fn parameters(&self) -> usize {
        let layer = 4 * DIM * DIM + 3 * DIM * HIDDEN + 2 * DIM;
        VOCAB * DIM + LAYERS * layer + DIM
    }
}

/// xorshift64*: the same weights on every machine.
struct Random(u64);

impl Random {
    /// Uniform in [-1, 1).
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        bits as f32 / (1u32 << 23) as f32 - 1.0
    }

    fn weights(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| self.next() * scale).collect()
    }

    fn gains(&mut self) -> Vec<f32> {
        (0..DIM).map(|_| 1.0 + 0.1 * self.next()).collect()
    }

    /// Scaled so that a product keeps the variance of its input.
    fn matrix(&mut self, rows: usize, cols: usize) -> Packed {
        let scale = (3.0 / cols as f32).sqrt();
        Packed::new(&self.weights(rows * cols, scale), rows, cols)
    }
}

/// A weight matrix cut into panels of `LANES` rows; within a panel, the `LANES` weights
/// that meet the same input value lie side by side.
struct Packed {
    rows: usize,
    cols: usize,
    lanes: Vec<[f32; LANES]>,
}

impl Packed {
    fn new(weights: &[f32], rows: usize, cols: usize) -> Self {
        assert!(rows.is_multiple_of(LANES), "rows fill whole panels");
        let lanes = (0..rows / LANES)
            .flat_map(|panel| (0..cols).map(move |col| (panel, col)))
            .map(|(panel, col)| {
                std::array::from_fn(|lane| weights[(panel * LANES + lane) * cols + col])
            })
            .collect();
        Self { rows, cols, lanes }
    }

    fn panels(&self) -> usize {
        self.rows / LANES
    }

    fn weight(&self, row: usize, col: usize) -> f32 {
        self.lanes[row / LANES * self.cols + col][row % LANES]
    }

    /// Multiplies one panel with every row of `input`; `emit` gets the row and the
    /// `LANES` results.
    fn apply(&self, panel: usize, input: &Tiles, mut emit: impl FnMut(usize, [f32; LANES])) {
        let weights = &self.lanes[panel * self.cols..][..self.cols];
        for (first, size) in tiles(input.rows) {
            let values = &input.values[first * self.cols..][..size * self.cols];
            match size {
                4 => emit_rows(first, product::<4>(weights, values), &mut emit),
                2 => emit_rows(first, product::<2>(weights, values), &mut emit),
                _ => emit_rows(first, product::<1>(weights, values), &mut emit),
            }
        }
    }
}

/// Not inlined: the optimiser vectorises this loop well only while it sees nothing of what
/// happens to the results.
#[inline(never)]
fn product<const ROWS: usize>(weights: &[[f32; LANES]], values: &[f32]) -> [[f32; LANES]; ROWS] {
    let mut sums = [[0.0; LANES]; ROWS];
    for (weights, values) in weights.iter().zip(values.as_chunks::<ROWS>().0) {
        for (sums, value) in sums.iter_mut().zip(values) {
            for (sum, weight) in sums.iter_mut().zip(weights) {
                *sum = multiply_add(*value, *weight, *sum);
            }
        }
    }
    sums
}

fn emit_rows<const ROWS: usize>(
    first: usize,
    results: [[f32; LANES]; ROWS],
    emit: &mut impl FnMut(usize, [f32; LANES]),
) {
    for (row, result) in results.into_iter().enumerate() {
        emit(first + row, result);
    }
}

#[inline(always)]
fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// Cuts `rows` into runs of four, and what is left into two and one. Four keep all sums in
/// registers; with eight the compiler gives up on that and is ten times slower.
fn tiles(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut first = 0;
    std::iter::from_fn(move || {
        let size = [4, 2, 1].into_iter().find(|size| first + size <= rows)?;
        first += size;
        Some((first - size, size))
    })
}

/// The input of a matrix product: within a tile, the values of all rows for one column
/// lie side by side.
struct Tiles {
    rows: usize,
    values: Vec<f32>,
}

impl Tiles {
    fn new(rows: usize, cols: usize) -> Self {
        Self {
            rows,
            values: vec![0.0; rows * cols],
        }
    }

    fn fill(&mut self, cols: usize, value: impl Fn(usize, usize) -> f32) {
        for (first, size) in tiles(self.rows) {
            let tile = &mut self.values[first * cols..][..size * cols];
            for row in 0..size {
                for col in 0..cols {
                    tile[col * size + row] = value(first + row, col);
                }
            }
        }
    }
}

// --------------------------------------------------------------------- decode

/// What a decoding run is asked to do.
struct Job {
    /// Number of the first sequence, which decides its prompt.
    first: usize,
    batch: usize,
    threads: usize,
    slowdown: f64,
    plan: Plan,
}

#[derive(PartialEq)]
enum Plan {
    /// Prompt, then one window; keep all logits.
    Checked,
    /// Prompt, warm-up windows, then timed windows.
    Timed,
}

#[derive(Default)]
struct Outcome {
    /// Decoded tokens of the first window, step by step, `batch` per step.
    tokens: Vec<usize>,
    /// Logits of every step, `batch * VOCAB` per step; only of a checked run.
    logits: Vec<f32>,
    seconds: Vec<f64>,
    deviating_window: Option<usize>,
}

fn decode(model: &Model, job: &Job) -> Outcome {
    let shared = Shared::new(job);
    thread::scope(|scope| {
        for index in 1..job.threads {
            let shared = &shared;
            scope.spawn(move || Worker::new(model, job, shared, index).run());
        }
        Worker::new(model, job, &shared, 0).run()
    })
}

/// f32 values that one thread writes and others read after the next barrier.
struct Values(Vec<AtomicU32>);

impl Values {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicU32::new(0)).collect())
    }

    fn get(&self, index: usize) -> f32 {
        f32::from_bits(self.0[index].load(Ordering::Relaxed))
    }

    fn set(&self, index: usize, value: f32) {
        self.0[index].store(value.to_bits(), Ordering::Relaxed);
    }

    fn set_lanes(&self, index: usize, values: [f32; LANES]) {
        for (cell, value) in self.0[index..][..LANES].iter().zip(values) {
            cell.store(value.to_bits(), Ordering::Relaxed);
        }
    }
}

struct Shared {
    barrier: Barrier,
    stop: AtomicBool,
    qkv: Values,
    attention: Values,
    projected: Values,
    hidden: Values,
    contracted: Values,
    /// Best logit and its token, per thread and sequence.
    best: Vec<AtomicU64>,
    logits: Values,
}

impl Shared {
    fn new(job: &Job) -> Self {
        let batch = job.batch;
        let kept = if job.plan == Plan::Checked { VOCAB } else { 0 };
        Self {
            barrier: Barrier::new(job.threads),
            stop: AtomicBool::new(false),
            qkv: Values::new(batch * 3 * DIM),
            attention: Values::new(batch * DIM),
            projected: Values::new(batch * DIM),
            hidden: Values::new(batch * HIDDEN),
            contracted: Values::new(batch * DIM),
            best: (0..job.threads * batch)
                .map(|_| AtomicU64::new(0))
                .collect(),
            logits: Values::new(batch * kept),
        }
    }
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

/// Keys and values of one head of one sequence in one layer.
struct Cache {
    keys: Vec<[f32; HEAD_DIM]>,
    values: Vec<[f32; HEAD_DIM]>,
}

struct Worker<'a> {
    model: &'a Model,
    job: &'a Job,
    shared: &'a Shared,
    index: usize,
    /// Pairs of sequence and head that this thread attends to; their caches are its own.
    heads: Range<usize>,
    caches: Vec<Cache>,
    /// The residual stream, `DIM` per sequence; the same in every thread.
    residual: Vec<f32>,
    narrow: Tiles,
    wide: Tiles,
}

impl<'a> Worker<'a> {
    fn new(model: &'a Model, job: &'a Job, shared: &'a Shared, index: usize) -> Self {
        let heads = share(job.batch * HEADS, index, job.threads);
        let caches = (0..LAYERS * heads.len())
            .map(|_| Cache {
                keys: vec![[0.0; HEAD_DIM]; CONTEXT],
                values: vec![[0.0; HEAD_DIM]; CONTEXT],
            })
            .collect();
        Self {
            model,
            job,
            shared,
            index,
            heads,
            caches,
            residual: vec![0.0; job.batch * DIM],
            narrow: Tiles::new(job.batch, DIM),
            wide: Tiles::new(job.batch, HIDDEN),
        }
    }

    fn run(mut self) -> Outcome {
        let mut outcome = Outcome::default();
        let checked = self.job.plan == Plan::Checked;
        let mut next = vec![0; self.job.batch];
        for position in 0..PROMPT {
            let given = prompt_tokens(self.job.first, self.job.batch, position);
            next = self.step(&given, position);
            if checked && self.index == 0 {
                self.keep_logits(&mut outcome);
            }
        }
        // Every window starts from the state after the prompt, so all do the same work.
        let start = next;
        let begun = Instant::now();
        let mut warm = checked;
        let mut window = 0;
        loop {
            self.shared.barrier.wait();
            let clock = Instant::now();
            let mut tokens = Vec::with_capacity(WINDOW * self.job.batch);
            let mut current = start.clone();
            for step in 0..WINDOW {
                tokens.extend_from_slice(&current);
                current = self.step(&current, PROMPT + step);
                if checked && self.index == 0 {
                    self.keep_logits(&mut outcome);
                }
            }
            let seconds = clock.elapsed().as_secs_f64();
            if self.index == 0 {
                window += 1;
                if window == 1 {
                    outcome.tokens = tokens;
                } else if outcome.tokens != tokens && outcome.deviating_window.is_none() {
                    outcome.deviating_window = Some(window);
                }
                let elapsed = begun.elapsed();
                if warm {
                    outcome.seconds.push(seconds);
                }
                warm |= elapsed >= WARM_UP && window >= 2;
                let enough = outcome.seconds.len() >= MIN_WINDOWS && elapsed >= WARM_UP + MEASURE;
                self.shared.stop.store(checked || enough, Ordering::Relaxed);
            }
            self.shared.barrier.wait();
            if self.shared.stop.load(Ordering::Relaxed) {
                return outcome;
            }
        }
    }

    /// One token for every sequence. All threads call it together.
    fn step(&mut self, tokens: &[usize], position: usize) -> Vec<usize> {
        let clock = Instant::now();
        for (row, &token) in self.residual.chunks_exact_mut(DIM).zip(tokens) {
            row.copy_from_slice(&self.model.embedding[token * DIM..][..DIM]);
        }
        for index in 0..LAYERS {
            self.attend(index, position);
            self.transform(index);
        }
        let next = self.choose();
        if self.job.slowdown > 0.0 && self.index == 0 {
            let end = clock.elapsed().mul_f64(1.0 + self.job.slowdown);
            while clock.elapsed() < end {
                std::hint::spin_loop();
            }
        }
        next
    }

    /// Attention block: norm, projections, rotation, attention, projection back.
    fn attend(&mut self, layer: usize, position: usize) {
        let (index, threads) = (self.index, self.job.threads);
        let weights = &self.model.layers[layer];
        let shared = self.shared;
        normalise(&self.residual, &weights.attention_norm, &mut self.narrow);
        for panel in share(weights.qkv.panels(), index, threads) {
            weights.qkv.apply(panel, &self.narrow, |row, values| {
                shared.qkv.set_lanes(row * 3 * DIM + panel * LANES, values);
            });
        }
        shared.barrier.wait();

        let count = self.heads.len();
        let rotation = &self.model.rotation[position * HEAD_DIM / 2..][..HEAD_DIM / 2];
        for (slot, pair) in self.heads.clone().enumerate() {
            let (row, head) = (pair / HEADS, pair % HEADS);
            let read = |part: usize| -> [f32; HEAD_DIM] {
                let from = (row * 3 + part) * DIM + head * HEAD_DIM;
                std::array::from_fn(|i| shared.qkv.get(from + i))
            };
            let query = rotate(read(0), rotation);
            let cache = &mut self.caches[layer * count + slot];
            cache.keys[position] = rotate(read(1), rotation);
            cache.values[position] = read(2);
            let result = attention(&query, &cache.keys[..=position], &cache.values[..=position]);
            for (i, value) in result.into_iter().enumerate() {
                shared.attention.set(row * DIM + head * HEAD_DIM + i, value);
            }
        }
        shared.barrier.wait();

        self.narrow
            .fill(DIM, |row, col| shared.attention.get(row * DIM + col));
        for panel in share(weights.output.panels(), index, threads) {
            weights.output.apply(panel, &self.narrow, |row, values| {
                shared
                    .projected
                    .set_lanes(row * DIM + panel * LANES, values);
            });
        }
        shared.barrier.wait();
        for (i, value) in self.residual.iter_mut().enumerate() {
            *value += shared.projected.get(i);
        }
    }

    /// SwiGLU block.
    fn transform(&mut self, layer: usize) {
        let (index, threads) = (self.index, self.job.threads);
        let weights = &self.model.layers[layer];
        let shared = self.shared;
        normalise(&self.residual, &weights.mlp_norm, &mut self.narrow);
        let mut gates = vec![[0.0; LANES]; self.job.batch];
        for panel in share(weights.gate.panels(), index, threads) {
            weights.gate.apply(panel, &self.narrow, |row, values| {
                gates[row] = values.map(|gate| gate / (1.0 + (-gate).exp()));
            });
            weights.up.apply(panel, &self.narrow, |row, mut values| {
                for (value, gate) in values.iter_mut().zip(gates[row]) {
                    *value *= gate;
                }
                shared
                    .hidden
                    .set_lanes(row * HIDDEN + panel * LANES, values);
            });
        }
        shared.barrier.wait();

        self.wide
            .fill(HIDDEN, |row, col| shared.hidden.get(row * HIDDEN + col));
        for panel in share(weights.down.panels(), index, threads) {
            weights.down.apply(panel, &self.wide, |row, values| {
                shared
                    .contracted
                    .set_lanes(row * DIM + panel * LANES, values);
            });
        }
        shared.barrier.wait();
        for (i, value) in self.residual.iter_mut().enumerate() {
            *value += shared.contracted.get(i);
        }
    }

    /// Output head and greedy choice: the largest logit, the lowest token on a tie.
    fn choose(&mut self) -> Vec<usize> {
        let (batch, threads) = (self.job.batch, self.job.threads);
        let shared = self.shared;
        let keep = self.job.plan == Plan::Checked;
        normalise(&self.residual, &self.model.final_norm, &mut self.narrow);
        let mut best = vec![(f32::NEG_INFINITY, 0); batch];
        for panel in share(self.model.head.panels(), self.index, threads) {
            self.model.head.apply(panel, &self.narrow, |row, values| {
                if keep {
                    shared.logits.set_lanes(row * VOCAB + panel * LANES, values);
                }
                for (lane, value) in values.into_iter().enumerate() {
                    if value > best[row].0 {
                        best[row] = (value, panel * LANES + lane);
                    }
                }
            });
        }
        for (row, (logit, token)) in best.into_iter().enumerate() {
            let both = u64::from(logit.to_bits()) << 32 | token as u64;
            shared.best[self.index * batch + row].store(both, Ordering::Relaxed);
        }
        shared.barrier.wait();
        (0..batch)
            .map(|row| {
                let mut chosen = (f32::NEG_INFINITY, 0);
                for thread in 0..threads {
                    let both = shared.best[thread * batch + row].load(Ordering::Relaxed);
                    let logit = f32::from_bits((both >> 32) as u32);
                    if logit > chosen.0 {
                        chosen = (logit, both as u32 as usize);
                    }
                }
                chosen.1
            })
            .collect()
    }

    fn keep_logits(&self, outcome: &mut Outcome) {
        let count = self.job.batch * VOCAB;
        outcome
            .logits
            .extend((0..count).map(|i| self.shared.logits.get(i)));
    }
}

/// The part of `total` items that falls to one thread.
fn share(total: usize, index: usize, threads: usize) -> Range<usize> {
    total * index / threads..total * (index + 1) / threads
}

/// Prompts differ from sequence to sequence, so that a mix-up of rows cannot hide.
fn prompt_tokens(first: usize, batch: usize, position: usize) -> Vec<usize> {
    (first..first + batch)
        .map(|row| (row * 977 + position * 131 + position * position * 7 + 1) % VOCAB)
        .collect()
}

fn normalise(input: &[f32], gains: &[f32], output: &mut Tiles) {
    let scales: Vec<f32> = input
        .chunks_exact(DIM)
        .map(|row| {
            let squares: f32 = row.iter().map(|value| value * value).sum();
            1.0 / (squares / DIM as f32 + 1e-6).sqrt()
        })
        .collect();
    output.fill(DIM, |row, col| {
        input[row * DIM + col] * scales[row] * gains[col]
    });
}

fn rotate(mut head: [f32; HEAD_DIM], rotation: &[(f32, f32)]) -> [f32; HEAD_DIM] {
    let half = HEAD_DIM / 2;
    for (i, &(cos, sin)) in rotation.iter().enumerate() {
        let (a, b) = (head[i], head[i + half]);
        head[i] = a * cos - b * sin;
        head[i + half] = a * sin + b * cos;
    }
    head
}

fn attention(
    query: &[f32; HEAD_DIM],
    keys: &[[f32; HEAD_DIM]],
    values: &[[f32; HEAD_DIM]],
) -> [f32; HEAD_DIM] {
    let scale = 1.0 / (HEAD_DIM as f32).sqrt();
    let mut scores = [0.0f32; CONTEXT];
    let scores = &mut scores[..keys.len()];
    let mut largest = f32::NEG_INFINITY;
    for (score, key) in scores.iter_mut().zip(keys) {
        // Eight sums side by side, in a fixed order, so that the loop vectorises.
        let mut sums = [0.0f32; 8];
        for (q, k) in query.as_chunks::<8>().0.iter().zip(key.as_chunks::<8>().0) {
            for i in 0..8 {
                sums[i] = multiply_add(q[i], k[i], sums[i]);
            }
        }
        *score = sums.iter().sum::<f32>() * scale;
        largest = largest.max(*score);
    }
    let mut total = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - largest).exp();
        total += *score;
    }
    let mut result = [0.0f32; HEAD_DIM];
    for (score, value) in scores.iter().zip(values) {
        let weight = score / total;
        for (result, value) in result.iter_mut().zip(value) {
            *result = multiply_add(weight, *value, *result);
        }
    }
    result
}

// --------------------------------------------------------------------- checks

/// Logits of every position, computed the plain way: all positions at once, no cache,
/// one thread, f64.
fn reference_logits(model: &Model, tokens: &[usize]) -> Vec<Vec<f64>> {
    fn norm(input: &[f64], gains: &[f32]) -> Vec<f64> {
        let mean = input.iter().map(|value| value * value).sum::<f64>() / DIM as f64;
        let scale = 1.0 / (mean + 1e-6).sqrt();
        let gains = gains.iter().map(|&gain| f64::from(gain));
        input
            .iter()
            .zip(gains)
            .map(|(x, gain)| x * scale * gain)
            .collect()
    }
    fn times(weights: &Packed, input: &[f64]) -> Vec<f64> {
        (0..weights.rows)
            .map(|row| {
                (0..weights.cols)
                    .map(|col| f64::from(weights.weight(row, col)) * input[col])
                    .sum()
            })
            .collect()
    }
    fn turn(vector: &mut [f64], position: usize) {
        let half = HEAD_DIM / 2;
        for head in vector.chunks_exact_mut(HEAD_DIM) {
            for i in 0..half {
                let exponent = -2.0 * i as f64 / HEAD_DIM as f64;
                let (sin, cos) = (position as f64 * 10_000f64.powf(exponent)).sin_cos();
                let (a, b) = (head[i], head[i + half]);
                head[i] = a * cos - b * sin;
                head[i + half] = a * sin + b * cos;
            }
        }
    }

    let mut stream: Vec<Vec<f64>> = tokens
        .iter()
        .map(|token| {
            let row = &model.embedding[token * DIM..][..DIM];
            row.iter().map(|&value| f64::from(value)).collect()
        })
        .collect();
    for layer in &model.layers {
        let projected: Vec<(Vec<f64>, Vec<f64>, Vec<f64>)> = stream
            .iter()
            .enumerate()
            .map(|(position, row)| {
                let mut all = times(&layer.qkv, &norm(row, &layer.attention_norm));
                let value = all.split_off(2 * DIM);
                let mut key = all.split_off(DIM);
                turn(&mut all, position);
                turn(&mut key, position);
                (all, key, value)
            })
            .collect();
        for (position, row) in stream.iter_mut().enumerate() {
            let mut mixed = vec![0.0; DIM];
            for head in 0..HEADS {
                let span = head * HEAD_DIM..(head + 1) * HEAD_DIM;
                let query = &projected[position].0[span.clone()];
                let seen = &projected[..=position];
                let weights: Vec<f64> = seen
                    .iter()
                    .map(|(_, key, _)| {
                        let dot: f64 = query
                            .iter()
                            .zip(&key[span.clone()])
                            .map(|(q, k)| q * k)
                            .sum();
                        (dot / (HEAD_DIM as f64).sqrt()).exp()
                    })
                    .collect();
                let total: f64 = weights.iter().sum();
                for (weight, (_, _, value)) in weights.iter().zip(seen) {
                    for i in span.clone() {
                        mixed[i] += weight / total * value[i];
                    }
                }
            }
            for (x, change) in row.iter_mut().zip(times(&layer.output, &mixed)) {
                *x += change;
            }
            let normed = norm(row, &layer.mlp_norm);
            let gate = times(&layer.gate, &normed);
            let up = times(&layer.up, &normed);
            let hidden: Vec<f64> = gate
                .iter()
                .zip(up)
                .map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up)
                .collect();
            for (x, change) in row.iter_mut().zip(times(&layer.down, &hidden)) {
                *x += change;
            }
        }
    }
    stream
        .iter()
        .map(|row| times(&model.head, &norm(row, &model.final_norm)))
        .collect()
}

fn check_against_reference(model: &Model) -> Result<(), String> {
    const POSITIONS: usize = 12;
    const TOLERANCE: f64 = 1e-3;
    let tokens: Vec<usize> = (0..POSITIONS)
        .map(|position| prompt_tokens(0, 1, position)[0])
        .collect();
    let expected = reference_logits(model, &tokens);
    let job = Job {
        first: 0,
        batch: 1,
        threads: 1,
        slowdown: 0.0,
        plan: Plan::Checked,
    };
    let outcome = decode(model, &job);
    for (position, (expected, found)) in expected
        .iter()
        .zip(outcome.logits.chunks_exact(VOCAB))
        .enumerate()
    {
        let scale = expected
            .iter()
            .fold(0.0f64, |most, value| most.max(value.abs()));
        for (token, (expected, found)) in expected.iter().zip(found).enumerate() {
            let error = (expected - f64::from(*found)).abs() / scale;
            if error.is_nan() || error > TOLERANCE {
                return Err(format!(
                    "check failed: logit of token {token} at position {position} is {found} with \
                     the cache and {expected} without, relative error {error:.2e}"
                ));
            }
        }
    }
    Ok(())
}

fn check_independence(model: &Model, threads: usize) -> Result<(), String> {
    let checked = |first, batch, threads| {
        let job = Job {
            first,
            batch,
            threads,
            slowdown: 0.0,
            plan: Plan::Checked,
        };
        decode(model, &job)
    };
    let single = checked(0, 3, 1);
    let mut distinct = single.tokens.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 4 {
        return Err(format!(
            "check failed: only {} distinct tokens",
            distinct.len()
        ));
    }
    let mut counts = vec![2, 3, threads.min(16)];
    counts.sort_unstable();
    counts.dedup();
    for count in counts {
        let other = checked(0, 3, count);
        if other.tokens != single.tokens || other.logits != single.logits {
            return Err(format!(
                "check failed: {count} threads decode otherwise than one"
            ));
        }
    }
    for row in 0..3 {
        let alone = checked(row, 1, 1);
        let together = single.tokens.iter().skip(row).step_by(3);
        if !alone.tokens.iter().eq(together) {
            return Err(format!(
                "check failed: sequence {row} decodes otherwise in a batch than alone"
            ));
        }
    }
    Ok(())
}

// ---------------------------------------------------------------------- small

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

/// FNV-1a over the tokens.
fn fingerprint(tokens: &[usize]) -> u64 {
    tokens.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &token| {
        (hash ^ token as u64).wrapping_mul(0x100_0000_01b3)
    })
}
