//! Suspending and resuming the device end of a packed queue.

use crate::error::SetupError;
use crate::index::Cursor;
use crate::memory::Memory;
use crate::notify::Notify;
use crate::position::Position;
use crate::slots::device::Slots;

use super::DeviceQueue;

/// Suspending and resuming.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Publishes the staged chains, then stops the queue. Tokens stay valid.
    pub fn suspend(&mut self) -> (Position, Notify) {
        let notify = self.publish();
        self.end.suspend();
        (self.position(), notify)
    }

    /// Resumes the queue at `position`.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::resume`].
    pub fn resume(&mut self, position: Position) -> Result<(), SetupError> {
        let Position { available, used } = position;
        let size = self.end.ring.size;
        let cursors = Cursor::from_bits(available, size).zip(Cursor::from_bits(used, size));
        let in_flight = cursors.and_then(|(to, from)| to.since(from, size));
        let (Some((available, used)), Some(in_flight)) = (cursors, in_flight) else {
            return Err(SetupError::Position { available, used, size: size.get() });
        };
        if self.end.state.is_broken() {
            return Err(SetupError::Broken);
        }
        if self.end.staged != self.end.published {
            return Err(SetupError::Staged);
        }
        let descriptors = self.slots.descriptors(size);
        if descriptors > 0 && position != self.position() {
            return Err(SetupError::InFlight { descriptors });
        }
        if descriptors == 0 {
            self.slots.abandon(in_flight, size);
        }
        self.end.resume(used, available);
        self.batch = None;
        Ok(())
    }

    /// Returns the position of the queue: the next buffer to take, and what has been published.
    pub const fn position(&self) -> Position {
        Position { available: self.end.next.bits(), used: self.end.published.bits() }
    }
}
