//! ring-core's packed queues, used through bursts.

use std::process::ExitCode;

use rivals::program;
use rivals::ring_core::{Burst, Packed, RingCore};

fn main() -> ExitCode {
    program::run(&RingCore::<Packed, Burst>::new())
}
