//! What the program prints: one line a check, which `cargo xtask firmware` reads.

use core::fmt::{self, Write as _};

use crate::combination::Combination;
use crate::failure::Failure;
use crate::mmio::Device;
use crate::queue::{ENOUGH, Queue};
use crate::x86::Serial;

/// What a check did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Bytes of payload that went through the queues.
    bytes: u64,
    /// Buffers that went through the queues.
    buffers: u32,
    /// How often the ring was gone around that was gone around least.
    laps: u32,
    /// How often the index wrapped around that did so most often.
    wraps: u32,
    /// Notifications sent to the device.
    notifications: u32,
    /// Interrupts taken from it.
    interrupts: u32,
}

impl Tally {
    /// What a check did with these queues, if that was enough to mean anything.
    pub(crate) fn of(device: &Device, bytes: u64, queues: &[&Queue<'_>]) -> Result<Self, Failure> {
        let laps = queues.iter().map(|queue| queue.laps()).min().unwrap_or(0);
        let wraps = queues.iter().map(|queue| queue.wraps()).max().unwrap_or(0);
        if laps.min(wraps) < ENOUGH {
            return Err(Failure::TooFew { laps, wraps, needed: ENOUGH });
        }
        Ok(Self {
            bytes,
            buffers: queues.iter().map(|queue| queue.buffers()).sum(),
            laps,
            wraps,
            notifications: device.notifications,
            interrupts: device.interrupts,
        })
    }
}

/// Prints what came of a check.
pub(crate) fn check(device: &str, combination: Combination, outcome: Result<Tally, Failure>) {
    match outcome {
        Ok(Tally { bytes, buffers, laps, wraps, notifications, interrupts }) => line(format_args!(
            "OK {device} {combination} bytes={bytes} buffers={buffers} laps={laps} wraps={wraps} \
             notifications={notifications} interrupts={interrupts}"
        )),
        Err(failure) => line(format_args!("FAILED {device} {combination}: {failure}")),
    }
}

/// Prints a line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    // The serial port takes everything.
    let _ = writeln!(Serial, "{text}");
}
