//! A resolved part of a window.

use std::fmt;
use std::sync::Arc;

use ring_core::memory::{Area, AreaRings, AreaWalk, Load, RawArea, Store, Word};

use super::mapping::Mapping;

/// A resolved part of a [`Window`](super::Window). An area keeps the memory mapped.
#[derive(Clone)]
pub struct WindowArea {
    pub(super) raw: RawArea<'static>,
    pub(super) _mapping: Arc<Mapping>,
}

impl fmt::Debug for WindowArea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

impl Area for WindowArea {
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
        self.raw.read(offset)
    }

    #[inline]
    fn write<W: Word>(&self, offset: usize, value: W) {
        self.raw.write(offset, value);
    }

    #[inline]
    fn read_pair<W: Word>(&self, offset: usize) -> (W, W) {
        self.raw.read_pair(offset)
    }

    #[inline]
    fn write_pair<W: Word>(&self, offset: usize, values: (W, W)) {
        self.raw.write_pair(offset, values);
    }

    #[inline]
    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        self.raw.load(offset, order)
    }

    #[inline]
    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        self.raw.store(offset, value, order);
    }
}
