//! The table of the results.

use std::time::Duration;

use super::suites::{Passed, SUITES, Suite, left_out};
use super::targets::Target;

/// The head of the column of all suites over bursts.
const BURSTS: &str = "over bursts";

/// The results on a processor.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) target: &'static Target,
    pub(super) passed: Vec<Passed>,
    /// The results of the same suites over bursts; empty if they did not run.
    pub(super) over_bursts: Vec<Passed>,
    pub(super) took: Duration,
}

impl Row {
    /// Returns the number of passed tests of all suites.
    pub(super) fn total(&self) -> u64 {
        self.passed.iter().chain(&self.over_bursts).map(|passed| passed.tests).sum()
    }

    /// Returns the number of passed tests over bursts, or a dash.
    fn bursts_cell(&self) -> String {
        let tests = self.over_bursts.iter().map(|passed| passed.tests).sum();
        if tests == 0 { "–".to_owned() } else { u64::to_string(&tests) }
    }

    /// Returns the number of passed tests of a suite, or a dash.
    fn cell(&self, suite: &Suite) -> String {
        let passed = self.passed.iter().find(|passed| passed.suite == suite.name);
        passed.map_or("–".to_owned(), |passed| passed.tests.to_string())
    }

    fn line(&self) -> String {
        let cells: String =
            SUITES.iter().map(|suite| format!(" {:>w$}", self.cell(suite), w = suite.name.len())).collect();
        let (bursts, width) = (self.bursts_cell(), BURSTS.len());
        let Self { target, took, .. } = self;
        format!("  {:8}{cells} {bursts:>width$} {:>6} s  {}", target.name, took.as_secs(), target.why)
    }
}

/// Prints the table, and what is missing in the table.
pub(super) fn show(rows: &[Row], full: bool) {
    println!("\nPassed tests of ring-core, by processor and suite");
    let heads: String = SUITES.iter().map(|suite| format!(" {}", suite.name)).collect();
    println!("  {:8}{heads} {BURSTS}     time", "");
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
        let row = Row {
            target: &TARGETS[2],
            passed: passed.into(),
            over_bursts: Vec::new(),
            took: Duration::from_secs(7),
        };
        assert_eq!(row.total(), 59);
        let line = "  s390x      16           –            –       –     –           –    43           –      \
                    7 s  big-endian";
        assert_eq!(row.line(), line);
    }

    #[test]
    fn tests_over_bursts_have_a_column_and_count() {
        let passed = |tests| vec![Passed { suite: "rings".into(), tests }];
        let row = Row {
            target: &TARGETS[2],
            passed: passed(43),
            over_bursts: passed(42),
            took: Duration::from_secs(7),
        };
        assert_eq!(row.total(), 85);
        assert!(row.line().ends_with("    43          42      7 s  big-endian"), "{}", row.line());
    }
}
