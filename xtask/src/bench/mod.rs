//! `cargo xtask bench`: the time of the rings, and the cost of isolation-host.

mod counted;
pub(crate) mod counts;
mod groups;
mod machine;
mod plots;
mod reasons;
mod report;
mod samples;
mod summary;
mod table;
mod targets;

use std::fs;
use std::path::Path;

use anyhow::Result;
use end_to_end::artifacts::target_dir;
use xshell::{Shell, cmd};

use self::counted::What;
use self::machine::Machine;
use self::report::Runs;
use crate::setup;

/// The suites, in the order in which they run.
const SUITES: [&str; 2] = ["ring", "forward"];

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Count ring-core's instructions for each request, and compare them with benches/counts.txt.
    #[arg(long)]
    count: bool,
    /// Accept the counts: write the counts to benches/counts.txt, and do not fail if they differ.
    #[arg(long, requires = "count")]
    accept: bool,
    /// Count the instructions of all implementations, and write benches/RESULTS.md with the times
    /// of the last run, if there is one.
    #[arg(long, conflicts_with = "count")]
    report: bool,
}

/// Sets up, and runs the measurements that the options select.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    setup::for_bench(sh)?;
    match options {
        Options { accept: true, .. } => counts::accept(sh),
        Options { count: true, .. } => counts::check(sh),
        Options { report: true, .. } => report(sh),
        Options { .. } => time(sh),
    }
}

/// Runs all suites and writes the report.
fn time(sh: &Shell) -> Result<()> {
    let directory = target_dir()?.join("bench");
    sh.remove_path(&directory)?;
    // The suite `forward` runs isolation-host.
    cmd!(sh, "cargo build --release --package isolation-host").run()?;
    for suite in SUITES {
        cmd!(sh, "cargo bench --bench {suite}").run()?;
    }
    fs::write(run_of_times(&directory), today(sh)?)?;
    report(sh)
}

/// Counts instructions, and writes the report and the pictures.
fn report(sh: &Shell) -> Result<()> {
    let directory = target_dir()?.join("bench");
    // Samples of a run that was interrupted or filtered are not published.
    let times = fs::read_to_string(run_of_times(&directory)).ok();
    let benchmarks = if times.is_some() { samples::read(&directory.join("samples"))? } else { Vec::new() };
    let counted = counted::count(sh, What::All)?;
    let runs = Runs { machine: &Machine::this(sh)?, counts: today(sh)?, times };
    report::write(&benchmarks, &counted, &runs)?;
    plots::draw(&directory, &benchmarks, &counted)
}

/// Returns the path of the file that a complete run leaves.
fn run_of_times(directory: &Path) -> std::path::PathBuf {
    directory.join("run.txt")
}

/// Returns the day and the commit.
fn today(sh: &Shell) -> Result<String> {
    let (day, commit) =
        (cmd!(sh, "date --utc +%F").read()?, cmd!(sh, "git describe --always --dirty").read()?);
    Ok(format!("{day}, commit {commit}"))
}
