//! Where a burst takes descriptors.

use crate::index::{Cursor, QueueSize};
use crate::memory::{Area as _, Load, Memory, Walk};
use crate::packed::end::End;
use crate::packed::layout::DescriptorFlags;

use super::{TURN, WalkOf, cursor, word};

/// A value that no descriptor's flags have. It means that the plain call has to be made.
const NEVER: u64 = 1;

/// The position of the next descriptor to take.
pub(super) struct Taking<M: Memory> {
    at: WalkOf<M>,
    /// The flags of a descriptor that can be taken on this lap, or [`NEVER`].
    due: u64,
}

impl<M: Memory> Taking<M> {
    /// Returns the position of an end, whose next descriptor has the flags `due`.
    #[inline(always)]
    pub(super) fn of(end: &End<M>, due: impl Fn(Cursor) -> DescriptorFlags) -> Self {
        let at = end.ring.descriptor.walk(end.ring.size.get(), end.next.slot());
        let mut taking = Self { at, due: NEVER };
        taking.read(end, due);
        taking
    }

    /// Reads the position of the end again.
    #[inline(always)]
    pub(super) fn read(&mut self, end: &End<M>, due: impl Fn(Cursor) -> DescriptorFlags) {
        self.at.move_to(end.next.slot());
        self.due = if end.is_taken_by_burst() { word(due(end.next)) } else { NEVER };
    }

    /// Writes the position back to the end, unless the plain calls move the end's position.
    #[inline(always)]
    pub(super) fn write_back(&self, end: &mut End<M>) {
        if !self.is_slow() {
            end.next = cursor(self.at.slot(), self.due);
        }
    }

    /// Returns whether the plain call has to be made, for example because the queue does not run.
    #[inline(always)]
    pub(super) const fn is_slow(&self) -> bool {
        self.due == NEVER
    }

    /// Returns the control word of the next descriptor, if it can be taken. Call only if
    /// [`is_slow`](Self::is_slow) returns `false`.
    #[inline(always)]
    pub(super) fn found(&self) -> Option<u64> {
        // Acquire: pairs with the Release in the other end's `publish`; orders the rest of the
        // batch, what it refers to, and the buffers' contents after the flags of the batch's first
        // descriptor.
        let control = self.at.control(Load::Acquire);
        (control & TURN == self.due).then_some(control)
    }

    /// Returns the address in the next descriptor.
    #[inline(always)]
    pub(super) fn address(&self) -> u64 {
        self.at.address()
    }

    /// Returns the bits of the cursor.
    #[inline(always)]
    pub(super) fn bits(&self) -> u16 {
        cursor(self.at.slot(), self.due).bits()
    }

    /// Returns the control word of this descriptor, which is not the first of its chain.
    #[inline(always)]
    pub(super) fn following(&self) -> Option<u64> {
        // Relaxed: `found` loaded the flags of the first descriptor with Acquire, and these publish
        // the whole chain.
        let control = self.at.control(Load::Relaxed);
        (control & TURN == self.due).then_some(control)
    }

    /// Moves back to the position with these [`bits`](Self::bits), in a ring of `size` slots.
    #[inline(always)]
    pub(super) fn return_to(&mut self, bits: u16, size: QueueSize) {
        let Some(at) = Cursor::from_bits(bits, size) else { return };
        self.at.move_to(at.slot());
        self.due = word(DescriptorFlags::available(at));
    }

    /// Moves the position on by `count` slots.
    #[inline(always)]
    pub(super) fn advance(&mut self, count: u16) {
        if self.at.advance(count) {
            self.due ^= TURN;
        }
    }
}
