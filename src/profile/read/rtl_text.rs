//! The text summary of rocm_trace_lite: a table of kernels, then a line per GPU.

use std::io::{BufRead, BufReader, Read};

use super::Outcome;
use crate::profile::trace::Trace;

/// Longest line that is looked at.
const LINE_MAX: u64 = 64 << 10;

pub(super) fn is_summary(text: &str) -> bool {
    text.lines().take(40).any(is_header)
}

fn is_header(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    words == ["Kernel", "Calls", "Total(us)", "Avg(us)", "%"]
}

pub(super) fn read(stream: impl Read, trace: &mut Trace) -> Outcome {
    let mut outcome = Outcome::default();
    let mut stream = BufReader::new(stream);
    let mut in_table = false;
    let (mut busy, mut wall, mut listed) = (0.0, 0.0, 0.0);
    loop {
        let mut line = Vec::new();
        match (&mut stream).take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) => {}
            Err(e) => {
                outcome.problem = Some(format!("it cannot be read to its end: {e}"));
                break;
            }
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        if is_header(line) {
            in_table = true;
        } else if line.is_empty() || line.starts_with("GPU Utilization") {
            in_table = false;
        } else if let Some((b, w)) = utilization(line) {
            busy += b;
            wall += w;
        } else if in_table && !line.starts_with("===") {
            // The name may have blanks in it; the four numbers are the last words.
            match row(line) {
                Some((name, calls, total_us, share)) => {
                    trace.summed(name, None, calls, (total_us * 1e3).round() as u64);
                    listed += share;
                }
                None => outcome.notes.push(format!("a row that cannot be read: {line:?}")),
            }
        }
    }
    // The sum over kernels, which may overlap.
    outcome.stated_busy = (wall > 0.0).then(|| (busy / wall).min(1.0));
    if (1.0..97.0).contains(&listed) {
        outcome.notes.push(format!(
            "it lists the longest-running kernels only, {listed:.0} % of the time; the database \
             beside it has all"
        ));
    }
    outcome
}

/// `  GPU 0: 8.6% (397292 ops, 3712.0ms busy, 43162.8ms wall)`: busy and wall.
fn utilization(line: &str) -> Option<(f64, f64)> {
    let rest = line.trim_start().strip_prefix("GPU ")?;
    let inside = rest.split_once('(')?.1.strip_suffix(')')?;
    let mut parts = inside.split(", ").skip(1);
    let busy = parts.next()?.strip_suffix("ms busy")?.parse().ok()?;
    let wall = parts.next()?.strip_suffix("ms wall")?.parse().ok()?;
    Some((busy, wall))
}

/// Name, calls, µs and share.
fn row(line: &str) -> Option<(&str, u64, f64, f64)> {
    let mut rest = line;
    let mut take = || {
        rest = rest.trim_end();
        let start = rest.rfind(char::is_whitespace)? + 1;
        let word = &rest[start..];
        rest = &rest[..start];
        Some(word)
    };
    let share = take()?.parse().ok()?;
    let _mean: f64 = take()?.parse().ok()?;
    let total: f64 = take()?.parse().ok()?;
    let calls = take()?.parse().ok()?;
    (total.is_finite() && total >= 0.0).then(|| (rest.trim(), calls, total, share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_lines_as_it_writes_them() {
        let name = "void at::native::elementwise_kernel<128, 4>(int)";
        let line = format!("{name:<60} {:>6} {:>10.1} {:>8.1} {:>6.1}", 120, 456.7, 3.8, 27.1);
        assert_eq!(row(&line), Some((name, 120, 456.7, 27.1)));
        assert_eq!(row("===="), None);
        let line = "  GPU 0: 8.6% (397292 ops, 3712.0ms busy, 43162.8ms wall)";
        assert_eq!(utilization(line), Some((3712.0, 43162.8)));
    }
}
