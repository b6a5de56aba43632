//! The driver end of a packed queue: buffers in indirect tables.

use crate::error::{AddError, AddErrorKind};
use crate::indirect::{LONGEST_TABLE, Room, fill_table, map_table, room_in_bytes, room_in_memory};
use crate::memory::{AccessError, Memory};
use crate::segment::Segment;
use crate::slots::driver::Slots;

use super::driver::DriverQueue;
use super::layout::{Control, DescriptorFlags};

impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Stages a buffer through an indirect table in the queue's memory.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::add_indirect`].
    pub fn add_indirect(
        &mut self,
        table: Segment,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        let room = room_in_memory(&self.end.ring.memory, table, LONGEST_TABLE);
        let filled = self.fill_table(room, readable, writable);
        self.stage_table(filled, cookie)
    }

    /// Stages a buffer through an indirect table in `table`. `map` returns the address that the
    /// device knows.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::add_indirect_in`].
    pub fn add_indirect_in(
        &mut self,
        table: &mut [u8],
        map: impl FnOnce(&mut [u8]) -> u64,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        let room = room_in_bytes(table, LONGEST_TABLE);
        let filled = self
            .fill_table(room, readable, writable)
            .and_then(|(filled, bytes)| Ok((map_table(self.memory(), table, filled.len, map)?, bytes)));
        self.stage_table(filled, cookie)
    }

    /// Writes a buffer's descriptors to a table. Returns the table and the buffer's writable bytes.
    #[inline]
    fn fill_table(
        &self,
        room: Room<impl FnMut(u64, &[u8]) -> Result<(), AccessError>>,
        readable: &[Segment],
        writable: &[Segment],
    ) -> Result<(Segment, u32), AddErrorKind> {
        let (ring, state, free) = (&self.end.ring, self.end.state, self.slots.free());
        fill_table(ring, state, free, room, readable, writable, |segment, writable, _| {
            let flags = if writable { DescriptorFlags::WRITE } else { DescriptorFlags::empty() };
            (segment.address, Control { len: segment.len, id: 0, flags }.to_word())
        })
    }

    /// Stages the buffer whose table has been filled.
    #[inline]
    fn stage_table(
        &mut self,
        filled: Result<(Segment, u32), AddErrorKind>,
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        let (table, bytes) = match filled {
            Ok(filled) => filled,
            Err(kind) => return Err(AddError { kind, cookie }),
        };
        let run = self.slots.first();
        let id = run.head;
        self.write(self.end.staged, id, table, DescriptorFlags::INDIRECT);
        self.stage(run, 1, bytes, cookie);
        Ok(id)
    }
}
