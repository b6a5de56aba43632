//! Counts instructions, which unlike time are the same on every run.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use xshell::{Shell, cmd};

/// The variable that slows each request down by a number of steps of a few instructions.
const PLANTED: &str = "BENCHES_PLANTED_SLOWDOWN";

/// The number of bursts that are counted. The difference to a run without bursts is their cost.
const BURSTS: u32 = 256;

/// The program that runs a case a given number of times.
#[derive(Debug)]
pub(super) struct Counter {
    program: PathBuf,
    /// The names of all cases.
    pub(super) names: Vec<String>,
    requests_in_burst: u32,
}

impl Counter {
    /// Builds the program.
    pub(super) fn build(sh: &Shell) -> Result<Self> {
        let build = cmd!(sh, "cargo bench --bench count --no-run --message-format=json");
        eprintln!("$ {build}");
        let messages = build.read()?;
        let program = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
            .context("cargo did not print the path of the bench target `count`")?;
        let listing = cmd!(sh, "{program}").read()?;
        let (head, names) = listing.split_once('\n').unwrap_or_default();
        let requests = head.rsplit(' ').next().and_then(|count| count.parse().ok());
        Ok(Self {
            requests_in_burst: requests.context("`count` did not print the number of requests in a burst")?,
            names: names.lines().map(str::to_owned).collect(),
            program,
        })
    }

    /// Counts the instructions of a request in each case, on all processors.
    pub(super) fn count_all(&self, names: &[String]) -> Result<Vec<(String, f64)>> {
        println!("counting {} cases with {BURSTS} bursts and without bursts under valgrind", names.len());
        let progress = ProgressBar::new(names.len() as u64);
        let (left, counted) = (Mutex::new(names.iter().enumerate()), Mutex::new(Vec::new()));
        let next = || left.lock().ok()?.next();
        let work = || {
            while let Some((place, name)) = next() {
                let count = self.count(name, None);
                progress.inc(1);
                if let Ok(mut counted) = counted.lock() {
                    counted.push((place, name.clone(), count));
                }
            }
        };
        let workers = thread::available_parallelism().map_or(1, NonZero::get);
        thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
        progress.finish_and_clear();
        let mut counted = counted.into_inner().unwrap_or_default();
        counted.sort_by_key(|(place, ..)| *place);
        counted.into_iter().map(|(_, name, count)| Ok((name, count?))).collect()
    }

    /// Counts the instructions of a request in one case, with or without a planted slowdown.
    pub(super) fn count(&self, name: &str, planted: Option<u32>) -> Result<f64> {
        let (none, some) = (self.instructions(name, planted, 0)?, self.instructions(name, planted, BURSTS)?);
        let Some(cost) = some.checked_sub(none) else {
            bail!("{name}: {BURSTS} bursts took {some} instructions, but none took {none}");
        };
        Ok(cost as f64 / f64::from(BURSTS * self.requests_in_burst))
    }

    fn instructions(&self, name: &str, planted: Option<u32>, bursts: u32) -> Result<u64> {
        // Threads cannot share a shell.
        let (sh, program, bursts) = (Shell::new()?, &self.program, bursts.to_string());
        let options = ["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"];
        let mut count = cmd!(sh, "valgrind {options...} {program} {name} {bursts}");
        if let Some(planted) = planted {
            count = count.env(PLANTED, planted.to_string());
        }
        let report = count.read_stderr()?;
        instructions(&report).with_context(|| format!("`{count}` printed no count:\n{report}"))
    }
}

/// Returns the number in cachegrind's "==123== I   refs:      1,234,567".
fn instructions(report: &str) -> Option<u64> {
    let mut lines = report.lines().filter_map(|line| line.split_once("refs:"));
    let (_, count) = lines.find(|(what, _)| what.ends_with("I   ") || what.ends_with("I "))?;
    count.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_valgrinds_report() {
        assert_eq!(instructions("x\n==9== \n==9== I   refs:      1,234,567\n"), Some(1_234_567));
        assert_eq!(instructions("==9== I refs:        89\n"), Some(89));
        assert_eq!(instructions("==9== D   refs:      1\n"), None);
    }
}
