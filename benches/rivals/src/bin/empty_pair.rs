//! The empty pair: two ends without a queue, which measure the suite's own loops.

use std::process::ExitCode;

use rivals::empty::EmptyPair;
use rivals::program;

fn main() -> ExitCode {
    program::run(&EmptyPair)
}
