//! The table of the results.

use std::time::Duration;

use super::suites::{Passed, SUITES, Suite, left_out};
use super::targets::Target;

/// The results on a processor.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) target: &'static Target,
    pub(super) passed: Vec<Passed>,
    pub(super) took: Duration,
}

impl Row {
    /// Returns the number of passed tests of all suites.
    pub(super) fn total(&self) -> u64 {
        self.passed.iter().map(|passed| passed.tests).sum()
    }

    /// Returns the number of passed tests of a suite, or a dash.
    fn cell(&self, suite: &Suite) -> String {
        let passed = self.passed.iter().find(|passed| passed.suite == suite.name);
        passed.map_or("–".to_owned(), |passed| passed.tests.to_string())
    }

    fn line(&self) -> String {
        let cells: String =
            SUITES.iter().map(|suite| format!(" {:>w$}", self.cell(suite), w = suite.name.len())).collect();
        let Self { target, took, .. } = self;
        format!("  {:8}{cells} {:>6} s  {}", target.name, took.as_secs(), target.why)
    }
}

/// Prints the table, and what is missing in the table.
pub(super) fn show(rows: &[Row], full: bool) {
    println!("\nPassed tests of ring-core, by processor and suite");
    let heads: String = SUITES.iter().map(|suite| format!(" {}", suite.name)).collect();
    println!("  {:8}{heads}     time", "");
    rows.iter().for_each(|row| println!("{}", row.line()));
    println!("  Left out:");
    left_out(full).iter().for_each(|line| println!("    {line}"));
}

#[cfg(test)]
mod tests {
    use super::super::targets::TARGETS;
    use super::*;

    #[test]
    fn a_suite_that_did_not_run_has_a_dash() {
        let passed =
            [("unit", 16), ("rings", 43)].map(|(suite, tests)| Passed { suite: suite.into(), tests });
        let row = Row { target: &TARGETS[2], passed: passed.into(), took: Duration::from_secs(7) };
        assert_eq!(row.total(), 59);
        let line =
            "  s390x      16           –            –       –     –           –    43      7 s  big-endian";
        assert_eq!(row.line(), line);
    }
}
