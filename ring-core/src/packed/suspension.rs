//! Suspending and resuming both ends of a packed queue.

use crate::error::SetupError;
use crate::index::Cursor;
use crate::memory::Memory;
use crate::notify::Notify;
use crate::position::Position;
use crate::ring::State;
use crate::slots::{device, driver};

use super::{DeviceQueue, DriverQueue};

/// Suspending and resuming.
impl<M: Memory, S: device::Slots> DeviceQueue<M, S> {
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

/// Suspending and resuming.
impl<M: Memory, S: driver::Slots<T>, T> DriverQueue<M, S, T> {
    /// Publishes the staged buffers, then stops the queue. Buffers in flight stay in flight.
    pub fn suspend(&mut self) -> (Position, Notify) {
        let notify = self.publish();
        self.end.suspend();
        (self.position(), notify)
    }

    /// Resumes a queue that [`suspend`](Self::suspend) has stopped. Does nothing to a queue that is
    /// not suspended.
    pub fn resume(&mut self) {
        if self.end.state == State::Suspended {
            self.end.resume(self.end.published, self.end.next);
        }
    }

    /// Moves a queue without buffers to `position`, at which another queue was left.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::begin_at`].
    pub fn begin_at(&mut self, position: Position) -> Result<(), SetupError> {
        let Position { available, used } = position;
        let size = self.end.ring.size;
        let cursor = Cursor::from_bits(available, size).filter(|_| available == used);
        let impossible = SetupError::Position { available, used, size: size.get() };
        let cursor = cursor.ok_or(impossible)?;
        if self.end.state.is_broken() {
            return Err(SetupError::Broken);
        }
        let descriptors = size.get() - self.slots.free();
        if descriptors > 0 {
            return Err(SetupError::InFlight { descriptors });
        }
        self.end.begin_at(cursor);
        Ok(())
    }

    /// Returns the position of the queue: what has been published, and the next buffer to take
    /// back.
    pub const fn position(&self) -> Position {
        Position { available: self.end.published.bits(), used: self.end.next.bits() }
    }
}
