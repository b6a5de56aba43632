//! Access to a ring in the guest's memory.

use ring_core::memory::{Area, AreaRings, AreaWalk, Load, Store, Word};

use super::dirty_log::DirtyLog;
use crate::mmap::WindowArea;

/// A resolved part of the guest's memory. An area keeps its region mapped.
#[derive(Clone, Debug)]
pub struct GuestArea {
    area: WindowArea,
    address: u64,
    log: DirtyLog,
}

impl GuestArea {
    /// Makes the area at guest address `address`.
    pub(super) const fn new(area: WindowArea, address: u64, log: DirtyLog) -> Self {
        Self { area, address, log }
    }

    #[inline]
    fn mark(&self, offset: usize, len: usize) {
        self.log.mark(self.address + offset as u64, len as u64);
    }
}

impl Area for GuestArea {
    type Rings = AreaRings<Self>;
    type Walk = AreaWalk<Self>;

    fn rings(areas: [&Self; 3], size: u16) -> Self::Rings {
        AreaRings::new(areas, size)
    }

    fn walk(&self, size: u16, slot: u16) -> Self::Walk {
        AreaWalk::new(self, size, slot)
    }

    #[inline]
    fn read<W: Word>(&self, offset: usize) -> W {
        self.area.read(offset)
    }

    #[inline]
    fn write<W: Word>(&self, offset: usize, value: W) {
        self.area.write(offset, value);
        self.mark(offset, size_of::<W>());
    }

    #[inline]
    fn read_pair<W: Word>(&self, offset: usize) -> (W, W) {
        self.area.read_pair(offset)
    }

    #[inline]
    fn write_pair<W: Word>(&self, offset: usize, values: (W, W)) {
        self.area.write_pair(offset, values);
        self.mark(offset, 2 * size_of::<W>());
    }

    #[inline]
    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        self.area.load(offset, order)
    }

    #[inline]
    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        self.area.store(offset, value, order);
        self.mark(offset, size_of::<W>());
    }
}
