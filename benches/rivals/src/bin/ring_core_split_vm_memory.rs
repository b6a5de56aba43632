//! ring-core's split device queue on vm-memory.

use std::process::ExitCode;

use rivals::program;
use rivals::ring_core::{OnVmMemory, Plain, Split};

fn main() -> ExitCode {
    program::run(&OnVmMemory::<Split, Plain>::new())
}
