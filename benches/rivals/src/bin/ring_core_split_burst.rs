//! ring-core's split queues, used through bursts.

use std::process::ExitCode;

use rivals::program;
use rivals::ring_core::{Burst, RingCore, Split};

fn main() -> ExitCode {
    program::run(&RingCore::<Split, Burst>::new())
}
