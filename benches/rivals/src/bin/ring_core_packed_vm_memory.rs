//! ring-core's packed device queue on vm-memory.

use std::process::ExitCode;

use rivals::program;
use rivals::ring_core::{OnVmMemory, Packed, Plain};

fn main() -> ExitCode {
    program::run(&OnVmMemory::<Packed, Plain>::new())
}
