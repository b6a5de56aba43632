//! virtio-drivers, and virtio-queue with all available chains at a time.

use std::process::ExitCode;

use rivals::program;
use rivals::virtio_drivers::WithVirtioQueue;
use rivals::virtio_queue::Iterating;

fn main() -> ExitCode {
    program::run(&WithVirtioQueue::<Iterating>::new())
}
