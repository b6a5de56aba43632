//! Going on for a device of a split queue that died.

use crate::chain::{ChainRecord, Token};
use crate::error::SetupError;
use crate::memory::Memory;
use crate::position::Position;
use crate::ring::State;
use crate::slots::device::Slot;

use super::DeviceQueue;

/// Going on for a device that died: see [`recovery`](crate::recovery).
impl<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>> DeviceQueue<M, S> {
    /// The record of a chain in flight.
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        self.slots.record(token)
    }

    /// Where [`position`](Self::position) will have its used half once what is staged has been published.
    pub const fn next_used(&self) -> u16 {
        self.end.staged
    }

    /// Whether a device that had published up to `used`, and had staged more, published that, too.
    pub fn has_published(&self, used: u16) -> bool {
        self.used_index() != used
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
        self.slots.recover(last, false);
        Ok(())
    }

    /// Takes over a chain that was in flight. All of them have to be taken over, in the order of their serials,
    /// before anything else happens to the queue.
    ///
    /// # Errors
    ///
    /// [`SetupError::ChainRecord`] if it cannot have been in flight, or has been taken over already, or comes after a later
    /// one, or after one that was popped; or if the queue does not run.
    pub fn adopt(&mut self, taken: ChainRecord) -> Result<Token, SetupError> {
        if !self.end.state.is_running() {
            return Err(SetupError::ChainRecord(taken));
        }
        // Its entry in the driver area need not be this one, if later chains were returned before it. But the newest
        // one's is, and the next newest one's then, and only those can be given back.
        let start = self.end.next;
        let token = self.slots.adopt(taken, start, self.end.ring.size)?;
        if self.end.state == State::InOrder {
            self.slots.enqueue(taken.id, self.end.ring.size);
        }
        self.end.set_next(start.wrapping_add(1));
        Ok(token)
    }
}
