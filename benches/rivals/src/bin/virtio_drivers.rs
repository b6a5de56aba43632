//! virtio-drivers.

use std::process::ExitCode;

use rivals::program;
use rivals::virtio_drivers::Alone;

fn main() -> ExitCode {
    program::run(&Alone)
}
