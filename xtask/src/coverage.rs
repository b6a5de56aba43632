//! `cargo xtask coverage`: the lines of ring-core that the tests run.

use std::fs;

use anyhow::{Context as _, Result, bail};
use end_to_end::artifacts::target_dir;
use xshell::{Shell, cmd};

use crate::command::quietly;

/// Lines that no test runs: the file, a part of the line, and the reason.
const EXCUSED: &[(&str, &str, &str)] =
    &[("ring-core/src/memory/word.rs", "fn full() {}", "a barrier of a test that the test does not need")];

/// Runs ring-core's tests under cargo-llvm-cov, and lists every line that no test ran.
pub(crate) fn run(sh: &Shell) -> Result<()> {
    ensure_installed(sh)?;
    let directory = target_dir()?.join("coverage");
    fs::create_dir_all(&directory)?;
    let report = directory.join("lcov.info");
    let cover = cmd!(sh, "cargo llvm-cov --package ring-core --all-features --lcov --output-path {report}");
    quietly("running ring-core's tests with line counters", cover)?;
    show(&fs::read_to_string(&report).with_context(|| format!("cannot read {}", report.display()))?)
}

fn ensure_installed(sh: &Shell) -> Result<()> {
    if cmd!(sh, "cargo llvm-cov --version").ignore_stderr().read().is_err() {
        cmd!(sh, "cargo install cargo-llvm-cov --locked").run()?;
    }
    // Does nothing if the component is installed.
    quietly("installing llvm-tools", cmd!(sh, "rustup component add llvm-tools"))
}

/// The lines of one file that can run, with the number of runs.
#[derive(Debug, Default, PartialEq)]
struct Coverage {
    path: String,
    lines: Vec<(usize, u64)>,
}

/// Parses a report in lcov's format: "SF:PATH", then "DA:LINE,RUNS" for each line.
fn parse(report: &str) -> Vec<Coverage> {
    let mut files: Vec<Coverage> = Vec::new();
    for line in report.lines() {
        if let Some(path) = line.strip_prefix("SF:") {
            files.push(Coverage { path: path.to_owned(), lines: Vec::new() });
        } else if let Some((line, runs)) = line.strip_prefix("DA:").and_then(|data| data.split_once(','))
            && let (Some(file), Ok(line), Ok(runs)) = (files.last_mut(), line.parse(), runs.parse())
        {
            file.lines.push((line, runs));
        }
    }
    files
}

fn show(report: &str) -> Result<()> {
    let here = format!("{}/", fs::canonicalize(".")?.display());
    let (mut lines, mut run, mut unexcused) = (0, 0, 0);
    for file in parse(report) {
        let path = file.path.strip_prefix(&here).unwrap_or(&file.path);
        let text = fs::read_to_string(path)?;
        let missed: Vec<usize> =
            file.lines.iter().filter(|(_, runs)| *runs == 0).map(|(line, _)| *line).collect();
        let reached = file.lines.len() - missed.len();
        println!("{path}: {reached} of {} lines", file.lines.len());
        (lines, run) = (lines + file.lines.len(), run + reached);
        for number in missed {
            let text = text.lines().nth(number.saturating_sub(1)).unwrap_or_default().trim();
            let excuse = EXCUSED.iter().find(|(at, part, _)| path == *at && text.contains(part));
            unexcused += usize::from(excuse.is_none());
            println!("  {number}: {text}    {}", excuse.map_or("NO TEST", |(_, _, why)| why));
        }
    }
    println!("ring-core: {run} of {lines} lines run ({:.1} %)", 100.0 * run as f64 / lines.max(1) as f64);
    if unexcused > 0 {
        bail!("{unexcused} lines have neither a test nor a reason in {}", file!());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_parsed() {
        let report = "SF:/a/b.rs\nFN:1,f\nDA:1,20\nDA:3,0\nLF:2\nend_of_record\nSF:/a/c.rs\nend_of_record\n";
        let files = [("/a/b.rs", vec![(1, 20), (3, 0)]), ("/a/c.rs", vec![])];
        assert_eq!(parse(report), files.map(|(path, lines)| Coverage { path: path.to_owned(), lines }));
    }
}
