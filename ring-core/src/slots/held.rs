//! The device end of an in-order queue: chains that are held until all older ones are completed.

use crate::chain::Token;
use crate::error::CompleteError;
use crate::index::QueueSize;

use super::device::{Chains, Completion, HELD, READ_ONLY, Slots, slot_of};

/// In-order queues: chains are returned in the order in which they were taken.
impl<S: Slots> Chains<S> {
    /// Notes that the chain that was just inserted is the newest.
    pub(crate) fn enqueue(&mut self, id: u16, size: QueueSize) {
        let place = self.fifo.push(size);
        if let Some(slot) = self.slots.as_mut().get_mut(usize::from(place)) {
            slot.in_order_id = id;
        }
    }

    /// Accepts a token and holds its chain until all older chains are completed.
    pub(crate) fn hold(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        let read_only = token.is_read_only();
        let slot = slot_of(self.slots.as_mut(), token, written)?;
        slot.serial |= if read_only { HELD | READ_ONLY } else { HELD };
        slot.written = written;
        Ok(())
    }

    /// Removes and returns the oldest chain, if it has been completed.
    pub(crate) fn next_in_order(&mut self, size: QueueSize) -> Option<Completion> {
        let slots = self.slots.as_mut();
        let id = slots.get(usize::from(self.fifo.first()))?.in_order_id;
        let slot = slots.get_mut(usize::from(id)).filter(|slot| slot.serial & HELD != 0)?;
        let (count, written, read_only) = (slot.count, slot.written, slot.serial & READ_ONLY != 0);
        slot.serial = 0;
        self.counts.staged += count;
        self.fifo.pop(size);
        Some(Completion { id, count, written, read_only })
    }
}
