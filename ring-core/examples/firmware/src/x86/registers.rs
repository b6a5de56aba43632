//! Device registers that are mapped into memory.

// UNSAFETY: registers are accessed through addresses.
#![expect(unsafe_code)]

use core::ptr;

/// A window of 32-bit device registers.
#[derive(Debug)]
pub(crate) struct Registers {
    start: usize,
    len: usize,
}

impl Registers {
    /// Returns the window of the `len` bytes of registers at the physical address `start`.
    ///
    /// # Safety
    ///
    /// The range contains device registers, or nothing at all, and no memory. It is mapped at its
    /// physical address. `start` is a multiple of 4.
    pub(crate) const unsafe fn new(start: usize, len: usize) -> Self {
        Self { start, len }
    }

    /// Reads a register. A register outside the window reads as 0.
    pub(crate) fn read(&self, offset: usize) -> u32 {
        // SAFETY: `register` found the offset aligned and in the window, and the caller of `new`
        // promised that there are registers.
        self.register(offset).map_or(0, |register| unsafe { ptr::read_volatile(register) })
    }

    /// Writes a register. A write outside the window has no effect.
    pub(crate) fn write(&self, offset: usize, value: u32) {
        if let Some(register) = self.register(offset) {
            // SAFETY: as in `read`. The write may cause a device to access memory; the contract of
            // `RawMemory` covers that.
            unsafe { ptr::write_volatile(register, value) };
        }
    }

    fn register(&self, offset: usize) -> Option<*mut u32> {
        let inside = offset.is_multiple_of(4) && offset.checked_add(4)? <= self.len;
        inside.then(|| ptr::with_exposed_provenance_mut(self.start + offset))
    }
}
