//! `cargo xtask test`: every check there is, in stages.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;
use end_to_end::matrix::FULL;

use crate::command::{cargo, run as run_command, watch};
use crate::{bench, firmware, lint, loom, no_std, setup};

/// The stages after set-up, quickest to fail first.
const STAGES: [(&str, Stage); 11] = [
    ("format", |_, _| lint::format()),
    ("clippy", |_, _| lint::clippy()),
    ("documentation", |_, _| lint::documentation()),
    ("unsafe code", |_, _| lint::unsafe_code()),
    ("unit and doc tests", unit),
    ("no std, no allocator", |_, _| no_std::run()),
    // Not counted: the unit tests have run the same models unoptimised.
    ("loom models", |_, _| loom::run()),
    ("bare metal", bare_metal),
    ("instruction counts", |_, _| bench::counts::check()),
    ("build for end to end", |_, _| build()),
    ("end to end", end_to_end),
];

type Stage = fn(&Options, &mut Counts) -> Result<()>;

/// What to run.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Play every form of audio end to end, not a selection: it takes a quarter of an hour more.
    #[arg(long)]
    full: bool,
}

/// How many tests passed and failed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// Sets up and runs all stages, up to the first that fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let mut counts = Counts::default();
    let mut times = Vec::new();
    let mut outcome = timed("set-up", &mut times, || setup::run().map(drop));
    for (name, stage) in STAGES {
        if outcome.is_ok() {
            outcome = timed(name, &mut times, || stage(options, &mut counts));
        }
    }

    println!("\nStages");
    for (name, time) in &times {
        println!("  {name:22} {:6.1} s", time.as_secs_f64());
    }
    if outcome.is_err() {
        let (failed, _) = times.last().copied().unwrap_or_default();
        println!("  {failed} failed; no later stage ran");
    }
    println!("{} passed, {} failed", counts.passed, counts.failed);
    outcome
}

fn timed(
    name: &'static str,
    times: &mut Vec<(&'static str, Duration)>,
    stage: impl FnOnce() -> Result<()>,
) -> Result<()> {
    println!("\n== {name}");
    let start = Instant::now();
    let outcome = stage();
    times.push((name, start.elapsed()));
    outcome
}

/// All that needs neither QEMU nor the guest's image.
fn unit(_: &Options, counts: &mut Counts) -> Result<()> {
    // All features of end-to-end would be those that need a guest.
    counts.run(&mut cargo([
        "test",
        "--workspace",
        "--exclude",
        "end-to-end",
        "--all-features",
        "--no-fail-fast",
    ]))?;
    counts.run(&mut cargo(["test", "--package", "end-to-end", "--no-fail-fast"]))
}

/// Each device with each combination of features counts as a test.
fn bare_metal(_: &Options, counts: &mut Counts) -> Result<()> {
    counts.passed += firmware::check()?;
    Ok(())
}

/// The programs that end-to-end tests run: as tests are, and one also as it is used, for ten million packets.
fn build() -> Result<()> {
    run_command(&mut cargo(["build", "--workspace", "--bins"]))?;
    run_command(&mut cargo(["build", "--release", "--package", "isolation-host", "--bins"]))
}

/// One guest at a time: two would compete for the processors with the sound they play.
fn end_to_end(options: &Options, counts: &mut Counts) -> Result<()> {
    let mut tests = cargo([
        "test",
        "--package",
        "end-to-end",
        "--features",
        "guest",
        "--test",
        "guest",
        "--no-fail-fast",
        "--",
        "--test-threads=1",
    ]);
    if options.full {
        // Shows how far it is.
        tests.arg("--nocapture").env(FULL, "1");
    }
    counts.run(&mut tests)
}

impl Counts {
    /// Runs `cargo test` and counts its tests.
    fn run(&mut self, command: &mut Command) -> Result<()> {
        let success = watch(command, |line| self.read(line))?;
        if !success {
            bail!("tests failed");
        }
        Ok(())
    }

    /// Takes in "test result: ok. 3 passed; 0 failed; …".
    fn read(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in result.split(['.', ';']) {
            match part.trim().split_once(' ') {
                Some((count, "passed")) => self.passed += count.parse().unwrap_or(0),
                Some((count, "failed")) => self.failed += count.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_test_programs_add_up() {
        let mut counts = Counts::default();
        counts.read("running 3 tests");
        counts.read(
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.04s",
        );
        counts.read("test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.04s");
        assert_eq!(counts, Counts { passed: 15, failed: 2 });
    }
}
