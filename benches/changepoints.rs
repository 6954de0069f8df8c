//! Change points: time, false alarms and power on simulated series, and agreement with
//! people on labelled ones.
//!
//! `MAD_SERIES` names a file of labelled series, plain JSON or gzipped: an object of series id
//! → `{"series": [y0, y1, …], "annotations": {"<annotator>": [index, …]}}`. Without it that
//! part is left out.

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use common::{Table, Times, timed};
use fastrand::Rng;
use flate2::read::GzDecoder;
use mad_harness::history::change_points;
use serde::Deserialize;
use statrs::distribution::{ContinuousCDF, Normal};

const LENGTHS: [usize; 4] = [20, 50, 100, 300];
/// Simulated series per cell of the tables.
const TRIALS: usize = 1000;
/// Coefficient of variation of the simulated noise.
const CV: f64 = 0.02;
/// How far from a mark a change point may be.
const MARGIN: usize = 5;
/// Series with fewer annotators are left out.
const ANNOTATORS: usize = 3;

fn main() -> ExitCode {
    let mut table = Table::default();
    for n in [1000, 10_000, 100_000] {
        time(&mut table, n);
    }
    for noise in [Noise::Gaussian, Noise::Outliers, Noise::Autoregressive] {
        false_alarms(&mut table, noise);
    }
    for noise in [Noise::Gaussian, Noise::Outliers, Noise::Autoregressive] {
        for step in [0.02, 0.05, 0.10] {
            power(&mut table, noise, step);
        }
    }
    let status = table.finish("change points, on series of 20, 50, 100, 300 values");
    match std::env::var_os("MAD_SERIES").filter(|path| !path.is_empty()) {
        Some(path) => agreement(path.as_ref()),
        None => println!("Agreement with people: left out, MAD_SERIES names no labelled series"),
    }
    status
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Noise {
    Gaussian,
    /// Log-normal, and 3 % of the values are 15 % larger.
    Outliers,
    /// Each value resembles the one before: correlation 0.5.
    Autoregressive,
}

impl Noise {
    fn series(self, rng: &mut Rng, n: usize) -> Vec<f64> {
        let standard = Normal::standard();
        // Never 0 or 1, whose quantiles are infinite.
        let mut normal = || standard.inverse_cdf((rng.f64() + 1e-17).min(1.0 - 1e-16));
        let mut noise: Vec<f64> = (0..n).map(|_| normal()).collect();
        match self {
            Noise::Gaussian => noise.iter().map(|z| 100.0 * (1.0 + CV * z)).collect(),
            Noise::Outliers => {
                let outlier = |rng: &mut Rng| if rng.f64() < 0.03 { 1.15 } else { 1.0 };
                noise.iter().map(|z| 100.0 * (CV * z).exp() * outlier(rng)).collect()
            }
            Noise::Autoregressive => {
                for i in 1..n {
                    noise[i] = 0.5 * noise[i - 1] + 0.75_f64.sqrt() * noise[i];
                }
                noise.iter().map(|z| 100.0 * (1.0 + CV * z)).collect()
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Noise::Gaussian => "Gaussian, CV 2 %",
            Noise::Outliers => "log-normal, 3 % outliers",
            Noise::Autoregressive => "autoregressive, ρ 0.5",
        }
    }
}

/// A series with noise and a step every thousand values, and one without any step.
fn time(table: &mut Table, n: usize) {
    let flat = Noise::Gaussian.series(&mut Rng::with_seed(1), n);
    let steps: Vec<f64> =
        flat.iter().enumerate().map(|(i, y)| y * (1.0 + 0.1 * (i / 1000 % 2) as f64)).collect();
    for (series, kind, expected) in [(flat, "no step", 0), (steps, "steps", (n - 1) / 1000)] {
        let mut all = Vec::new();
        for _ in 0..5 {
            let (found, took) = timed(|| change_points(&series));
            assert_eq!(found.points.len(), expected, "{kind}, {n}");
            all.push(took);
        }
        let times = Times::new(all);
        let what = format!("time for {n} values, {kind}");
        if n == 10_000 {
            table.below(&what, times.best() * 1e3, 100.0, "ms", &times.text());
        } else {
            table.tell(&what, times.text(), "", "");
        }
    }
}

fn false_alarms(table: &mut Table, noise: Noise) {
    let flagged = |n| {
        let mut rng = Rng::with_seed(n as u64);
        let flagged = |_: &usize| !change_points(&noise.series(&mut rng, n)).points.is_empty();
        (0..TRIALS).filter(flagged).count()
    };
    let shares = LENGTHS.map(|n| flagged(n) as f64 / TRIALS as f64);
    let what = format!("series flagged without a change: {}", noise.name());
    let worst = shares.iter().copied().fold(0.0, f64::max);
    table.below(&what, worst * 100.0, 5.0, "%", &percents(shares));
}

/// Share of series whose step, in the middle, is found within the margin.
fn power(table: &mut Table, noise: Noise, step: f64) {
    let shares = LENGTHS.map(|n| {
        let mut rng = Rng::with_seed(n as u64);
        let found = |_: &usize| {
            let mut series = noise.series(&mut rng, n);
            series[n / 2..].iter_mut().for_each(|y| *y *= 1.0 + step);
            change_points(&series).points.iter().any(|p| p.index.abs_diff(n / 2) <= MARGIN)
        };
        (0..TRIALS).filter(found).count() as f64 / TRIALS as f64
    });
    let what = format!("steps of {:.0} % found: {}", step * 100.0, noise.name());
    table.tell(&what, percents(shares), "", "");
}

fn percents(shares: [f64; LENGTHS.len()]) -> String {
    shares.map(|s| format!("{:.1}", s * 100.0)).join(" / ") + " %"
}

#[derive(Deserialize)]
struct Labelled {
    series: Vec<f64>,
    annotations: BTreeMap<String, Vec<usize>>,
}

/// The last line is for programs.
fn agreement(path: &Path) {
    let labelled: BTreeMap<String, Labelled> = read(path);
    let all: Vec<&Labelled> =
        labelled.values().filter(|l| l.annotations.len() >= ANNOTATORS).collect();
    let nothing: Vec<Score> = all.iter().map(|l| Score::of(&l.annotations, &[])).collect();
    println!("Agreement with people on {} series; nothing found at all would be", all.len());
    println!("  {}", Score::mean(&nothing));
    let (mut scores, mut quiet, mut flagged) = (Vec::new(), 0, 0);
    for labelled in &all {
        let found: Vec<usize> =
            change_points(&labelled.series).points.iter().map(|p| p.index).collect();
        scores.push(Score::of(&labelled.annotations, &found));
        if labelled.annotations.values().all(Vec::is_empty) {
            quiet += 1;
            flagged += usize::from(!found.is_empty());
        }
    }
    println!("{} quiet-flagged {flagged}/{quiet}", Score::mean(&scores));
}

fn read(path: &Path) -> BTreeMap<String, Labelled> {
    let file = BufReader::new(File::open(path).expect("MAD_SERIES names a readable file"));
    let gzipped = path.extension().is_some_and(|e| e == "gz");
    let mut text = String::new();
    let mut reader: Box<dyn Read> =
        if gzipped { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    reader.read_to_string(&mut text).expect("MAD_SERIES is text, or gzipped text in a .gz");
    serde_json::from_str(&text).expect("MAD_SERIES holds labelled series")
}

/// The F-measure of the Turing Change Point Dataset for several annotators (van den Burg,
/// Williams, "An evaluation of change point detection algorithms", 2020).
struct Score {
    f1: f64,
    precision: f64,
    recall: f64,
}

impl Score {
    fn of(annotations: &BTreeMap<String, Vec<usize>>, found: &[usize]) -> Score {
        // Everybody agrees that a series begins.
        let with_start = |marks: &[usize]| {
            let mut marks = [&[0], marks].concat();
            marks.sort_unstable();
            marks.dedup();
            marks
        };
        let found = with_start(found);
        let anybody = with_start(&annotations.values().flatten().copied().collect::<Vec<_>>());
        let precision = matched(&anybody, &found) as f64 / found.len() as f64;
        let recalls = annotations.values().map(|marks| {
            let marks = with_start(marks);
            matched(&marks, &found) as f64 / marks.len() as f64
        });
        let recall = recalls.sum::<f64>() / annotations.len() as f64;
        Score { f1: 2.0 * precision * recall / (precision + recall), precision, recall }
    }

    fn mean(scores: &[Score]) -> Score {
        let mean = |of: fn(&Score) -> f64| scores.iter().map(of).sum::<f64>() / scores.len() as f64;
        Score { f1: mean(|s| s.f1), precision: mean(|s| s.precision), recall: mean(|s| s.recall) }
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Score { f1, precision, recall } = self;
        write!(f, "F1 {f1:.4} precision {precision:.4} recall {recall:.4}")
    }
}

/// How many of the marks have a change point of their own within the margin.
fn matched(marks: &[usize], found: &[usize]) -> usize {
    let mut left = found.to_vec();
    let near = |mark: &&usize| {
        let nearest = (0..left.len()).min_by_key(|i| left[*i].abs_diff(**mark));
        let nearest = nearest.filter(|i| left[*i].abs_diff(**mark) <= MARGIN);
        nearest.map(|i| left.remove(i)).is_some()
    };
    marks.iter().filter(near).count()
}
