//! `cargo xtask coverage`: which lines of ring-core the tests run.

use std::fs;

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::target_dir;
use serde::Deserialize;

use crate::command::{command, output, quietly, run as run_command};

/// Lines that no test on this machine can run: where, what they contain, and why.
const EXCUSED: &[(&str, &str, &str)] = &[
    ("ring-core/src/memory/barriers.rs", "oshld", AARCH64),
    ("ring-core/src/memory/barriers.rs", "osh\"", AARCH64),
    ("ring-core/src/memory/barriers.rs", "fence i", RISCV64),
    ("ring-core/src/memory/barriers.rs", "fn ", "one such function for each architecture; the tests run one"),
    ("ring-core/src/memory/word.rs", "unsafe fn", NARROW),
    ("ring-core/src/memory/word.rs", "unsafe { halves::", NARROW),
    ("ring-core/src/setup.rs", "Ok(Self {", "not a place of its own: the lines around it run"),
];

const AARCH64: &str = "for aarch64";
const RISCV64: &str = "for riscv64";
const NARROW: &str = "for targets without 64-bit atomics";

/// cargo-tarpaulin's report, as far as it is of interest.
#[derive(Debug, Deserialize)]
struct Report {
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    /// The parts of its path.
    path: Vec<String>,
    content: String,
    traces: Vec<Trace>,
}

#[derive(Debug, Deserialize)]
struct Trace {
    /// Counted from 1.
    line: usize,
    stats: Stats,
}

#[derive(Debug, Deserialize)]
enum Stats {
    /// How often it ran.
    Line(u64),
}

/// Runs ring-core's tests under cargo-tarpaulin, and lists every line that none of them ran.
pub(crate) fn run() -> Result<()> {
    if output(&mut command(["cargo", "tarpaulin", "--version"])).is_err() {
        run_command(&mut command(["cargo", "install", "cargo-tarpaulin", "--locked"]))?;
    }
    let directory = target_dir()?.join("coverage");
    fs::create_dir_all(&directory)?;
    let mut tarpaulin = command([
        "cargo",
        "tarpaulin",
        "--packages",
        "ring-core",
        "--all-features",
        "--engine",
        "llvm",
        "--skip-clean",
        "--include-files",
        "ring-core/src/*",
        "--out",
        "Json",
        "--output-dir",
    ]);
    tarpaulin.arg(&directory).arg("--target-dir").arg(directory.join("build"));
    quietly("running ring-core's tests with their lines counted", &mut tarpaulin)?;

    let path = directory.join("tarpaulin-report.json");
    let report = fs::read_to_string(&path).with_context(|| format!("{} is missing", path.display()))?;
    let report: Report =
        serde_json::from_str(&report).context("cargo-tarpaulin's report has another form")?;
    show(&report)
}

fn show(report: &Report) -> Result<()> {
    let (mut lines, mut run, mut unexcused) = (0, 0, 0);
    for file in &report.files {
        let path: Vec<&str> =
            file.path.iter().map(String::as_str).skip_while(|part| *part != "ring-core").collect();
        let path = path.join("/");
        let missed = file.traces.iter().filter(|trace| matches!(trace.stats, Stats::Line(0)));
        let missed: Vec<usize> = missed.map(|trace| trace.line).collect();
        lines += file.traces.len();
        run += file.traces.len() - missed.len();
        println!("{path}: {} of {} lines", file.traces.len() - missed.len(), file.traces.len());
        for number in missed {
            let text = file.content.lines().nth(number.saturating_sub(1)).unwrap_or_default().trim();
            let excuse = EXCUSED.iter().find(|(at, part, _)| path == *at && text.contains(part));
            unexcused += usize::from(excuse.is_none());
            println!("  {number}: {text}    {}", excuse.map_or("NO TEST", |(_, _, why)| why));
        }
    }
    println!("ring-core: {run} of {lines} lines run ({:.1} %)", 100.0 * run as f64 / lines.max(1) as f64);
    if unexcused > 0 {
        bail!("{unexcused} lines have neither a test nor a reason why not");
    }
    Ok(())
}
