//! A device of virtio-queue that copies payloads.

use std::process::ExitCode;

use rivals::program;
use rivals::virtio_queue::{Copying, VirtioQueue};

fn main() -> ExitCode {
    program::run(&VirtioQueue::<Copying>::new())
}
