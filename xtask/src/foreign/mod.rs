//! `cargo xtask foreign`: ring-core's tests on other processors, and the oldest supported Rust.
//!
//! Debian's Rust 1.85 builds the tests, and QEMU's emulators of single programs run them.

mod barriers;
mod calls;
mod link;
mod report;
mod rust_version;
mod suites;
mod targets;

use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use xshell::{Shell, cmd};

use self::calls::Calls;
use self::link::Library;
use self::report::Row;
use self::suites::{Passed, SLOW, SUITES, Suite};
use self::targets::{TARGETS, Target};
use crate::command::captured;
use crate::setup::{self, Rust};

/// The number of cases of each random test in the reduced form.
const FEW_CASES: &str = "3";

/// What to run.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Run all suites, with all cases of random tests. Takes 15 minutes more.
    #[arg(long)]
    full: bool,
    /// Run the tests on this processor only.
    #[arg(long, value_parser = PossibleValuesParser::new(TARGETS.map(|target| target.name)))]
    only: Option<String>,
}

/// Sets up and runs the checks.
pub(crate) fn run(sh: &Shell, options: &Options) -> Result<()> {
    let chosen = |target: &&Target| options.only.as_ref().is_none_or(|name| name == target.name);
    let passed = check_on(sh, options.full, TARGETS.iter().filter(chosen))?;
    println!("{passed} passed, 0 failed");
    Ok(())
}

/// Runs the checks on all processors, and prints the results. Returns the number of passed tests.
pub(crate) fn check(sh: &Shell, full: bool) -> Result<u64> {
    check_on(sh, full, &TARGETS)
}

fn check_on(sh: &Shell, full: bool, targets: impl IntoIterator<Item = &'static Target>) -> Result<u64> {
    let rust = &setup::for_foreign(sh)?;
    rust_version::check(sh, rust)?;
    let mut rows = Vec::new();
    let mut calls = 0;
    for target in targets {
        calls += barriers::check(sh, rust, target)?;
        rows.push(test(sh, rust, target, full)?);
    }
    report::show(&rows, full);
    println!("  {calls} calls have the intended barriers in assembly code (aarch64, riscv64)");
    Ok(rows.iter().map(Row::total).sum::<u64>() + calls)
}

/// Runs the suites for a processor, over the plain calls and, on some processors, over bursts.
fn test(sh: &Shell, rust: &Rust, target: &'static Target, full: bool) -> Result<Row> {
    let start = Instant::now();
    let passed = run_suites(sh, rust, target, full, Calls::Plain)?;
    let over_bursts = if full || target.reduced_bursts {
        run_suites(sh, rust, target, full, Calls::Bursts)?
    } else {
        Vec::new()
    };
    Ok(Row { target, passed, over_bursts, took: start.elapsed() })
}

/// Runs the suites for a processor once. Fails if a suite runs no test.
fn run_suites(sh: &Shell, rust: &Rust, target: &Target, full: bool, calls: Calls) -> Result<Vec<Passed>> {
    let suites: Vec<&Suite> = SUITES.iter().filter(|suite| suite.runs_for(target, full)).collect();
    let cargo = cmd!(sh, "cargo test --package ring-core --no-fail-fast");
    let cargo = target.on(rust, cargo, Library::Std)?.args(calls.options());
    let mut cargo = cargo.args(suites.iter().flat_map(|suite| suite.options()));
    if !full {
        cargo = cargo.env("PROPTEST_CASES", FEW_CASES).args(["--", "--skip", SLOW]);
    }
    let (success, output) = captured(&format!("testing {} on {}", calls.name(), target.name), cargo)?;
    if !success {
        eprintln!("{output}");
        bail!("tests failed on {} ({}); their output is above", target.name, target.why);
    }
    let passed = suites::passed(&output);
    for suite in suites {
        if !passed.iter().any(|passed| passed.suite == suite.name && passed.tests > 0) {
            bail!("{} ran no test on {}", suite.name, target.name);
        }
    }
    Ok(passed)
}
