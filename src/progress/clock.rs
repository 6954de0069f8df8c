//! Times for people.

/// Seconds in words: `0.4 s`, `12 s`, `2 min 05 s`, `3 h 20 min`.
pub fn seconds(s: f64) -> String {
    // Rounded first: there is no `60 s`.
    let whole = s.max(0.0).round() as u64;
    match whole {
        _ if s < 9.95 => format!("{:.1} s", s.max(0.0)),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Seconds as a clock shows them, where room is short: `0:12`, `1:02:03`.
pub(super) fn clock(s: f64) -> String {
    let whole = s.max(0.0) as u64;
    match whole {
        ..3600 => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{}:{:02}:{:02}", whole / 3600, whole % 3600 / 60, whole % 60),
    }
}
