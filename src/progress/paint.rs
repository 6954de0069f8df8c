//! The text: lines that stay, and what is shown at the end of a terminal.

use console::{Style, truncate_str};

use super::clock::{clock, seconds};

/// Seconds from which a time to come is worth a word in a line that stays.
const LONG_S: f64 = 60.0;

/// Something that runs, at one moment.
#[derive(Clone, Debug)]
pub(super) struct Shown<'a> {
    pub name: &'a str,
    /// What of it runs.
    pub step: &'a str,
    /// Seconds since it began.
    pub elapsed_s: f64,
    /// Seconds that it is known to take.
    pub expected_s: Option<f64>,
    /// The last line that its script printed.
    pub printed: String,
}

/// How much of the whole is done, at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub done: usize,
    pub total: usize,
    /// Seconds since the first began.
    pub elapsed_s: f64,
    /// Seconds until the last is likely to end.
    pub left_s: Option<f64>,
}

/// Text in which nothing moves the cursor.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// A step begins; `first` of all that its activity has.
pub(super) fn begun(shown: &Shown<'_>, first: bool) -> String {
    let expected = shown.expected_s.filter(|s| first && *s >= LONG_S);
    let expected = expected.map(|s| format!(", about {} expected", seconds(s)));
    format!("{}: {}{}", shown.name, shown.step, expected.unwrap_or_default())
}

/// It goes on.
pub(super) fn goes_on(shown: &Shown<'_>) -> String {
    let expected = shown.expected_s.map(|s| format!(" of about {}", seconds(s)));
    let mut line = format!(
        "{}: {}, {}{}",
        shown.name,
        shown.step,
        seconds(shown.elapsed_s),
        expected.unwrap_or_default()
    );
    if !shown.printed.is_empty() {
        line.push_str(" | ");
        line.push_str(&shown.printed);
    }
    line
}

/// It ended.
pub(super) fn ended(name: &str, how: &str, took_s: f64, count: Option<&Count>) -> String {
    let count = count.filter(|count| count.total > 1).map(|count| {
        let left = count.left_s.filter(|s| *s >= LONG_S);
        let left = left.map(|s| format!(", about {} left", seconds(s)));
        format!(" ({} of {} done{})", count.done, count.total, left.unwrap_or_default())
    });
    format!("{name}: {how} after {}{}", seconds(took_s), count.unwrap_or_default())
}

/// A line that tells of a failure.
pub(super) fn alarming(line: &str, colour: bool) -> String {
    Style::new().red().force_styling(colour).apply_to(line).to_string()
}

/// What a terminal of this size shows: a line for each that runs, what is waited for, and a line
/// for the whole. They are cut to its width, and those that find no room are counted.
pub(super) fn screen(
    running: &[Shown<'_>],
    waits: Option<&str>,
    count: &Count,
    (columns, rows): (usize, usize),
    colour: bool,
) -> String {
    // Half of the screen is for what was said.
    let room = (rows / 2).max(1);
    let (bold, dim) =
        (Style::new().bold().force_styling(colour), Style::new().dim().force_styling(colour));
    let fits = if running.len() > room { room - 1 } else { running.len() };
    let mut lines: Vec<String> = Vec::new();
    for shown in &running[..fits] {
        let expected = shown.expected_s.map(|s| format!("/{}", clock(s)));
        let time = format!("{}{}", clock(shown.elapsed_s), expected.unwrap_or_default());
        let (name, step) = (bold.apply_to(shown.name), shown.step);
        let mut line = format!("{time:>9}  {name}: {step}");
        if !shown.printed.is_empty() {
            line.push_str(&format!(" {}", dim.apply_to(format!("| {}", shown.printed))));
        }
        lines.push(line);
    }
    if fits < running.len() {
        lines.push(format!("{:>9}  and {} more", "", running.len() - fits));
    }
    lines.extend(waits.map(|why| format!("{:>9}  {why}", "")));
    if count.total > 1 || lines.is_empty() {
        let left = count.left_s.map(|s| format!(", about {} left", clock(s)));
        let (done, total, elapsed) = (count.done, count.total, clock(count.elapsed_s));
        lines.push(format!("{elapsed:>9}  {done} of {total} done{}", left.unwrap_or_default()));
    }
    let cut = |line: &String| truncate_str(line, columns, "…").into_owned();
    lines.iter().map(cut).collect::<Vec<_>>().join("\n")
}
