//! `cargo xtask coverage`: which lines of ring-core the tests run.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::target_dir;
use serde::Deserialize;

use crate::command::{command, output, quietly, run as run_command};

/// Lines that no test on this machine can run: where, what they contain, and why.
const EXCUSED: &[(&str, &str, &str)] = &[];

/// cargo-tarpaulin's report, as far as it is of interest.
#[derive(Debug, Deserialize)]
struct Report {
    files: Vec<File>,
}

#[derive(Debug, Deserialize)]
struct File {
    path: PathBuf,
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
        let path: PathBuf =
            file.path.components().skip_while(|part| part.as_os_str() != "ring-core").collect();
        let path = path.display().to_string();
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
