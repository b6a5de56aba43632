//! Counts the instructions of the programs under valgrind.
//!
//! Prints a line for each program and case: the instructions for each request in `submit`, in
//! `collect`, in `serve`, and in total. The functions contain the suite's own loops. `ours` as an
//! argument counts only ring-core and the empty pair. `planted` counts one case with 2 % more
//! bursts than it claims. `cargo xtask bench --count` compares the result with `counts.txt`.

#[expect(dead_code, reason = "instructions are counted of programs that are not driven")]
mod programs;

use std::env;
use std::fs;
use std::io;
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::thread;

use rivals::case::BURST;
use rivals::contenders::{CONTENDERS, Contender, EMPTY_PAIR};
use tempfile::NamedTempFile;

/// The numbers of bursts of two runs. The difference of the runs' instructions is the cost of the
/// additional bursts.
const BURSTS: [u32; 2] = [64, 320];

/// `planted` adds one burst for each of this many bursts, which is more than the tolerance of the
/// comparison.
const PLANTED: u32 = 50;

/// The functions that are counted.
const FUNCTIONS: [&str; 3] = ["submit", "collect", "serve"];

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let ours = arguments.iter().any(|argument| argument == "ours");
    let planted = arguments.iter().any(|argument| argument == "planted");
    if let Err(error) = programs::build() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let mut work = work(ours || planted);
    if planted {
        work.truncate(1);
    }
    let extra = if planted { (BURSTS[1] - BURSTS[0]).div_ceil(PLANTED) } else { 0 };
    match count_all(&work, extra) {
        Ok(lines) => {
            lines.iter().for_each(|line| println!("{line}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot count: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A program and a case.
struct Work {
    contender: Contender,
    case: String,
}

fn work(ours: bool) -> Vec<Work> {
    let is_wanted =
        |program: &str| !ours || program.starts_with("ring_core") || program == EMPTY_PAIR.program;
    let mut work = Vec::new();
    for contender in CONTENDERS.into_iter().filter(|contender| is_wanted(contender.program)) {
        let cases = programs::cases(contender.program).unwrap_or_default();
        let counted = cases.into_iter().filter(|case| case.starts_with("throughput/"));
        work.extend(counted.map(|case| Work { contender, case }));
    }
    work
}

/// Counts on all processors. Returns a line for each piece of work.
fn count_all(work: &[Work], extra: u32) -> io::Result<Vec<String>> {
    let (left, counted) = (Mutex::new(work.iter().enumerate()), Mutex::new(Vec::new()));
    let next = || left.lock().ok()?.next();
    let run = || {
        while let Some((position, work)) = next() {
            let line = count(work, extra);
            if let Ok(mut counted) = counted.lock() {
                counted.push((position, line));
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(run))));
    let mut counted = counted.into_inner().unwrap_or_default();
    counted.sort_by_key(|(position, _)| *position);
    counted.into_iter().map(|(_, line)| line).collect()
}

/// Counts one piece of work. Returns its names and counts, separated by tabs.
fn count(work: &Work, extra: u32) -> io::Result<String> {
    let [few, many] = BURSTS;
    let (before, after) = (instructions(work, few)?, instructions(work, many + extra)?);
    let requests = f64::from((many - few) * u32::from(BURST));
    let counts = before.iter().zip(after).map(|(before, after)| (after - before) / requests);
    let counts: Vec<String> = counts.map(|count| format!("{count:.1}")).collect();
    let Work { contender: Contender { program, name }, case } = work;
    Ok(format!("{program}\t{name}\t{case}\t{}", counts.join("\t")))
}

/// Returns the instructions of each of [`FUNCTIONS`], including the functions that they call, and
/// the total.
fn instructions(work: &Work, bursts: u32) -> io::Result<[f64; FUNCTIONS.len() + 1]> {
    let profile = NamedTempFile::new()?;
    let option = format!("--callgrind-out-file={}", profile.path().display());
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--compress-strings=no", "--compress-pos=no", &option]);
    command.arg(programs::path(work.contender.program)).args(["count", &work.case, &bursts.to_string()]);
    let output = command.output()?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(io::Error::other(format!("{command:?} failed:\n{message}")));
    }
    read_profile(profile.path())
}

/// Reads callgrind's file. After `cfn=NAME` and `calls=…` comes a line with the position of the
/// call and its cost. `summary:` has the total.
fn read_profile(path: &Path) -> io::Result<[f64; FUNCTIONS.len() + 1]> {
    let text = fs::read_to_string(path)?;
    let mut counts = [0.0; FUNCTIONS.len() + 1];
    let mut called = None;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("cfn=") {
            let is_end = name.contains("DriverEnd") || name.contains("DeviceEnd");
            called = FUNCTIONS
                .iter()
                .position(|function| is_end && name.trim_end().ends_with(&format!("::{function}")));
        } else if let Some(total) = line.strip_prefix("summary:") {
            counts[FUNCTIONS.len()] = total.trim().parse().unwrap_or(0.0);
        } else if let (Some(function), false) = (called, line.starts_with("calls=")) {
            counts[function] += line.split(' ').nth(1).and_then(|cost| cost.parse().ok()).unwrap_or(0.0);
            called = None;
        }
    }
    Ok(counts)
}
