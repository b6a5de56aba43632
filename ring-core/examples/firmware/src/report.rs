//! The output of the program: one line for each check, which `cargo xtask firmware` reads.

use core::fmt::{self, Write as _};

use crate::combination::Combination;
use crate::error::CheckError;
use crate::mmio::Device;
use crate::queue::{MIN_WRAPS, Queue};
use crate::x86::Serial;

/// What a check did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The number of bytes of payload that passed through the queues.
    bytes: u64,
    /// The number of buffers that passed through the queues.
    buffers: u32,
    /// The smallest number of laps around a ring, over all rings of the check.
    laps: u32,
    /// The largest number of times that an index wrapped around, over all rings of the check.
    wraps: u32,
    /// The number of notifications sent to the device.
    notifications: u32,
    /// The number of interrupts taken from the device.
    interrupts: u32,
}

impl Counts {
    /// Returns what a check did with these queues, if that was enough for the check to be
    /// meaningful.
    pub(crate) fn of(device: &Device, bytes: u64, queues: &[&Queue<'_>]) -> Result<Self, CheckError> {
        let laps = queues.iter().map(|queue| queue.laps()).min().unwrap_or(0);
        let wraps = queues.iter().map(|queue| queue.wraps()).max().unwrap_or(0);
        if laps.min(wraps) < MIN_WRAPS {
            return Err(CheckError::TooFew { laps, wraps, needed: MIN_WRAPS });
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

/// Prints the outcome of a check.
pub(crate) fn check(device: &str, combination: Combination, outcome: Result<Counts, CheckError>) {
    match outcome {
        Ok(Counts { bytes, buffers, laps, wraps, notifications, interrupts }) => line(format_args!(
            "OK {device} {combination} bytes={bytes} buffers={buffers} laps={laps} wraps={wraps} \
             notifications={notifications} interrupts={interrupts}"
        )),
        Err(error) => line(format_args!("FAILED {device} {combination}: {error}")),
    }
}

/// Prints a line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    // Writes to the serial port never fail.
    let _ = writeln!(Serial, "{text}");
}
