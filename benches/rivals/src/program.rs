//! The program of one implementation, which other programs drive.
//!
//! Without arguments, the program reads commands from its standard input, one in a line, and
//! answers each with one line:
//!
//! | command | answer |
//! |---|---|
//! | `prepare GROUP/CASE` | `ready` after set-up and check, or `unsupported` |
//! | `time ITERATIONS` | nanoseconds |
//! | `latency COUNT` | the nanoseconds of single round trips at each of [`PERCENTILES`] |
//! | `processors DRIVER DEVICE` | `ready`; places the two threads of later commands |
//!
//! With the arguments `count GROUP/CASE BURSTS`, the program runs bursts and nothing else, so that
//! valgrind can count instructions: the difference of two runs is the cost of bursts. `check` runs
//! every case that the implementation supports, and `cases` lists these cases.

use std::env;
use std::hint::black_box;
use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::case::{Case, Decisions};
use crate::check::check;
use crate::group::Group;
use crate::implementation::Implementation;
use crate::pair::Queue;
use crate::two_threads::{LAP, Processors};

/// The percentiles of a latency distribution, in tenths of a percent.
pub const PERCENTILES: [usize; 7] = [100, 250, 500, 900, 990, 999, 1000];

/// Runs the program of `implementation`.
#[must_use]
pub fn run(implementation: &dyn Implementation) -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments.as_slice() {
        [] => answer_commands(implementation),
        ["check"] => check_all(implementation),
        ["cases"] => {
            supported(implementation).for_each(|(name, _)| println!("{name}"));
            ExitCode::SUCCESS
        }
        ["count", name, bursts] => match (Group::find(name), bursts.parse()) {
            (Some(case), Ok(bursts)) => count(implementation, case, bursts),
            _ => usage(),
        },
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: PROGRAM [cases | check | count GROUP/CASE BURSTS]; with no argument, reads stdin");
    ExitCode::FAILURE
}

/// Returns the name of each case that `implementation` supports, and the case.
fn supported(implementation: &dyn Implementation) -> impl Iterator<Item = (String, Case)> {
    let all = Group::ALL.into_iter().flat_map(|group| group.cases().iter().map(move |&case| (group, case)));
    let supported = all.filter(|(_, case)| implementation.connect(*case).is_some());
    supported.map(|(group, case)| (format!("{}/{}", group.name(), group.label(case)), case))
}

/// Runs a few iterations of every case.
fn check_all(implementation: &dyn Implementation) -> ExitCode {
    for (name, case) in supported(implementation) {
        let Some(mut prepared) = Prepared::new(implementation, case) else { continue };
        if prepared.processors.is_some() || !matches!(case, Case::TwoThreads(_)) {
            println!("{name}: {:?}", prepared.time(16));
        }
    }
    ExitCode::SUCCESS
}

/// Runs `bursts` bursts of a case, for an instruction counter. Does not check the results. Fails if
/// the case is not supported.
fn count(implementation: &dyn Implementation, case: Case, bursts: u32) -> ExitCode {
    let Some(mut queue) = implementation.connect(case) else {
        eprintln!("{case} is not supported; choose another case");
        return ExitCode::FAILURE;
    };
    for _ in 0..bursts {
        black_box(queue.burst());
    }
    ExitCode::SUCCESS
}

fn answer_commands(implementation: &dyn Implementation) -> ExitCode {
    let mut prepared: Option<Prepared> = None;
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let (command, argument) = line.split_once(' ').unwrap_or((&line, ""));
        let answer = match (command, &mut prepared) {
            ("prepare", prepared) => {
                *prepared = Group::find(argument).and_then(|case| Prepared::new(implementation, case));
                let supported = prepared.is_some();
                Some(if supported { "ready" } else { "unsupported" }.to_owned())
            }
            ("time", Some(prepared)) => {
                argument.parse().ok().map(|count| prepared.time(count).as_nanos().to_string())
            }
            ("latency", Some(prepared)) => argument.parse().ok().map(|count| prepared.latency(count)),
            ("processors", Some(prepared)) => prepared.place(argument),
            _ => None,
        };
        let Some(answer) = answer else {
            eprintln!("cannot do `{line}`; prepare a case first");
            return ExitCode::FAILURE;
        };
        println!("{answer}");
        if io::stdout().flush().is_err() {
            break; // the driving program is gone
        }
    }
    ExitCode::SUCCESS
}

/// A queue that was set up for a case and checked.
struct Prepared {
    queue: Box<dyn Queue>,
    case: Case,
    processors: Option<Processors>,
}

impl Prepared {
    fn new(implementation: &dyn Implementation, case: Case) -> Option<Self> {
        let mut queue = implementation.connect(case)?;
        check(&mut *queue, case, implementation.suppresses_notifications());
        Some(Self { queue, case, processors: Processors::first() })
    }

    fn place(&mut self, argument: &str) -> Option<String> {
        let (driver, device) = argument.split_once(' ')?;
        self.processors = Some(Processors { driver: driver.parse().ok()?, device: device.parse().ok()? });
        Some("ready".to_owned())
    }

    /// Times iterations. Before these, runs an eighth as many iterations, which fill the caches.
    fn time(&mut self, iterations: u64) -> Duration {
        let queue = &mut *self.queue;
        match self.case {
            Case::Bursts(..) | Case::Payload(_) => repeated(iterations, || {
                black_box(queue.burst());
            }),
            Case::RoundTrip(decisions) => repeated(iterations, || {
                black_box(queue.round_trip(decisions));
            }),
            Case::TwoThreads(pace) => {
                let count = usize::try_from(iterations).unwrap_or(usize::MAX).saturating_mul(LAP);
                let processors = self.processors.expect("two threads need two processors");
                queue.two_threads(count, pace, processors)
            }
        }
    }

    /// Times single round trips. Returns the time at each of [`PERCENTILES`].
    fn latency(&mut self, count: usize) -> String {
        let mut times: Vec<Duration> = Vec::with_capacity(count);
        times.extend((0..count).map(|_| {
            let start = Instant::now();
            black_box(self.queue.round_trip(Decisions::Both));
            start.elapsed()
        }));
        times.sort_unstable();
        let at = |tenths: usize| times.get(times.len().saturating_sub(1) * tenths / 1000);
        let percentiles = PERCENTILES.iter().filter_map(|&tenths| at(tenths));
        percentiles.map(|time| time.as_nanos().to_string()).collect::<Vec<_>>().join(" ")
    }
}

fn repeated(iterations: u64, mut once: impl FnMut()) -> Duration {
    (0..iterations / 8).for_each(|_| once());
    let start = Instant::now();
    (0..iterations).for_each(|_| once());
    start.elapsed()
}
