//! Runs one case a given number of times, so that valgrind can count instructions.
//!
//! `count` lists the names of all cases. `count <name> <bursts>` checks a case and runs it. The
//! difference of two runs tells what a burst costs, because set-up and check cancel out. `cargo
//! xtask bench --count` does that for all cases.

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use rivals::case::BURST;
use rivals::check::check;
use rivals::implementation::Connect;
use rivals::{Case, Group, IMPLEMENTATIONS, Implementation};

/// An environment variable with a number. Each request then costs some more instructions that many
/// times, to show that a slowdown is noticed.
const PLANTED: &str = "BENCHES_PLANTED_SLOWDOWN";

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let planted = env::var(PLANTED).ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    match arguments.as_slice() {
        [] => {
            println!("# requests in a burst: {BURST}");
            counted().for_each(|counted| println!("{}", counted.name));
            ExitCode::SUCCESS
        }
        [name, bursts] => match (counted().find(|counted| counted.name == *name), bursts.parse()) {
            (Some(counted), Ok(bursts)) => {
                run(&counted, bursts, planted);
                ExitCode::SUCCESS
            }
            _ => usage(),
        },
        _ => usage(),
    }
}

/// An implementation in a case, with the name in `counts.txt`.
struct Counted {
    name: String,
    connect: Connect,
    implementation: &'static dyn Implementation,
    case: Case,
}

/// Returns everything that is counted.
fn counted() -> impl Iterator<Item = Counted> {
    IMPLEMENTATIONS.iter().flat_map(|&implementation| {
        Group::Throughput.cases().iter().filter_map(move |&case| {
            let connect = implementation.connect(case)?;
            Some(Counted { name: implementation.count_name(case)?, connect, implementation, case })
        })
    })
}

fn run(counted: &Counted, bursts: u32, planted: u32) {
    let mut queue = (counted.connect)();
    check(&mut *queue, counted.case, counted.implementation.suppresses_notifications());
    for _ in 0..bursts {
        black_box(queue.burst());
        for turn in 0..planted * u32::from(BURST) {
            black_box(turn);
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: count [<name> <bursts>]; without arguments, all names are listed");
    ExitCode::FAILURE
}
