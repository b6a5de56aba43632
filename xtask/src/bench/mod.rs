//! `cargo xtask bench`: how fast the rings are, and what isolation-host costs.

pub(crate) mod counts;
mod machine;
mod plot;
mod report;
mod samples;
mod targets;
mod valgrind;

use std::fs;
use std::io;

use anyhow::{Context as _, Result};
use end_to_end::artifacts::target_dir;

use crate::command::{cargo, run as run_command};

/// The suites, in the order in which they run.
const SUITES: [&str; 3] = ["ring", "chain", "forward"];

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Count ring-core's instructions for each request, and compare them with benches/counts.txt.
    #[arg(long)]
    count: bool,
    /// Write what was counted to benches/counts.txt.
    #[arg(long, requires = "count")]
    accept: bool,
}

/// Measures.
pub(crate) fn run(options: &Options) -> Result<()> {
    match options {
        Options { accept: true, .. } => counts::accept(),
        Options { count: true, .. } => counts::check(),
        Options { .. } => time(),
    }
}

/// Runs all suites and writes the report.
fn time() -> Result<()> {
    let directory = target_dir()?.join("bench");
    let samples = directory.join("samples");
    match fs::remove_dir_all(&samples) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("{} cannot be removed", samples.display()));
        }
        _ => {}
    }
    // One of the suites runs it.
    run_command(&mut cargo(["build", "--release", "--package", "isolation-host"]))?;
    for suite in SUITES {
        // Criterion shows its own progress.
        run_command(&mut cargo(["bench", "--bench", suite]))?;
    }
    report::write(&directory, &samples::read(&samples)?)
}
