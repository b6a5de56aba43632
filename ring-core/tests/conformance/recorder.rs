//! Shared memory that keeps a log of what one end does to it.

use std::cell::RefCell;
use std::rc::Rc;

use ring_core::memory::{AccessError, Area, Load, Memory, RawArea, RawMemory, Store, Word};

/// What one end did, oldest first, a line for each access: `"driver+2 store u16 Release"`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Rc<RefCell<Vec<String>>>);

impl Log {
    fn note(&self, line: String) {
        self.0.borrow_mut().push(line);
    }

    /// Everything since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

/// Shared memory as one end sees it.
#[derive(Clone, Debug)]
pub(crate) struct Recorder<'m> {
    memory: RawMemory<'m>,
    names: fn(u64) -> &'static str,
    log: Log,
}

impl<'m> Recorder<'m> {
    /// `names` says what the log calls the area at an address.
    pub(crate) fn new(memory: RawMemory<'m>, names: fn(u64) -> &'static str, log: Log) -> Self {
        Self { memory, names, log }
    }
}

impl<'m> Memory for Recorder<'m> {
    type Area = RecordedArea<'m>;

    fn area(&self, address: u64, len: usize) -> Result<RecordedArea<'m>, AccessError> {
        let area = self.memory.area(address, len)?;
        Ok(RecordedArea { area, name: (self.names)(address), log: self.log.clone() })
    }

    fn read_bytes(&self, address: u64, into: &mut [u8]) -> Result<(), AccessError> {
        self.log.note(format!("{address:#x} read {} bytes", into.len()));
        self.memory.read_bytes(address, into)
    }

    fn write_bytes(&self, address: u64, from: &[u8]) -> Result<(), AccessError> {
        self.log.note(format!("{address:#x} write {} bytes", from.len()));
        self.memory.write_bytes(address, from)
    }

    fn fence(&self) {
        self.log.note("fence".into());
        self.memory.fence();
    }
}

/// An area of a [`Recorder`].
#[derive(Clone, Debug)]
pub(crate) struct RecordedArea<'m> {
    area: RawArea<'m>,
    name: &'static str,
    log: Log,
}

impl RecordedArea<'_> {
    fn note<W: Word>(&self, offset: usize, what: &str, order: &str) {
        let (name, bits) = (self.name, 8 * size_of::<W>());
        self.log.note(format!("{name}+{offset} {what} u{bits}{order}"));
    }
}

impl Area for RecordedArea<'_> {
    fn read<W: Word>(&self, offset: usize) -> W {
        self.note::<W>(offset, "read", "");
        self.area.read(offset)
    }

    fn write<W: Word>(&self, offset: usize, value: W) {
        self.note::<W>(offset, "write", "");
        self.area.write(offset, value);
    }

    fn load<W: Word>(&self, offset: usize, order: Load) -> W {
        self.note::<W>(offset, "load", &format!(" {order:?}"));
        self.area.load(offset, order)
    }

    fn store<W: Word>(&self, offset: usize, value: W, order: Store) {
        self.note::<W>(offset, "store", &format!(" {order:?}"));
        self.area.store(offset, value, order);
    }
}
