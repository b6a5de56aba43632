//! virtio-driver's packed queues.

use std::process::ExitCode;

use rivals::virtio_driver::Alone;
use rivals::{program, stub};

fn main() -> ExitCode {
    program::run(&Alone::<stub::Packed>::new())
}
