//! Tables as Markdown.

use std::fmt;

/// A table with a heading: the first column is text, the others are figures.
pub(crate) struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Makes a table without rows.
    pub(crate) fn new<const N: usize>(title: impl Into<String>, columns: [&str; N]) -> Self {
        Self::of(title, columns.map(str::to_owned).to_vec())
    }

    /// Makes a table without rows, of as many columns as there are names.
    pub(crate) fn of(title: impl Into<String>, columns: Vec<String>) -> Self {
        Self { title: title.into(), columns, rows: Vec::new() }
    }

    /// Adds a row; what lacks behind it is left empty.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        writeln!(f, "| {} |", self.columns.join(" | "))?;
        let rules = (0..self.columns.len()).map(|index| if index == 0 { "---" } else { "---:" });
        writeln!(f, "|{}|", rules.collect::<Vec<_>>().join("|"))?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_as_markdown() {
        let mut table = Table::new("Speed", ["case", "ours", "theirs"]);
        table.row(["one".to_owned(), "1".to_owned(), "2".to_owned()]);
        table.row(["other".to_owned()]);
        assert_eq!(
            table.to_string(),
            "### Speed\n\n| case | ours | theirs |\n|---|---:|---:|\n| one | 1 | 2 |\n| other |  |  |\n"
        );
    }
}
