//! Split queues through ring-core's types for either format.

use std::process::ExitCode;

use rivals::ring_core::{Negotiated, Plain, RingCore};
use rivals::{program, stub};

fn main() -> ExitCode {
    program::run(&RingCore::<Negotiated<stub::Split>, Plain>::new())
}
