//! Memory that writes down every access, and admits none outside the areas.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

use ring_core::memory::{AccessError, Area, Load, Memory, RawArea, RawMemory, Store, Word};

/// One access to shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read { address: u64, len: usize },
    Write { address: u64, len: usize },
    Fence,
}

/// One end's view of shared memory, with a log of what it did there.
#[derive(Clone, Debug)]
pub(crate) struct Watched<'m> {
    memory: RawMemory<'m>,
    log: Rc<RefCell<Vec<Access>>>,
}

impl<'m> Watched<'m> {
    pub(crate) fn new(memory: RawMemory<'m>) -> Self {
        Self { memory, log: Rc::default() }
    }

    /// What was done since this was last asked.
    pub(crate) fn accesses(&self) -> Vec<Access> {
        mem::take(&mut self.log.borrow_mut())
    }
}

impl<'m> Memory for Watched<'m> {
    type Area = WatchedArea<'m>;

    fn area(&self, address: u64, len: usize) -> Result<Self::Area, AccessError> {
        let area = self.memory.area(address, len)?;
        Ok(WatchedArea { area, address, len, log: self.log.clone() })
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.log.borrow_mut().push(Access::Read { address, len: into.len() });
        self.memory.read_bytes(address, into)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.log.borrow_mut().push(Access::Write { address, len: from.len() });
        self.memory.write_bytes(address, from)
    }

    fn fence(&self) {
        self.log.borrow_mut().push(Access::Fence);
        self.memory.fence();
    }
}

/// A part of a [`Watched`] memory.
#[derive(Debug)]
pub(crate) struct WatchedArea<'m> {
    area: RawArea<'m>,
    address: u64,
    len: usize,
    log: Rc<RefCell<Vec<Access>>>,
}

impl WatchedArea<'_> {
    /// The address of a word, which has to lie in the area.
    fn word<W: Word>(&self, offset: usize) -> u64 {
        let len = size_of::<W>();
        assert!(offset.is_multiple_of(len), "{len} bytes at {offset:#x} are not aligned");
        assert!(offset + len <= self.len, "{len} bytes at {offset:#x} in an area of {:#x}", self.len);
        self.address + offset as u64
    }

    fn log_read<W: Word>(&self, offset: usize) {
        let address = self.word::<W>(offset);
        self.log.borrow_mut().push(Access::Read { address, len: size_of::<W>() });
    }

    fn log_write<W: Word>(&self, offset: usize) {
        let address = self.word::<W>(offset);
        self.log.borrow_mut().push(Access::Write { address, len: size_of::<W>() });
    }
}

impl Area for WatchedArea<'_> {
    fn read<W: Word>(&self, offset: usize) -> W {
        self.log_read::<W>(offset);
        self.area.read(offset)
    }

    fn write<W: Word>(&self, offset: usize, value: W) {
        self.log_write::<W>(offset);
        self.area.write(offset, value);
    }

    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        self.log_read::<W>(offset);
        self.area.load(offset, order)
    }

    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        self.log_write::<W>(offset);
        self.area.store(offset, value, order);
    }
}
