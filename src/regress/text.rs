//! Numbers as people read them.

/// Four significant digits, scientific outside 0.001 … 10 million.
pub(crate) fn number(x: f64) -> String {
    let size = x.abs();
    if size != 0.0 && !(1e-3..1e7).contains(&size) {
        return format!("{x:.3e}");
    }
    let digits = if size < 1.0 { 4 } else { 3_usize.saturating_sub(size.log10() as usize) };
    let text = format!("{x:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// A relative change as a percentage with one decimal.
pub(crate) fn percent(x: f64) -> String {
    let percent = x * 100.0;
    if percent.abs() < 1e4 { format!("{percent:.1} %") } else { format!("{percent:.1e} %") }
}

/// `1 run`, `2 runs`.
pub(crate) fn count(n: usize, word: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {word}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (x, text) in [
            (0.0, "0"),
            (12.5, "12.5"),
            (1234.56, "1235"),
            (1_000_000.0, "1000000"),
            (0.0123456, "0.0123"),
            (-99.996, "-100"),
            (3e-9, "3.000e-9"),
        ] {
            assert_eq!(number(x), text);
        }
        assert_eq!(percent(-0.1234), "-12.3 %");
        assert_eq!(percent(1e300), "1.0e302 %");
        assert_eq!(count(1, "run"), "1 run");
    }
}
