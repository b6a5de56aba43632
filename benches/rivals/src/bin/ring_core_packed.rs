//! ring-core's packed queues, used through the plain calls.

use std::process::ExitCode;

use rivals::program;
use rivals::ring_core::{Packed, Plain, RingCore};

fn main() -> ExitCode {
    program::run(&RingCore::<Packed, Plain>::new())
}
