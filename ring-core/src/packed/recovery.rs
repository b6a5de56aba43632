//! Taking over from a device of a packed queue that crashed.

use crate::chain::{ChainRecord, Token};
use crate::error::SetupError;
use crate::index::Cursor;
use crate::memory::{Area as _, Load, Memory, Store};
use crate::position::Position;
use crate::ring::State;
use crate::slots::device::Slots;

use super::DeviceQueue;
use super::layout::{Control, DescriptorFlags, control};

/// Taking over from a device that crashed: see [`recovery`](crate::recovery).
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Returns the record of a chain in flight.
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        self.slots.record(token)
    }

    /// Returns what the `used` part of [`position`](Self::position) will be after the staged chains
    /// have been published.
    pub const fn next_used(&self) -> u16 {
        self.end.staged.bits()
    }

    /// Returns whether the crashed device has published its last batch: the descriptors that it had
    /// staged after it had published up to `used`.
    pub fn has_published(&self, used: u16) -> bool {
        // Only the USED bit of the batch's first descriptor answers the question. The bit differs
        // from the wrap counter from the time when the driver makes the slot available until the
        // device marks it used. If the driver has already made the slot available once more, the
        // bit is unchanged, because an available slot's bit also differs from the wrap counter of
        // the next lap.
        Cursor::from_bits(used, self.end.ring.size)
            .is_some_and(|used| self.descriptor(used).flags.contains(DescriptorFlags::USED) == used.wrap())
    }

    /// Takes over from a device that had published up to `used` and whose last chain had the serial
    /// `last`.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::recover`].
    pub fn recover(&mut self, used: u16, last: u64) -> Result<(), SetupError> {
        self.slots.check_recovery(last)?;
        self.resume(Position::quiescent(used))?;
        // The crashed device may have overwritten the slots of an adopted chain, for a batch that
        // it never published. So adopted chains must not be put back: with a gap after their
        // serials, none of them is the newest.
        self.slots.recover(last, true);
        Ok(())
    }

    /// Takes over a chain that was in flight. The chain cannot be put back with `unpop`.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::adopt`].
    pub fn adopt(&mut self, taken: ChainRecord) -> Result<Token, SetupError> {
        if !self.end.state.is_running() {
            return Err(SetupError::ChainRecord(taken));
        }
        let token = self.slots.adopt(taken, self.end.next.bits(), self.end.ring.size)?;
        if self.end.state == State::InOrder {
            self.slots.enqueue(taken.id, self.end.ring.size);
        }
        for _ in 0..taken.count {
            self.unmark(self.end.next);
            self.end.next = self.end.next.advance(1, self.end.ring.size);
        }
        Ok(token)
    }

    /// Ensures that the driver does not mistake the descriptor at `at` for a used descriptor. The
    /// descriptor may look used, because all descriptors of a batch but the first are written
    /// before the batch is published.
    ///
    /// The standard forbids changing a descriptor that is marked used (VIRTIO 1.4, 2.8.15 "Device
    /// Requirements: The Virtqueue Descriptor Table"). No driver can have seen this mark, because
    /// it follows a slot that is not used yet.
    fn unmark(&self, at: Cursor) {
        let descriptor = self.descriptor(at);
        if descriptor.flags.is_turn(DescriptorFlags::used(at)) {
            let unmarked = Control { flags: DescriptorFlags::available(at), ..descriptor };
            // Relaxed: the driver reads this slot only after a descriptor before it is published.
            self.end.ring.descriptor.store(control(at.slot()), unmarked.to_word(), Store::Relaxed);
        }
    }

    /// Returns the control word of a slot that the crashed device may have written to.
    fn descriptor(&self, at: Cursor) -> Control {
        // Relaxed: the process that found the other device dead sees everything that device wrote.
        // Of what the driver wrote, only these bits are used, and no data that depends on them.
        Control::from_word(self.end.ring.descriptor.load(control(at.slot()), Load::Relaxed))
    }
}
