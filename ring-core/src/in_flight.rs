//! The device end's records: which chains it has taken and not yet returned.

use crate::chain::{Taken, Token};
use crate::error::{CompleteError, SetupError, Violation};
use crate::index::QueueSize;

/// Storage for what a device end remembers of one chain. A queue needs as many as it has descriptors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The serial of the chain that is in flight here; 0 if there is none.
    serial: u64,
    /// In an in-order queue, how many bytes were written to a chain that waits for its turn.
    written: u32,
    /// Descriptors that the chain takes up in the ring.
    count: u16,
    /// In an in-order queue, a list that has nothing to do with the chain: whose turn it is at this place.
    turn: u16,
    /// Whether those bytes are all that could be written.
    full: bool,
}

/// In a slot's serial: the chain has been completed, and waits for its turn.
const SETTLED: u64 = 1 << 63;

/// A chain that goes back to the driver now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Returned {
    /// The head (split) or buffer id (packed).
    pub(crate) id: u16,
    /// Descriptors that it takes up in the ring.
    pub(crate) count: u16,
    /// Bytes written.
    pub(crate) written: u32,
    /// Whether that is all that could be written. Only then may an in-order device skip it.
    pub(crate) full: bool,
}

/// All chains in flight, by head (split) or buffer id (packed).
#[derive(Debug)]
pub(crate) struct InFlight<S> {
    slots: S,
    /// Descriptors of all chains that have been taken and not yet published as used; at most the queue's size.
    descriptors: u16,
    /// Those of them whose chains are staged.
    staged: u16,
    /// The serial of the chain taken last. It goes on over resets, so that no two tokens are alike.
    taken: u64,
    /// Places in the list of turns: where the next chain taken goes, and whose turn it is now. Both are less
    /// than the queue's size.
    last_turn: u16,
    next_turn: u16,
}

impl<S: AsRef<[Slot]> + AsMut<[Slot]>> InFlight<S> {
    pub(crate) fn new(slots: S, size: QueueSize) -> Result<Self, SetupError> {
        let mut in_flight = Self { slots, descriptors: 0, staged: 0, taken: 0, last_turn: 0, next_turn: 0 };
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
        (self.descriptors, self.staged) = (0, 0);
        (self.last_turn, self.next_turn) = (0, 0);
        Ok(())
    }

    /// Notes that the staged chains are the driver's again. Until then it cannot reuse their descriptors.
    #[inline]
    pub(crate) const fn publish(&mut self) {
        self.descriptors -= self.staged;
        self.staged = 0;
    }

    /// Descriptors of all chains that have been taken and not yet published as used.
    pub(crate) const fn descriptors(&self) -> u16 {
        self.descriptors
    }

    /// Records a chain of `count` descriptors, which is at least 1, and whose id is less than the queue's
    /// size. Returns its serial.
    #[inline]
    pub(crate) fn insert(&mut self, id: u16, count: u16, size: QueueSize) -> Result<u64, Violation> {
        let size = size.get();
        let total = u32::from(self.descriptors) + u32::from(count);
        if total > u32::from(size) {
            return Err(Violation::TooManyInFlight { count: total, size });
        }
        match self.slots.as_mut().get_mut(usize::from(id)) {
            Some(slot) if slot.serial == 0 => {
                self.taken += 1;
                (slot.serial, slot.count) = (self.taken, count);
                self.descriptors += count;
                Ok(self.taken)
            }
            _ => Err(Violation::AlreadyInFlight { id }),
        }
    }

    /// Accepts a token, and forgets its chain.
    #[inline]
    pub(crate) fn remove(&mut self, token: Token, written: u32) -> Result<Returned, CompleteError> {
        let (id, full) = (token.id, token.is_full(written));
        let slot = self.slot(token, written)?;
        let count = slot.count;
        slot.serial = 0;
        self.staged += count;
        Ok(Returned { id, count, written, full })
    }

