//! The guest's memory as the guest writes it: each write is also made in the copy of a migration.
//!
//! A VMM learns from KVM which pages the guest has written. Here the copy has the guest's writes
//! at once, so it differs from the memory only where isolation-host has written.

use isolation_host::mmap::Window;
use ring_core::Segment;
use ring_core::memory::{AccessError, Area, AreaRings, AreaWalk, Load, Memory, Store, Word};

/// The memory and its copy.
#[derive(Clone)]
pub(crate) struct Mirrored<M> {
    pub(crate) memory: M,
    pub(crate) copy: M,
}

impl Memory for Mirrored<Window> {
    type Area = Mirrored<<Window as Memory>::Area>;

    fn area(&self, address: u64, len: usize) -> Result<Self::Area, AccessError> {
        Ok(Mirrored { memory: self.memory.area(address, len)?, copy: self.copy.area(address, len)? })
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.memory.read_bytes(address, into)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.memory.write_bytes(address, from)?;
        self.copy.write_bytes(address, from)
    }

    fn lend(&self, segment: Segment) -> Result<(), AccessError> {
        self.memory.lend(segment)
    }

    fn fence(&self) {
        self.memory.fence();
    }
}

impl<A: Area> Area for Mirrored<A> {
    type Rings = AreaRings<Self>;
    type Walk = AreaWalk<Self>;

    fn rings(areas: [&Self; 3], size: u16) -> Self::Rings {
        AreaRings::new(areas, size)
    }

    fn walk(&self, size: u16, slot: u16) -> Self::Walk {
        AreaWalk::new(self, size, slot)
    }

    fn read<W: Word>(&self, offset: usize) -> W {
        self.memory.read(offset)
    }

    fn write<W: Word>(&self, offset: usize, value: W) {
        self.memory.write(offset, value);
        self.copy.write(offset, value);
    }

    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        self.memory.load(offset, order)
    }

    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        self.memory.store(offset, value, order);
        self.copy.store(offset, value, order);
    }
}
