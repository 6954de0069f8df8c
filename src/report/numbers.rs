//! Numbers as people read them.

use super::Row;

impl Row {
    /// The number as people read it.
    pub fn shown(&self) -> String {
        match self.value {
            _ if !self.text.is_empty() => self.text.clone(),
            Some(value) => plain(value),
            None => String::new(),
        }
    }

    /// The change as a percentage.
    pub fn shown_change(&self) -> String {
        self.change.map(percentage).unwrap_or_default()
    }
}

/// A number without loss, in as few digits as that takes.
pub fn plain(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A relative change as a percentage with its sign.
pub fn percentage(change: f64) -> String {
    let percent = change * 100.0;
    if percent.abs() < 1e6 { format!("{percent:+.2}%") } else { format!("{percent:+.1e}%") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (value, text) in
            [(100.0, "100"), (0.1, "0.1"), (1e300, "1e300"), (-2.5e-9, "-2.5e-9"), (-0.0, "-0")]
        {
            assert_eq!(plain(value), text);
        }
        assert_eq!(percentage(-0.5), "-50.00%");
        assert_eq!(percentage(1e300), "+1.0e302%");
    }
}
