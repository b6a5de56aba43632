//! Where a burst writes descriptors.

use crate::index::Cursor;
use crate::memory::{Area as _, Memory, Store, Walk};
use crate::packed::end::End;
use crate::packed::layout::DescriptorFlags;

use super::{TURN, WalkOf, cursor, word};

/// The position at which the next descriptor is written.
pub(super) struct Staging<M: Memory> {
    at: WalkOf<M>,
    /// The flags that mark a descriptor available, or used, on this lap.
    turn: u64,
}

impl<M: Memory> Staging<M> {
    /// Returns the position of an end, which marks descriptors with the flags `mark`.
    #[inline(always)]
    pub(super) fn of(end: &End<M>, mark: impl Fn(Cursor) -> DescriptorFlags) -> Self {
        let at = end.ring.descriptor.walk(end.ring.size.get(), end.staged.slot());
        Self { at, turn: word(mark(end.staged)) }
    }

    /// Reads the position of the end again.
    #[inline(always)]
    pub(super) fn read(&mut self, end: &End<M>, mark: impl Fn(Cursor) -> DescriptorFlags) {
        self.at.move_to(end.staged.slot());
        self.turn = word(mark(end.staged));
    }

    /// Writes the position back to the end.
    #[inline(always)]
    pub(super) fn write_back(&self, end: &mut End<M>) {
        end.staged = cursor(self.at.slot(), self.turn);
    }

    /// Writes the address of the next descriptor.
    #[inline(always)]
    pub(super) fn set_address(&self, address: u64) {
        self.at.set_address(address);
    }

    /// Writes a control word without the flags of the lap, and moves `count` slots on.
    #[inline(always)]
    pub(super) fn put(&mut self, end: &mut End<M>, control: u64, count: u16) {
        let control = control | self.turn;
        if end.stage_in_burst(control, count) {
            // Relaxed: the other side reads this slot only after the batch's first descriptor is
            // published.
            self.at.set_control(control, Store::Relaxed);
        }
        if self.at.advance(count) {
            self.turn ^= TURN;
        }
    }
}
