//! Markdown: tables, and wrapped paragraphs.

use std::fmt;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    /// Returns a table without rows.
    pub(super) fn new(head: &[&str]) -> Self {
        Self { head: head.iter().map(|&cell| cell.to_owned()).collect(), rows: Vec::new() }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = vec!["---".to_owned(); self.head.len()];
        let mut lines = [&self.head, &rule].into_iter().chain(&self.rows);
        lines.try_for_each(|cells| writeln!(f, "| {} |", cells.join(" | ")))
    }
}

/// The width of paragraphs. The indented lines of a list item have 100 columns.
const COLUMNS: usize = 98;

/// Wraps paragraphs, which are separated by empty lines.
pub(super) fn wrapped(paragraphs: &str) -> String {
    let mut wrapped = String::new();
    for paragraph in paragraphs.split("\n\n") {
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > COLUMNS {
                wrapped += &format!("{line}\n");
                line.clear();
            }
            line += if line.is_empty() { "" } else { " " };
            line += word;
        }
        wrapped += &format!("{line}\n\n");
    }
    wrapped.trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_written_as_markdown() {
        let mut table = Table::new(&["a", "b"]);
        table.rows.push(vec!["≤ 1".to_owned(), "x < y".to_owned()]);
        assert_eq!(table.to_string(), "| a | b |\n| --- | --- |\n| ≤ 1 | x < y |\n");
    }

    #[test]
    fn paragraphs_stay_apart_and_within_their_width() {
        let text = wrapped(&format!("{}\n\nend", "four ".repeat(21)));
        assert_eq!(text, format!("{}four\nfour four\n\nend\n", "four ".repeat(18)));
    }
}
