//! The checks: what is done with each kind of device.

mod block;
mod console;
mod entropy;
mod sound;

use crate::combination::Combination;
use crate::failure::Failure;
use crate::mmio::Device;
use crate::report::Tally;

/// A check of one kind of device with one combination. It starts with a reset of the device.
pub(crate) type Check = fn(&mut Device, Combination) -> Result<Tally, Failure>;

/// The name and the check of a kind of device (VIRTIO 1.4, 5 "Device Types").
pub(crate) const fn check_for(id: u32) -> Option<(&'static str, Check)> {
    match id {
        2 => Some(("block", block::check)),
        3 => Some(("console", console::check)),
        4 => Some(("entropy", entropy::check)),
        25 => Some(("sound", sound::check)),
        _ => None,
    }
}
