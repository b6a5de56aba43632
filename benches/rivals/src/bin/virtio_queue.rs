//! virtio-queue, one chain at a time.

use std::process::ExitCode;

use rivals::program;
use rivals::virtio_queue::{Popping, VirtioQueue};

fn main() -> ExitCode {
    program::run(&VirtioQueue::<Popping>::new())
}
