//! The I/O ports of the board.

// UNSAFETY: port instructions are assembly.
#![expect(unsafe_code)]

use core::arch::asm;

/// Writes a byte.
pub(super) fn write_u8(port: u16, value: u8) {
    // SAFETY: no device behind a port of this board accesses memory: they are the interrupt
    // controller, the serial port and the debug exit. The instruction changes no register or flag.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags)) };
}

/// Writes a double word.
pub(super) fn write_u32(port: u16, value: u32) {
    // SAFETY: as in `write_u8`.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack, preserves_flags)) };
}

/// Reads a byte.
pub(super) fn read_u8(port: u16) -> u8 {
    let value: u8;
    // SAFETY: as in `write_u8`.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack, preserves_flags)) };
    value
}
