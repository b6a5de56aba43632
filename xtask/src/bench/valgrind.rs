//! Counting instructions. Unlike time, they are the same on every run.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;

use crate::command::{captured, cargo, command, output, print};

/// Set to a number, it makes each request cost that many times a few instructions more.
const PLANTED: &str = "BENCHES_PLANTED_SLOWDOWN";

/// How many bursts are counted. One run does none and one does these; the difference is what they cost.
const BURSTS: u32 = 256;

/// The program that does one piece of work a given number of times.
#[derive(Debug)]
pub(super) struct Counter {
    program: PathBuf,
    /// The pieces of work that it knows.
    pub(super) names: Vec<String>,
    requests_in_burst: u32,
}

impl Counter {
    /// Builds it.
    pub(super) fn build() -> Result<Self> {
        let mut build = cargo(["bench", "--bench", "count", "--no-run", "--message-format=json"]);
        print(&build);
        let messages = output(&mut build)?;
        let program = messages
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
            .context("cargo does not say where the `count` bench target is")?;
        let listing = output(&mut Command::new(&program))?;
        let (head, names) = listing.split_once('\n').unwrap_or_default();
        let requests = head.rsplit(' ').next().and_then(|count| count.parse().ok());
        Ok(Self {
            requests_in_burst: requests.context("`count` does not say how many requests a burst has")?,
            names: names.lines().map(str::to_owned).collect(),
            program,
        })
    }

    /// Counts the instructions of one request of each of `names`, on all processors.
    pub(super) fn count_all(&self, names: &[String]) -> Result<Vec<(String, f64)>> {
        print(&self.command(names.first().map_or("", String::as_str), BURSTS));
        println!("and so on; the difference to 0 bursts is what {BURSTS} bursts cost");
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

    /// Counts the instructions of one request of `name`, which can be made slower on purpose.
    pub(super) fn count(&self, name: &str, planted: Option<u32>) -> Result<f64> {
        let instructions = |bursts| {
            let mut command = self.command(name, bursts);
            if let Some(planted) = planted {
                command.env(PLANTED, planted.to_string());
            }
            let (success, said) = captured(&mut command)?;
            match instructions(&said) {
                Some(count) if success => Ok(count),
                _ => bail!("`{name}` under valgrind failed:\n{said}"),
            }
        };
        let (none, some) = (instructions(0)?, instructions(BURSTS)?);
        let Some(cost) = some.checked_sub(none) else {
            bail!("{name}: {BURSTS} bursts took {some} instructions, but none took {none}");
        };
        Ok(cost as f64 / f64::from(BURSTS * self.requests_in_burst))
    }

    fn command(&self, name: &str, bursts: u32) -> Command {
        let mut command = command(["valgrind", "--tool=cachegrind", "--cache-sim=no"]);
        command.arg("--cachegrind-out-file=/dev/null").arg(&self.program).args([name, &bursts.to_string()]);
        command
    }
}

/// The number in cachegrind's "==123== I   refs:      1,234,567".
fn instructions(said: &str) -> Option<u64> {
    let mut lines = said.lines().filter_map(|line| line.split_once("refs:"));
    let (_, count) = lines.find(|(what, _)| what.ends_with("I   ") || what.ends_with("I "))?;
    count.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_valgrind_says() {
        assert_eq!(instructions("x\n==9== \n==9== I   refs:      1,234,567\n"), Some(1_234_567));
        assert_eq!(instructions("==9== I refs:        89\n"), Some(89));
        assert_eq!(instructions("==9== D   refs:      1\n"), None);
    }
}
