//! The stages of a task, and their times.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;

/// The stages that ran, in their order.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    times: Vec<(&'static str, Duration)>,
}

impl Stages {
    /// Runs a stage under a heading, and records its time.
    pub(crate) fn run(&mut self, name: &'static str, stage: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = stage();
        self.times.push((name, start.elapsed()));
        outcome
    }

    /// Returns the name of the last stage.
    pub(crate) fn last(&self) -> &'static str {
        self.times.last().map_or("", |(name, _)| name)
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nStages")?;
        self.times.iter().try_for_each(|(name, time)| writeln!(f, "  {name:22} {:6.1} s", time.as_secs_f64()))
    }
}
