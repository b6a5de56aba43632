//! Two stubs of packed queues.

use std::process::ExitCode;

use rivals::stub::TwoStubs;
use rivals::{program, stub};

fn main() -> ExitCode {
    program::run(&TwoStubs::<stub::Packed>::new())
}
