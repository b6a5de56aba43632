//! ring-core's split queues, used through bursts and `serve`.

use std::process::ExitCode;

use rivals::program;
use rivals::ring_core::{RingCore, Serve, Split};

fn main() -> ExitCode {
    program::run(&RingCore::<Split, Serve>::new())
}
