//! Where a ring is.

use ring_core::memory::{Area, Load, Store, Word};

use super::log::Log;
use crate::mmap::WindowArea;

/// A part of the guest's memory that was resolved once. It keeps its region mapped.
#[derive(Debug)]
pub struct GuestArea {
    area: WindowArea,
    address: u64,
    log: Log,
}

impl GuestArea {
    /// What is at `address` in the guest's memory.
    pub(super) const fn new(area: WindowArea, address: u64, log: Log) -> Self {
        Self { area, address, log }
    }

    #[inline]
    fn mark<W: Word>(&self, offset: usize) {
        self.log.mark(self.address + offset as u64, size_of::<W>() as u64);
    }
}

impl Area for GuestArea {
    #[inline]
    fn read<W: Word>(&self, offset: usize) -> W {
        self.area.read(offset)
    }

    #[inline]
    fn write<W: Word>(&self, offset: usize, value: W) {
        self.area.write(offset, value);
        self.mark::<W>(offset);
    }

    #[inline]
    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        self.area.load(offset, order)
    }

    #[inline]
    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        self.area.store(offset, value, order);
        self.mark::<W>(offset);
    }
}
