//! The table of measured figures and their targets.

use std::fmt;
use std::time::Duration;

/// All figures measured so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

/// A figure and its target.
#[derive(Debug)]
struct Row {
    what: String,
    measured: String,
    target: String,
    met: bool,
}

impl Report {
    /// Adds a duration that should be at most `target`.
    pub(crate) fn at_most(&mut self, what: impl Into<String>, measured: Duration, target: Duration) {
        self.row(
            what.into(),
            milliseconds(measured),
            format!("≤ {}", milliseconds(target)),
            measured <= target,
        );
    }

    /// Adds a number of frames that should be 0.
    pub(crate) fn no_frames(&mut self, what: impl Into<String>, frames: usize) {
        self.row(what.into(), format!("{frames} frames"), "0 frames".to_owned(), frames == 0);
    }

    /// Adds a number of events a second that should be at most `target`.
    pub(crate) fn rate(&mut self, what: impl Into<String>, measured: u32, target: u32) {
        self.row(what.into(), measured.to_string(), format!("≤ {target}"), measured <= target);
    }

    fn row(&mut self, what: String, measured: String, target: String, met: bool) {
        eprintln!("{what}: {measured}");
        self.rows.push(Row { what, measured, target, met });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| figure | measured | target | |")?;
        writeln!(f, "|---|---:|---:|---|")?;
        for Row { what, measured, target, met } in &self.rows {
            let verdict = if *met { "met" } else { "missed" };
            writeln!(f, "| {what} | {measured} | {target} | {verdict} |")?;
        }
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1e3)
}

/// Returns the smallest of `durations` that at least 99 % of them do not exceed.
pub(crate) fn percentile_99(durations: impl Iterator<Item = Duration>) -> Duration {
    let mut durations: Vec<Duration> = durations.collect();
    durations.sort();
    durations[(durations.len() - 1) * 99 / 100]
}

/// Returns the longest of `durations`, or zero if there is none.
pub(crate) fn longest(durations: impl Iterator<Item = Duration>) -> Duration {
    durations.max().unwrap_or_default()
}
