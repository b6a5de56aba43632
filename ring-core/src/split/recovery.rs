//! Taking over from a device of a split queue that crashed.

use crate::chain::{ChainRecord, Token};
use crate::error::SetupError;
use crate::memory::Memory;
use crate::position::Position;
use crate::ring::State;
use crate::slots::device::Slots;

use super::DeviceQueue;

/// Taking over from a device that crashed: see [`recovery`](crate::recovery).
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Returns the record of a chain in flight.
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        self.slots.record(token)
    }

    /// Returns what the `used` part of [`position`](Self::position) will be after the staged chains
    /// have been published.
    pub const fn next_used(&self) -> u16 {
        self.end.staged
    }

    /// Returns whether the crashed device has published its last batch: the entries that it had
    /// staged after it had published up to `used`.
    pub fn has_published(&self, used: u16) -> bool {
        self.used_index() != used
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
        self.slots.recover(last, false);
        Ok(())
    }

    /// Takes over a chain that was in flight.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::adopt`].
    pub fn adopt(&mut self, taken: ChainRecord) -> Result<Token, SetupError> {
        if !self.end.state.is_running() {
            return Err(SetupError::ChainRecord(taken));
        }
        // If later chains were returned before this chain, this is not the position of the chain's
        // entry in the driver area. But the position is right for the newest chain, and then for
        // the next newest, and only these chains can be put back.
        let start = self.end.next;
        let token = self.slots.adopt(taken, start, self.end.ring.size)?;
        if self.end.state == State::InOrder {
            self.slots.enqueue(taken.id, self.end.ring.size);
        }
        self.end.set_next(start.wrapping_add(1));
        Ok(token)
    }
}
