//! Does one piece of work a given number of times, for valgrind to count instructions.
//!
//! `count` lists the names of all works; `count <name> <bursts>` does one, after checking that it is right.
//! Two runs of different length tell what a burst costs: set-up and check cancel. `cargo xtask bench --count`
//! does that for all of them.

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use contenders::BURST;
use contenders::works::Spec;

/// Set to a number, it makes each request cost that many times a few instructions more, to show that a slowdown
/// is noticed.
const PLANTED: &str = "BENCHES_PLANTED_SLOWDOWN";

fn main() -> ExitCode {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let planted = env::var(PLANTED).ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    match arguments.as_slice() {
        [] => {
            println!("# requests in a burst: {BURST}");
            Spec::all().for_each(|spec| println!("{spec}"));
            ExitCode::SUCCESS
        }
        [name, bursts] => match (Spec::all().find(|spec| spec.to_string() == *name), bursts.parse()) {
            (Some(spec), Ok(bursts)) => {
                run(spec, bursts, planted);
                ExitCode::SUCCESS
            }
            _ => usage(),
        },
        _ => usage(),
    }
}

fn run(spec: Spec, bursts: u32, planted: u32) {
    let mut work = spec.work();
    work.check();
    for _ in 0..bursts {
        black_box(work.burst());
        for turn in 0..planted * u32::from(BURST) {
            black_box(turn);
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: count [<name> <bursts>]; without arguments it lists the names");
    ExitCode::FAILURE
}
