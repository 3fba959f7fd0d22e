//! Plain tables: columns two blanks apart, no lines, so that they can be read aloud, copied and cut.

/// Rows below their headings; every row has as many cells as there are headings.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// A table with these headings. One that begins with `>` is a column of numbers, aligned right.
    pub fn new(headings: &[&str]) -> Self {
        let right = headings.iter().map(|h| h.starts_with('>')).collect();
        let heading = headings
            .iter()
            .map(|h| h.trim_start_matches('>').to_owned())
            .collect();
        Self {
            rows: vec![heading],
            right,
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Whether there is nothing but headings.
    pub fn is_empty(&self) -> bool {
        self.rows.len() < 2
    }

    /// The lines of the table.
    pub fn lines(&self) -> Vec<String> {
        let columns = self.right.len();
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|r| r.get(column))
                .map(|c| console_width(c))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let mut text = String::new();
            for (i, cell) in row.iter().enumerate() {
                let gap = " ".repeat(
                    widths
                        .get(i)
                        .copied()
                        .unwrap_or(0)
                        .saturating_sub(console_width(cell)),
                );
                let right = self.right.get(i).copied().unwrap_or(false);
                let (before, after) = if right {
                    (gap.as_str(), "")
                } else {
                    ("", gap.as_str())
                };
                if i > 0 {
                    text.push_str("  ");
                }
                text.push_str(before);
                text.push_str(cell);
                text.push_str(after);
            }
            text.trim_end().to_owned()
        };
        self.rows.iter().map(line).collect()
    }
}

/// Columns a text takes: one for each character. Wide characters come out of line, nothing worse.
fn console_width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["PROFILE", ">SIZE", "NOTE"]);
        table.row(vec!["home".into(), "41.2 GiB".into(), String::new()]);
        table.row(vec!["mail-server".into(), "9 B".into(), "x".into()]);
        assert_eq!(
            table.lines(),
            [
                "PROFILE          SIZE  NOTE",
                "home         41.2 GiB",
                "mail-server       9 B  x",
            ]
        );
    }
}
