//! Suspending and resuming both ends of a split queue.

use crate::error::SetupError;
use crate::memory::{Area as _, Load, Memory};
use crate::notify::Notify;
use crate::position::Position;
use crate::ring::State;
use crate::slots::{device, driver};

use super::layout::INDEX;
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
        let size = self.end.ring.size.get();
        // Each buffer in flight takes up at least one descriptor.
        let in_flight = available.wrapping_sub(used);
        if in_flight > size {
            return Err(SetupError::Position { available, used, size });
        }
        if self.end.state.is_broken() {
            return Err(SetupError::Broken);
        }
        if self.end.staged != self.end.published {
            return Err(SetupError::Staged);
        }
        let descriptors = self.slots.descriptors(self.end.ring.size);
        if descriptors > 0 && position != self.position() {
            return Err(SetupError::InFlight { descriptors });
        }
        if descriptors == 0 {
            self.slots.abandon(in_flight, self.end.ring.size);
        }
        self.end.resume(used, available);
        Ok(())
    }

    /// Returns the position of the queue: the next buffer to take, and what has been published.
    pub const fn position(&self) -> Position {
        Position { available: self.end.next, used: self.end.published }
    }

    /// Returns the index that the previous device has left in the device area.
    ///
    /// The vring base of a split queue lacks this part of a position.
    pub fn used_index(&self) -> u16 {
        self.end.ring.own.load(INDEX, Load::Relaxed)
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
        if available != used {
            return Err(SetupError::Position { available, used, size: size.get() });
        }
        if self.end.state.is_broken() {
            return Err(SetupError::Broken);
        }
        let descriptors = size.get() - self.slots.free();
        if descriptors > 0 {
            return Err(SetupError::InFlight { descriptors });
        }
        self.end.begin_at(available);
        self.slots.begin_at(available);
        Ok(())
    }

    /// Returns the position of the queue: what has been published, and the next buffer to take
    /// back.
    pub const fn position(&self) -> Position {
        Position { available: self.end.published, used: self.end.next }
    }
}
