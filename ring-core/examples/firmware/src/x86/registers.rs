//! Registers of devices that are mapped into memory.

// UNSAFETY: registers are reached through addresses.
#![expect(unsafe_code)]

use core::ptr;

/// A window of 32-bit device registers.
#[derive(Debug)]
pub(crate) struct Registers {
    start: usize,
    len: usize,
}

impl Registers {
    /// The `len` bytes of registers at the physical address `start`.
    ///
    /// # Safety
    ///
    /// There are device registers, or nothing at all, and no memory; they are mapped at their physical
    /// address. `start` is a multiple of 4.
    pub(crate) const unsafe fn new(start: usize, len: usize) -> Self {
        Self { start, len }
    }

    /// Reads a register. What is outside the window reads as 0.
    pub(crate) fn read(&self, offset: usize) -> u32 {
        // SAFETY: `register` found the offset in the window and aligned, and `new` was promised that
        // there are registers.
        self.register(offset).map_or(0, |register| unsafe { ptr::read_volatile(register) })
    }

    /// Writes a register. Nothing is written outside the window.
    pub(crate) fn write(&self, offset: usize, value: u32) {
        if let Some(register) = self.register(offset) {
            // SAFETY: as in `read`. A device may access memory because of it; that is what the contract
            // of `RawMemory` is about.
            unsafe { ptr::write_volatile(register, value) };
        }
    }

    fn register(&self, offset: usize) -> Option<*mut u32> {
        let inside = offset.is_multiple_of(4) && offset.checked_add(4)? <= self.len;
        inside.then(|| ptr::with_exposed_provenance_mut(self.start + offset))
    }
}
