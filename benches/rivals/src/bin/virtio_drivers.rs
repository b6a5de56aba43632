//! virtio-drivers' split queues, with a stub of a device.

use std::process::ExitCode;

use rivals::program;
use rivals::virtio_drivers::Alone;

fn main() -> ExitCode {
    program::run(&Alone)
}
