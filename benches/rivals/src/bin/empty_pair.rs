//! An empty pair: the suite alone.

use std::process::ExitCode;

use rivals::empty::EmptyPair;
use rivals::program;

fn main() -> ExitCode {
    program::run(&EmptyPair)
}
