//! Memory that records every access, and panics at an access outside the areas.

use std::cell::RefCell;
use std::mem;
use std::ops::Range;
use std::rc::Rc;

use ring_core::Segment;
use ring_core::memory::{
    AccessError, Area, AreaRings, AreaWalk, Load, Memory, RawArea, RawMemory, Store, Table, Word,
};

/// One access to shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "an access is described by its variant, its address and its length")]
pub enum Access {
    /// [`Area::read`] of one word.
    Read { address: u64, len: usize },
    /// [`Area::write`] of one word.
    Write { address: u64, len: usize },
    /// [`Area::load`] of one word.
    Load { address: u64, len: usize, order: Load },
    /// [`Area::store`] of one word.
    Store { address: u64, len: usize, order: Store },
    /// [`Memory::read_bytes`].
    ReadBytes { address: u64, len: usize },
    /// [`Memory::write_bytes`].
    WriteBytes { address: u64, len: usize },
    /// [`Memory::table`] that has returned a table.
    Table { address: u64, len: usize },
    /// [`Table::get`] of one descriptor of an indirect table.
    ReadInTable { address: u64, len: usize },
    /// [`Memory::fence`].
    Fence,
}

impl Access {
    /// Returns the addresses of the bytes that the access reads. To resolve a table reads nothing.
    #[must_use]
    pub const fn reads(self) -> Range<u64> {
        match self {
            Self::Read { address, len }
            | Self::Load { address, len, .. }
            | Self::ReadBytes { address, len }
            | Self::ReadInTable { address, len } => address..address + len as u64,
            Self::Write { .. }
            | Self::Store { .. }
            | Self::WriteBytes { .. }
            | Self::Table { .. }
            | Self::Fence => 0..0,
        }
    }

    /// Returns the number of bytes that the access reads or writes.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Read { len, .. }
            | Self::Write { len, .. }
            | Self::Load { len, .. }
            | Self::Store { len, .. }
            | Self::ReadBytes { len, .. }
            | Self::ReadInTable { len, .. }
            | Self::WriteBytes { len, .. } => len,
            Self::Table { .. } | Self::Fence => 0,
        }
    }
}

/// The view that one end has of shared memory, with a log of the accesses of this end.
#[derive(Clone, Debug)]
pub struct Watched<'m> {
    memory: RawMemory<'m>,
    log: Rc<RefCell<Vec<Access>>>,
}

impl<'m> Watched<'m> {
    /// Returns a view of `memory` with an empty log. Clones of the view share the log.
    #[must_use]
    pub fn new(memory: RawMemory<'m>) -> Self {
        Self { memory, log: Rc::default() }
    }

    /// Returns the accesses since the last call, oldest first.
    pub fn accesses(&self) -> Vec<Access> {
        mem::take(&mut self.log.borrow_mut())
    }

    fn record(&self, access: Access) {
        self.log.borrow_mut().push(access);
    }
}

impl<'m> Memory for Watched<'m> {
    type Area = WatchedArea<'m>;

    fn area(&self, address: u64, len: usize) -> Result<Self::Area, AccessError> {
        let area = self.memory.area(address, len)?;
        Ok(WatchedArea { area, address, len, memory: self.clone() })
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.record(Access::ReadBytes { address, len: into.len() });
        self.memory.read_bytes(address, into)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.record(Access::WriteBytes { address, len: from.len() });
        self.memory.write_bytes(address, from)
    }

    fn table(&self, Segment { address, len }: Segment) -> Option<impl Table> {
        let table = self.memory.table(Segment::new(address, len))?;
        self.record(Access::Table { address, len: len as usize });
        Some(WatchedTable { table, address, memory: self })
    }

    fn lend(&self, _: Segment) -> Result<(), AccessError> {
        // The device is in this program, and resolves segments in a memory of its own.
        Ok(())
    }

    fn fence(&self) {
        self.record(Access::Fence);
        self.memory.fence();
    }
}

/// An indirect table in a [`Watched`] memory. Only a device end resolves tables, and only to read.
#[derive(Debug)]
struct WatchedTable<'a, 'm, T> {
    table: T,
    address: u64,
    memory: &'a Watched<'m>,
}

impl<T: Copy> Clone for WatchedTable<'_, '_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Copy> Copy for WatchedTable<'_, '_, T> {}

impl<T: Table> Table for WatchedTable<'_, '_, T> {
    fn size(&self) -> usize {
        self.table.size()
    }

    fn get(&self, index: usize) -> Option<(u64, u64)> {
        const DESCRIPTOR: usize = 16;
        let words = self.table.get(index)?;
        let address = self.address + (index * DESCRIPTOR) as u64;
        self.memory.record(Access::ReadInTable { address, len: DESCRIPTOR });
        Some(words)
    }

    fn set(&self, index: usize, _: (u64, u64)) {
        panic!("the device end writes descriptor {index} of an indirect table");
    }

    fn set_rest(&self, index: usize, _: u64) {
        panic!("the device end writes descriptor {index} of an indirect table");
    }
}

/// A range of a [`Watched`] memory.
#[derive(Clone, Debug)]
pub struct WatchedArea<'m> {
    area: RawArea<'m>,
    address: u64,
    len: usize,
    memory: Watched<'m>,
}

impl WatchedArea<'_> {
    /// Returns the address and the length of a word, which must lie in the area and be aligned.
    fn word<W: Word>(&self, offset: usize) -> (u64, usize) {
        let len = size_of::<W>();
        assert!(offset % len == 0, "{len} bytes at {offset:#x} are not aligned");
        assert!(offset + len <= self.len, "{len} bytes at {offset:#x} in an area of {:#x}", self.len);
        (self.address + offset as u64, len)
    }
}

impl Area for WatchedArea<'_> {
    type Rings = AreaRings<Self>;
    type Walk = AreaWalk<Self>;

    fn rings(areas: [&Self; 3], size: u16) -> Self::Rings {
        AreaRings::new(areas, size)
    }

    fn walk(&self, size: u16, slot: u16) -> Self::Walk {
        AreaWalk::new(self, size, slot)
    }

    fn read<W: Word>(&self, offset: usize) -> W {
        let (address, len) = self.word::<W>(offset);
        self.memory.record(Access::Read { address, len });
        self.area.read(offset)
    }

    fn write<W: Word>(&self, offset: usize, value: W) {
        let (address, len) = self.word::<W>(offset);
        self.memory.record(Access::Write { address, len });
        self.area.write(offset, value);
    }

    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        let (address, len) = self.word::<W>(offset);
        self.memory.record(Access::Load { address, len, order });
        self.area.load(offset, order)
    }

    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        let (address, len) = self.word::<W>(offset);
        self.memory.record(Access::Store { address, len, order });
        self.area.store(offset, value, order);
    }
}
