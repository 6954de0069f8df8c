//! Tables for people: columns as wide as they need, nothing cut.

use unicode_width::UnicodeWidthStr;

/// A table that is printed as it is, whatever the terminal's width: a name that is
/// cut is a name that cannot be copied.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles.
    pub fn new<const N: usize>(titles: [&str; N]) -> Table {
        Table { rows: vec![titles.map(str::to_owned).to_vec()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut widths = vec![0; self.rows.iter().map(Vec::len).max().unwrap_or(0)];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.lines().map(columns).fold(*width, usize::max);
            }
        }
        let mut line = String::new();
        for row in &self.rows {
            let mut cells: Vec<_> = row.iter().map(|cell| cell.lines()).collect();
            // A cell of several lines makes a row of as many.
            let height = row.iter().map(|cell| cell.lines().count()).max().unwrap_or(0);
            for _ in 0..height {
                line.clear();
                for (cell, width) in cells.iter_mut().zip(&widths) {
                    let cell = cell.next().unwrap_or_default();
                    line.push_str(cell);
                    line.extend(std::iter::repeat_n(' ', width - columns(cell) + 2));
                }
                writeln!(f, "{}", line.trim_end())?;
            }
        }
        Ok(())
    }
}

/// How many columns of a terminal `text` takes.
fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_line() {
        let mut table = Table::new(["NAME", "SAYS"]);
        table.row(["日本".to_owned(), "one\nlonger".to_owned()]);
        table.row(["a-long-name".to_owned(), String::new()]);
        let expected = "NAME         SAYS\n日本         one\n             longer\na-long-name\n";
        assert_eq!(table.to_string(), expected);
    }
}