    /// Accepts the token of the chain that was taken last, and forgets that it ever was.
    pub(crate) fn forget_newest(&mut self, token: Token, size: QueueSize) -> Result<(), CompleteError> {
        let (id, newest) = (token.id, token.serial == self.taken);
        let slot = match self.slots.as_mut().get_mut(usize::from(id)) {
            Some(slot) if slot.serial == token.serial => slot,
            _ => return Err(CompleteError::Stale),
        };
        if !newest {
            return Err(CompleteError::NotNewest(token));
        }
        slot.serial = 0;
        self.descriptors -= slot.count;
        self.taken -= 1;
        // Without in-order use the list of turns is empty, and this only turns it.
        self.last_turn = self.last_turn.checked_sub(1).unwrap_or(size.get() - 1);
        Ok(())
    }

    /// The slot of a chain that is in flight and is to be completed.
    #[inline]
    fn slot(&mut self, token: Token, written: u32) -> Result<&mut Slot, CompleteError> {
        if written > token.writable {
            return Err(CompleteError::TooManyBytes { token, written });
        }
        match self.slots.as_mut().get_mut(usize::from(token.id)) {
            Some(slot) if slot.serial == token.serial => Ok(slot),
            _ => Err(CompleteError::Stale),
        }
    }
}

/// What outlives the device that took the chains.
impl<S: AsRef<[Slot]> + AsMut<[Slot]>> InFlight<S> {
    /// The record of a chain that is in flight, if all of it was read.
    pub(crate) fn record(&self, token: &Token) -> Option<Taken> {
        let &Token { serial, id, writable, whole, .. } = token;
        let slot = self.slots.as_ref().get(usize::from(id)).filter(|slot| slot.serial == serial && whole)?;
        Some(Taken { serial, writable, id, count: slot.count })
    }

    /// Goes on counting chains after `last`.
    pub(crate) const fn go_on_after(&mut self, last: u64) {
        self.taken = last & !SETTLED;
    }

    /// Notes a chain that another device has taken, if it is not impossible.
    pub(crate) fn adopt(&mut self, taken: Taken, size: QueueSize) -> Result<(), SetupError> {
        let Taken { serial, id, count, .. } = taken;
        let room = size.get() - self.descriptors;
        let slot = self.slots.as_mut().get_mut(usize::from(id)).filter(|slot| slot.serial == 0);
        match slot {
            Some(slot)
                if id < size.get() && (1..=room).contains(&count) && (1..=self.taken).contains(&serial) =>
            {
                (slot.serial, slot.count) = (serial, count);
                self.descriptors += count;
                Ok(())
            }
            _ => Err(SetupError::Taken(taken)),
        }
    }
}

/// In-order queues: chains go back in the order in which they were taken.
impl<S: AsRef<[Slot]> + AsMut<[Slot]>> InFlight<S> {
    /// Notes that the chain that was just inserted is the last in turn.
    pub(crate) fn queue_up(&mut self, id: u16, size: QueueSize) {
        if let Some(place) = self.slots.as_mut().get_mut(usize::from(self.last_turn)) {
            place.turn = id;
            self.last_turn = successor(self.last_turn, size);
        }
    }

    /// Accepts a token, and keeps its chain until its turn comes.
    pub(crate) fn settle(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        let full = token.is_full(written);
        let slot = self.slot(token, written)?;
        slot.serial |= SETTLED;
        (slot.written, slot.full) = (written, full);
        Ok(())
    }

    /// Forgets and returns the chain whose turn it is, if it has been settled.
    pub(crate) fn next_in_turn(&mut self, size: QueueSize) -> Option<Returned> {
        let slots = self.slots.as_mut();
        let id = slots.get(usize::from(self.next_turn))?.turn;
        let slot = slots.get_mut(usize::from(id)).filter(|slot| slot.serial & SETTLED != 0)?;
        let Slot { count, written, full, .. } = *slot;
        slot.serial = 0;
        self.staged += count;
        self.next_turn = successor(self.next_turn, size);
        Some(Returned { id, count, written, full })
    }
}

const fn successor(place: u16, size: QueueSize) -> u16 {
    if place + 1 == size.get() { 0 } else { place + 1 }
}
