//! A list with several levels.

use std::collections::BTreeMap;
use std::fmt;

/// Sorted lines, each with the lines below it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing(BTreeMap<String, Listing>);

impl Listing {
    /// Returns the list below a line. Adds the line if necessary.
    pub(super) fn at(&mut self, line: impl Into<String>) -> &mut Self {
        self.0.entry(line.into()).or_default()
    }

    fn write(&self, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(line, below)| {
            writeln!(f, "{:1$}{line}", "", 4 * depth)?;
            below.write(depth + 1, f)
        })
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(0, f)
    }
}
