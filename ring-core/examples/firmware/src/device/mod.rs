//! The checks, one for each type of device.

mod block;
mod console;
mod entropy;
mod sound;

use crate::combination::Combination;
use crate::error::CheckError;
use crate::mmio::Device;
use crate::report::Counts;

/// A check of one device with one combination. The check starts with a reset of the device.
pub(crate) type Check = fn(&mut Device, Combination) -> Result<Counts, CheckError>;

/// Returns the name and the check of a device type (VIRTIO 1.4, 5 "Device Types").
pub(crate) const fn check_for(id: u32) -> Option<(&'static str, Check)> {
    match id {
        2 => Some(("block", block::check)),
        3 => Some(("console", console::check)),
        4 => Some(("entropy", entropy::check)),
        25 => Some(("sound", sound::check)),
        _ => None,
    }
}
