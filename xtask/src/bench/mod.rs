//! `cargo xtask bench`: how fast the rings are.

pub(crate) mod counts;
mod valgrind;

use anyhow::Result;

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
        _ => counts::compare(),
    }
}
