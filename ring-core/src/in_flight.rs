//! The device end's records: which chains it has taken and not yet returned.

use crate::chain::Token;
use crate::error::{CompleteError, SetupError, Violation};
use crate::index::QueueSize;

/// Storage for what a device end remembers of one chain. A queue needs as many as it has descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Descriptors that the chain takes up in the ring; 0 while it is not in flight.
    count: u16,
}

/// All chains in flight, by head (split) or buffer id (packed).
#[derive(Debug)]
pub(crate) struct InFlight<S> {
    slots: S,
    /// Sum of the counts of all slots; at most the queue's size.
    descriptors: u16,
    /// Which life of the queue this is.
    epoch: u32,
}

impl<S: AsRef<[Slot]> + AsMut<[Slot]>> InFlight<S> {
    pub(crate) fn new(slots: S, size: QueueSize) -> Result<Self, SetupError> {
        let mut in_flight = Self { slots, descriptors: 0, epoch: 0 };
        in_flight.reset(size)?;
        Ok(in_flight)
    }

    /// Forgets everything and begins a new life.
    pub(crate) fn reset(&mut self, size: QueueSize) -> Result<(), SetupError> {
        let slots = self.slots.as_mut();
        if slots.len() < usize::from(size.get()) {
            return Err(SetupError::TooFewSlots { slots: slots.len(), size: size.get() });
        }
        slots.fill(Slot::default());
        self.descriptors = 0;
        self.epoch = self.epoch.wrapping_add(1);
        Ok(())
    }

    #[inline]
    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Records a chain of `count` descriptors, which is at least 1.
    #[inline]
    pub(crate) fn insert(&mut self, id: u16, count: u16, size: QueueSize) -> Result<(), Violation> {
        let total = u32::from(self.descriptors) + u32::from(count);
        if total > u32::from(size.get()) {
            return Err(Violation::TooManyInFlight { count: total, size: size.get() });
        }
        match self.slots.as_mut().get_mut(usize::from(id)) {
            Some(slot) if slot.count == 0 => {
                slot.count = count;
                self.descriptors += count;
                Ok(())
            }
            Some(_) => Err(Violation::AlreadyInFlight { id }),
            None => Err(Violation::BufferId { id: id.into(), size: size.get() }),
        }
    }

    /// Accepts a token, and forgets its chain.
    #[inline]
    pub(crate) fn remove(&mut self, token: Token, written: u32) -> Result<Token, CompleteError> {
        if written > token.writable {
            return Err(CompleteError::TooManyBytes { token, written });
        }
        match self.slots.as_mut().get_mut(usize::from(token.id)) {
            Some(slot) if token.epoch == self.epoch && slot.count == token.count => {
                slot.count = 0;
                self.descriptors -= token.count;
                Ok(token)
            }
            _ => Err(CompleteError::Stale),
        }
    }
}
