//! ring-core's split queues, used through the plain calls.

use std::process::ExitCode;

use rivals::program;
use rivals::ring_core::{Plain, RingCore, Split};

fn main() -> ExitCode {
    program::run(&RingCore::<Split, Plain>::new())
}
