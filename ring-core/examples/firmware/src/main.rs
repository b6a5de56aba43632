//! ring-core on bare metal.
//!
//! A freestanding program, without std, an allocator or an operating system, that drives QEMU's
//! virtio-mmio devices with ring-core's driver end. Each device is driven with every combination of
//! {split, packed} × {event_idx on, off} × {indirect on, off}. `cargo xtask firmware` builds and
//! runs it.
//!
//! [`x86`] is the machine, [`mmio`] is the transport, [`queue`] connects ring-core with a device,
//! and [`device`] contains the checks.

#![no_std]
#![no_main]

mod board;
mod combination;
mod device;
mod error;
mod memory;
mod mmio;
mod queue;
mod report;
mod x86;

use core::panic::PanicInfo;

use combination::Combination;
use x86::Exit;

/// Runs the check of every device that the command line names.
fn run(start_info: u32) -> Exit {
    let mut how = Exit::Passed;
    for mut device in board::devices(x86::command_line(start_info)) {
        let Some((name, check)) = device::check_for(device.id()) else { continue };
        for combination in Combination::all() {
            let outcome = check(&mut device, combination);
            if outcome.is_err() {
                how = Exit::Failed;
            }
            report::check(name, combination, outcome);
        }
        device.reset();
    }
    how
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    report::line(format_args!("CRASHED: {info}"));
    x86::exit(Exit::Crashed)
}
