//! Where a burst writes descriptors.

use crate::index::Cursor;
use crate::memory::{Area as _, Memory, Store, Walk};
use crate::packed::end::End;
use crate::packed::layout::DescriptorFlags;

use super::{CONTROL, TURN, WalkOf, cursor, word};

/// The position at which the next descriptor is written, and the batch so far.
pub(super) struct Staging<M: Memory> {
    at: WalkOf<M>,
    /// The flags that mark a descriptor available, or used, on this lap.
    turn: u64,
    /// The number of staged descriptors.
    count: u16,
    /// The control word of the first staged descriptor, which publishes the batch.
    first: u64,
}

impl<M: Memory> Staging<M> {
    /// Returns the position of an end, which marks descriptors with the flags `mark`.
    #[inline(always)]
    pub(super) fn of(end: &End<M>, mark: impl Fn(Cursor) -> DescriptorFlags) -> Self {
        let at = end.ring.descriptor.walk(end.ring.size.get(), end.staged.slot());
        let (count, first) = end.batch();
        Self { at, turn: word(mark(end.staged)), count, first }
    }

    /// Notes the position in the end that it is of.
    #[inline(always)]
    pub(super) fn write_back(&self, end: &mut End<M>) {
        end.set_batch(cursor(self.at.slot(), self.turn), self.count, self.first);
    }

    /// Writes the word at offset `field` of the next descriptor.
    #[inline(always)]
    pub(super) fn write(&self, field: usize, value: u64) {
        self.at.write(field, value);
    }

    /// Writes a control word without the flags of the lap, and moves `count` slots on.
    #[inline(always)]
    pub(super) fn put(&mut self, control: u64, count: u16) {
        if self.count == 0 {
            self.first = control | self.turn;
        } else {
            // Relaxed: the other side reads this slot only after the batch's first descriptor is
            // published.
            self.at.store(CONTROL, control | self.turn, Store::Relaxed);
        }
        self.count += count;
        if self.at.advance(count) {
            self.turn ^= TURN;
        }
    }
}
