//! virtio-drivers, and virtio-queue with one chain at a time.

use std::process::ExitCode;

use rivals::program;
use rivals::virtio_drivers::WithVirtioQueue;
use rivals::virtio_queue::Popping;

fn main() -> ExitCode {
    program::run(&WithVirtioQueue::<Popping>::new())
}
