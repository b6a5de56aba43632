//! virtio-queue, all available chains at a time.

use std::process::ExitCode;

use rivals::program;
use rivals::virtio_queue::{Iterating, VirtioQueue};

fn main() -> ExitCode {
    program::run(&VirtioQueue::<Iterating>::new())
}
