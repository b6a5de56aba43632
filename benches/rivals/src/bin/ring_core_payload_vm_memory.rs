//! A device of ring-core that copies payloads, on vm-memory.

use std::process::ExitCode;

use rivals::arena::Arena;
use rivals::program;
use rivals::ring_core::Payload;

fn main() -> ExitCode {
    program::run(&Payload(Arena::vm))
}
