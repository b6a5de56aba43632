//! The driver end of a packed queue: buffers whose segments come from iterators.

use crate::admission::{Tally, in_order};
use crate::error::{AddError, AddErrorKind};
use crate::memory::Memory;
use crate::segment::Segment;
use crate::slots::driver::Slots;

use super::driver::DriverQueue;
use super::layout::DescriptorFlags;

impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Stages a buffer whose segments come from iterators.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::add_iter`].
    pub fn add_iter(
        &mut self,
        readable: impl IntoIterator<Item = Segment>,
        writable: impl IntoIterator<Item = Segment>,
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        let mut unstaged = Unstaged { queue: self, count: 0 };
        let bytes = match unstaged.write(readable, writable) {
            Ok(bytes) => bytes,
            Err(kind) => return Err(AddError { kind, cookie }),
        };
        Ok(unstaged.stage(bytes, cookie))
    }
}

/// The descriptors of a buffer that is not staged yet. If the buffer is refused, or if an iterator
/// panics, these descriptors must not stay available behind the next batch.
struct Unstaged<'q, M: Memory, S: Slots<T>, T> {
    queue: &'q mut DriverQueue<M, S, T>,
    /// The number of descriptors that have been written.
    count: u16,
}

impl<M: Memory, S: Slots<T>, T> Unstaged<'_, M, S, T> {
    /// Writes the descriptors of a buffer. Returns the number of its writable bytes.
    fn write(
        &mut self,
        readable: impl IntoIterator<Item = Segment>,
        writable: impl IntoIterator<Item = Segment>,
    ) -> Result<u32, AddErrorKind> {
        let Self { queue, count } = self;
        let (state, size, free) = (queue.end.state, queue.end.ring.size, queue.slots.free());
        let (id, mut at) = (queue.slots.head(), queue.end.staged);
        let (mut tally, mut last) = (Tally::new(state, free), None);
        for (segment, is_writable) in in_order(readable, writable) {
            if tally.admits(queue.memory(), segment, is_writable) {
                let kind = if is_writable { DescriptorFlags::WRITE } else { DescriptorFlags::empty() };
                queue.write(at, id, segment, kind.union(DescriptorFlags::NEXT));
                last = Some((at, segment, kind));
                at = at.advance(1, size);
                *count += 1;
            }
        }
        let bytes = tally.accept(state, size, free)?;
        if let Some((at, segment, kind)) = last {
            queue.write(at, id, segment, kind);
        }
        Ok(bytes)
    }

    /// Stages the buffer. Returns its id.
    fn stage(mut self, bytes: u32, cookie: T) -> u16 {
        let run = self.queue.slots.first();
        self.queue.stage(run, core::mem::take(&mut self.count), bytes, cookie);
        run.head
    }
}

impl<M: Memory, S: Slots<T>, T> Drop for Unstaged<'_, M, S, T> {
    fn drop(&mut self) {
        self.queue.withdraw(self.count);
    }
}
