//! Two stubs of split queues.

use std::process::ExitCode;

use rivals::stub::TwoStubs;
use rivals::{program, stub};

fn main() -> ExitCode {
    program::run(&TwoStubs::<stub::Split>::new())
}
