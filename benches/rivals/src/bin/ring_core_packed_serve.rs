//! ring-core's packed queues, used through bursts and `serve`.

use std::process::ExitCode;

use rivals::program;
use rivals::ring_core::{Packed, RingCore, Serve};

fn main() -> ExitCode {
    program::run(&RingCore::<Packed, Serve>::new())
}
