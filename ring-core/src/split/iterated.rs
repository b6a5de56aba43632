//! The driver end of a split queue: buffers whose segments come from iterators.

use crate::admission::{Tally, in_order};
use crate::error::AddError;
use crate::memory::Memory;
use crate::segment::Segment;
use crate::slots::driver::{Run, Slots};

use super::driver::DriverQueue;
use super::layout::{Descriptor, DescriptorFlags};

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
        let (state, free, head) = (self.end.state, self.slots.free(), self.slots.head());
        let mut tally = Tally::new(state, free);
        let (mut last, mut next, mut count) = (head, head, 0);
        let mut end = Descriptor::from_words((0, 0));
        for (segment, is_writable) in in_order(readable, writable) {
            if tally.admits(&self.end.ring.memory, segment, is_writable) {
                let kind = if is_writable { DescriptorFlags::WRITE } else { DescriptorFlags::empty() };
                (last, next) = (next, self.slots.next(next));
                end = Descriptor::new(segment, kind.union(DescriptorFlags::NEXT), next);
                self.write(last, end);
                count += 1;
            }
        }
        // These descriptors are not available to the device yet, so the buffer can still be
        // refused.
        let bytes = match tally.accept(state, self.end.ring.size, free) {
            Ok(bytes) => bytes,
            Err(kind) => return Err(AddError { kind, cookie }),
        };
        self.write(last, end.without_next());
        self.stage(Run { head, last, after: Some(next) }, count, bytes, cookie);
        Ok(head)
    }
}
