//! The board's devices: QEMU's microvm names them on the command line.

// UNSAFETY: opens windows onto device registers at addresses.
#![expect(unsafe_code)]

use core::ops::Range;

use crate::mmio::Device;
use crate::x86::{Line, Registers};

/// An option names a device in Linux's syntax, as in `virtio_mmio.device=512@0xfeb00000:5`: the
/// number of bytes of the device's registers, their address, and the device's interrupt.
const OPTION: &str = "virtio_mmio.device=";

/// The addresses at which microvm places its virtio-mmio devices. Nothing else has these addresses.
const DEVICES: Range<usize> = 0xfeb0_0000..0xfec0_0000;

/// Returns the devices that the command line names. A window without a device is skipped.
pub(crate) fn devices(command_line: &str) -> impl Iterator<Item = Device> {
    command_line.split_ascii_whitespace().filter_map(|option| parse(option.strip_prefix(OPTION)?)).filter_map(
        |(address, len, line)| {
            // SAFETY: `parse` found the window aligned and inside the range in which this board has
            // device registers and no memory; everything below 4 GiB is mapped.
            let registers = unsafe { Registers::new(address, len) };
            Device::probe(registers, Line::unmask(line)?)
        },
    )
}

/// Returns the address, length and interrupt of a window, if the window is in this board's range.
fn parse(window: &str) -> Option<(usize, usize, u8)> {
    let (len, place) = window.split_once('@')?;
    let (address, line) = place.split_once(':')?;
    let address = usize::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
    let len = len.parse().ok()?;
    let inside = DEVICES.contains(&address) && len <= DEVICES.end - address && address.is_multiple_of(4);
    inside.then_some((address, len, line.parse().ok()?))
}
