//! `cargo xtask bench`: the time of the rings, and the cost of isolation-host.

mod counted;
pub(crate) mod counts;
mod groups;
mod machine;
mod report;
mod samples;
mod table;
mod targets;

use anyhow::Result;
use end_to_end::artifacts::target_dir;
use xshell::{Shell, cmd};

use self::machine::Machine;
use crate::setup;

/// The suites, in the order in which they run.
const SUITES: [&str; 2] = ["ring", "forward"];

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Count ring-core's instructions for each request, and compare them with benches/counts.txt.
    #[arg(long)]
    count: bool,
    /// Write the counts to benches/counts.txt.
    #[arg(long, requires = "count")]
    accept: bool,
}

/// Sets up, and measures what the options ask for.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    setup::for_bench(sh)?;
    match options {
        Options { accept: true, .. } => counts::accept(sh),
        Options { count: true, .. } => counts::check(sh),
        Options { .. } => time(sh),
    }
}

/// Runs all suites and writes the report.
fn time(sh: &Shell) -> Result<()> {
    let samples = target_dir()?.join("bench/samples");
    sh.remove_path(&samples)?;
    // The suite `forward` runs isolation-host.
    cmd!(sh, "cargo build --release --package isolation-host").run()?;
    for suite in SUITES {
        cmd!(sh, "cargo bench --bench {suite}").run()?;
    }
    report::write(&samples::read(&samples)?, &Machine::this(sh)?)
}
