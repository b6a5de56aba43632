//! Going on for a device of a packed queue that died.

use crate::chain::Token;
use crate::error::SetupError;
use crate::in_flight::Slot;
use crate::index::Cursor;
use crate::memory::{Area as _, Load, Memory, Store};
use crate::position::Position;
use crate::recovery::ChainRecord;
use crate::setup::State;

use super::DeviceQueue;
use super::layout::{DescriptorFlags, Meta, meta};

/// Going on for a device that died: see [`recovery`](crate::recovery).
impl<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>> DeviceQueue<M, S> {
    /// The record of a chain in flight.
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        self.in_flight.record(token)
    }

    /// Where [`position`](Self::position) will have its used half once what is staged has been published.
    pub const fn next_used(&self) -> u16 {
        self.half.staged.bits()
    }

    /// Whether a device that had published up to `used`, and had staged more, published that, too.
    pub fn has_published(&self, used: u16) -> bool {
        // Only the USED bit of the batch's first descriptor says it. That bit is unlike the wrap counter from when the
        // driver makes the slot available until the device marks it; and the driver, if it has come by again already,
        // leaves it as it is, since it is unlike the next lap's counter, too.
        Cursor::from_bits(used, self.half.ring.size)
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
        self.in_flight.can_go_on_after(last)?;
        self.resume(Position::quiescent(used))?;
        // The slots of a chain that is adopted may have been written to, for a batch that was never published. With a
        // gap behind them none is the newest, and could be given back.
        self.in_flight.go_on_after(last, true);
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
        if !self.half.state.is_running() {
            return Err(SetupError::ChainRecord(taken));
        }
        let token = self.in_flight.adopt(taken, self.half.next.bits(), self.half.ring.size)?;
        if self.half.state == State::InOrder {
            self.in_flight.queue_up(taken.id, self.half.ring.size);
        }
        for _ in 0..taken.count {
            self.unmark(self.half.next);
            self.half.next = self.half.next.advance(1, self.half.ring.size);
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
            let unmarked = Meta { flags: DescriptorFlags::available(at), ..descriptor };
            // Relaxed: the driver comes here only after a descriptor before this one is published.
            self.half.ring.descriptor.store(meta(at.slot()), unmarked.to_word(), Store::Relaxed);
        }
    }

    /// What is in a slot that a device now dead may have written to.
    fn descriptor(&self, at: Cursor) -> Meta {
        // Relaxed: whoever found that the other device is dead sees all that it wrote. What the driver wrote is only
        // looked at for what follows from these bits alone.
        Meta::from_word(self.half.ring.descriptor.load(meta(at.slot()), Load::Relaxed))
    }
}
