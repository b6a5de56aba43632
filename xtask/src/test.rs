//! `cargo xtask test`: every check, in stages.

use anyhow::{Result, bail};
use clap::Parser;
use end_to_end::artifacts::target_dir;
use end_to_end::matrix::FULL;
use xshell::{Cmd, Shell, cmd};

use crate::command::watch;
use crate::stages::Stages;
use crate::{bench, firmware, foreign, lint, loom, no_std, package, setup};

/// The stages after set-up. Stages that fail fast come first. Tests that depend on real time come
/// last, so that a busy machine does not keep the other stages from running.
const STAGES: [(&str, Stage); 17] = [
    ("format", |sh, _, _| lint::format(sh)),
    ("style", |sh, _, _| lint::tidy(sh)),
    ("public API", |sh, _, _| lint::public_api(sh)),
    ("packages", |sh, _, _| lint::packages(sh)),
    ("clippy", |sh, _, _| lint::clippy(sh)),
    ("documentation", |sh, _, _| lint::documentation(sh)),
    ("unit and doc tests", unit),
    ("ring-core over bursts", bursts),
    ("no std, no allocator", |sh, _, _| no_std::run(sh)),
    // The models are not counted, because the unit tests have run the same models in an unoptimised
    // build.
    ("loom models", |sh, _, _| loom::run(sh)),
    ("other processors", other_processors),
    ("bare metal", bare_metal),
    ("instruction counts", |sh, _, _| bench::counts::check(sh)),
    ("build for end to end", |sh, _, _| build(sh)),
    ("end to end", end_to_end),
    ("sound in real time", real_time),
    ("installed packages", installed),
];

type Stage = fn(&Shell, &Options, &mut Counts) -> Result<()>;

/// What to run.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Play every audio format end to end, not a selection, run the end-to-end tests that take long
    /// and every suite on other processors, and install, use and purge the packages. Takes 50
    /// minutes more.
    #[arg(long)]
    full: bool,
}

/// The numbers of tests that passed and failed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
}

/// Sets up, then runs the stages until one fails.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    let mut counts = Counts::default();
    let mut stages = Stages::default();
    let mut outcome = stages.run("set-up", || setup::for_tests(sh));
    for (name, stage) in STAGES {
        if outcome.is_ok() {
            outcome = stages.run(name, || stage(sh, options, &mut counts));
        }
    }
    print!("{stages}");
    if outcome.is_err() {
        println!("  {} failed; no later stage ran", stages.last());
    }
    println!("{} passed, {} failed", counts.passed, counts.failed);
    outcome
}

/// Runs the tests that need neither QEMU nor the guest image, and do not depend on real time. Their
/// ignored tests are tasks of their own, with `--full` as well: the storm, the simulations of a
/// million seeds, and those of chosen seeds.
fn unit(sh: &Shell, _: &Options, counts: &mut Counts) -> Result<()> {
    // All features of end-to-end would include the tests that need a guest.
    let most = "--workspace --exclude end-to-end --exclude snd-host --all-features".split(' ');
    counts.run(cmd!(sh, "cargo test {most...} --no-fail-fast"))?;
    counts.run(cmd!(sh, "cargo test --package end-to-end --package snd-host --lib --bins --no-fail-fast"))
}

/// Runs the tests on other processors. Each test on each processor counts.
fn other_processors(sh: &Shell, options: &Options, counts: &mut Counts) -> Result<()> {
    counts.passed += foreign::check(sh, options.full)?;
    Ok(())
}

/// Runs ring-core's tests again, with each plain call as a burst of one call.
fn bursts(sh: &Shell, _: &Options, counts: &mut Counts) -> Result<()> {
    // Other flags produce other files, so these files have a target directory of their own.
    let target = target_dir()?.join("bursts");
    let tests =
        cmd!(sh, "cargo test --package ring-core --all-features --target-dir {target} --no-fail-fast");
    counts.run(tests.env("RUSTFLAGS", "--cfg ring_core_bursts"))
}

/// Runs the firmware. Each device with each combination of features counts as a test.
fn bare_metal(sh: &Shell, _: &Options, counts: &mut Counts) -> Result<()> {
    counts.passed += firmware::check(sh)?;
    Ok(())
}

/// Builds the programs that end-to-end tests run. The tests of millions of packets run an optimised
/// isolation-host.
fn build(sh: &Shell) -> Result<()> {
    cmd!(sh, "cargo build --workspace --exclude rivals --bins").run()?;
    cmd!(sh, "cargo build --package vhost-ring --package end-to-end --examples").run()?;
    Ok(cmd!(sh, "cargo build --release --package isolation-host --bins").run()?)
}

/// Runs the end-to-end tests one guest at a time: two guests would take processor time from each
/// other, and their sound would stall.
fn end_to_end(sh: &Shell, options: &Options, counts: &mut Counts) -> Result<()> {
    let tests = cmd!(sh, "cargo test --package end-to-end --features guest --test=* --no-fail-fast");
    let mut tests = tests.args(["--", "--test-threads=1"]);
    if options.full {
        // The output shows the progress.
        tests = tests.args(["--include-ignored", "--nocapture"]).env(FULL, "1");
    }
    counts.run(tests)
}

/// Runs snd-host's tests, which play and record in real time. Another load on the machine can make
/// them slow. None of them is ignored.
fn real_time(sh: &Shell, _: &Options, counts: &mut Counts) -> Result<()> {
    counts.run(cmd!(sh, "cargo test --package snd-host --test=* --no-fail-fast"))
}

/// Makes the packages and tries them in a bare Debian. Without `--full`, does nothing.
fn installed(sh: &Shell, options: &Options, _: &mut Counts) -> Result<()> {
    if options.full { package::run(sh, &package::Options { test: true }) } else { Ok(()) }
}

impl Counts {
    /// Runs `cargo test` and counts its tests.
    fn run(&mut self, command: Cmd<'_>) -> Result<()> {
        if !watch(command, |line| self.read(line))? {
            bail!("tests failed; their output is above");
        }
        Ok(())
    }

    /// Adds the numbers of a line like "test result: ok. 3 passed; 0 failed; …".
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
        counts.read("test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; finished in 0.04s");
        counts.read("test result: FAILED. 12 passed; 2 failed; 1 ignored; finished in 1.04s");
        assert_eq!(counts, Counts { passed: 15, failed: 2 });
    }
}
