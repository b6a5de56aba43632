//! Going on for a device of a packed queue that died.

use crate::chain::{ChainRecord, Token};
use crate::error::SetupError;
use crate::index::Cursor;
use crate::memory::{Area as _, Load, Memory, Store};
use crate::position::Position;
use crate::ring::State;
use crate::slots::device::Slot;

use super::DeviceQueue;
use super::layout::{Control, DescriptorFlags, control};

/// Going on for a device that died: see [`recovery`](crate::recovery).
impl<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>> DeviceQueue<M, S> {
    /// The record of a chain in flight.
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        self.slots.record(token)
    }

    /// Where [`position`](Self::position) will have its used half once what is staged has been published.
    pub const fn next_used(&self) -> u16 {
        self.end.staged.bits()
    }

    /// Whether a device that had published up to `used`, and had staged more, published that, too.
    pub fn has_published(&self, used: u16) -> bool {
        // Only the USED bit of the batch's first descriptor says it. That bit is unlike the wrap counter from when the
        // driver makes the slot available until the device marks it; and the driver, if it has come by again already,
        // leaves it as it is, since it is unlike the next lap's counter, too.
        Cursor::from_bits(used, self.end.ring.size)
            .is_some_and(|used| self.descriptor(used).flags.contains(DescriptorFlags::USED) == used.wrap())
    }

    /// Goes on after a device that died when it had published up to `used`, and had numbered its chains up to `last`.
    /// It is for a device that has not taken any itself.
    ///
    /// # Errors
    ///
    /// [`SetupError::Recovery`] if this device has taken chains, or if no queue can have come to `last`; otherwise as for
    /// [`resume`](Self::resume). The queue is then as it was.
    pub fn recover(&mut self, used: u16, last: u64) -> Result<(), SetupError> {
        self.slots.check_recovery(last)?;
        self.resume(Position::quiescent(used))?;
        // The slots of a chain that is adopted may have been written to, for a batch that was never published. With a
        // gap behind them none is the newest, and could be given back.
        self.slots.recover(last, true);
        Ok(())
    }

    /// Takes over a chain that was in flight. All of them have to be taken over, in the order of their serials,
    /// before anything else happens to the queue. Such chains cannot be given back.
    ///
    /// # Errors
    ///
    /// [`SetupError::ChainRecord`] if it cannot have been in flight, or has been taken over already, or comes after a later
    /// one, or after one that was popped; or if the queue does not run.
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

    /// Sees to it that the driver does not take the descriptor at `at` for a used one. It may look like one,
    /// because all of a batch but its first descriptor is written before the batch is published.
    ///
    /// The standard forbids to change a descriptor that is marked used (VIRTIO 1.4, 2.8.15 "Device Requirements: The
    /// Virtqueue Descriptor Table"). No driver can have seen this mark, which is behind a slot that is not used yet.
    fn unmark(&self, at: Cursor) {
        let descriptor = self.descriptor(at);
        if descriptor.flags.is_turn(DescriptorFlags::used(at)) {
            let unmarked = Control { flags: DescriptorFlags::available(at), ..descriptor };
            // Relaxed: the driver comes here only after a descriptor before this one is published.
            self.end.ring.descriptor.store(control(at.slot()), unmarked.to_word(), Store::Relaxed);
        }
    }

    /// What is in a slot that a device now dead may have written to.
    fn descriptor(&self, at: Cursor) -> Control {
        // Relaxed: whoever found that the other device is dead sees all that it wrote. What the driver wrote is only
        // looked at for what follows from these bits alone.
        Control::from_word(self.end.ring.descriptor.load(control(at.slot()), Load::Relaxed))
    }
}
