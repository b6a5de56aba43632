//! The device end's records: which chains have been taken and not yet returned.

use core::ops::Range;

use crate::chain::{ChainRecord, PARTIAL, Token};
use crate::error::{CompleteError, SetupError, Violation};
use crate::index::{Fifo, QueueSize};

/// Storage for what a device end remembers of one chain. A queue needs one slot for each
/// descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The serial of the chain that is in flight here; 0 if there is none. In an in-order queue,
    /// with [`HELD`] and [`READ_ONLY`] for a chain that is held.
    pub(super) serial: u64,
    /// In an in-order queue, the number of bytes written to a chain that is held.
    pub(super) written: u32,
    /// The number of descriptors that the chain takes up in the ring.
    pub(super) count: u16,
    /// In an in-order queue, an entry of the list of chains in flight: the id of the chain at this
    /// position. Unrelated to the other fields.
    pub(super) in_order_id: u16,
}

// A slot is found by a shift.
const _: () = assert!(size_of::<Slot>() == 16);

impl Slot {
    /// An unused slot, for storage that is initialised at compile time.
    pub const EMPTY: Self = Self { serial: 0, written: 0, count: 0, in_order_id: 0 };
}

impl Default for Slot {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// Storage for the slots of a device end: an array, a `Box<[Slot]>`, a `Vec<Slot>`, or a `&mut
/// [Slot]`.
pub trait Slots: AsRef<[Slot]> + AsMut<[Slot]> {}

impl<S: AsRef<[Slot]> + AsMut<[Slot]> + ?Sized> Slots for S {}

/// A bit in a slot's serial: the chain has been completed, and is held until it is the oldest.
pub(super) const HELD: u64 = 1 << 63;

/// A bit in the serial of a slot that is held: the chain has no writable bytes.
pub(super) const READ_ONLY: u64 = 1 << 61;

/// No queue ever takes this many chains, so a serial never reaches the bits [`HELD`], [`PARTIAL`]
/// and [`READ_ONLY`].
const MAX_SERIAL: u64 = READ_ONLY;

/// A chain that is returned to the driver now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    /// The head (split) or buffer id (packed).
    pub(crate) id: u16,
    /// The number of descriptors that the chain takes up in the ring.
    pub(crate) count: u16,
    /// The number of bytes written.
    pub(crate) written: u32,
    /// Whether the chain has no writable bytes. Only then does an in-order device skip the chain.
    pub(crate) read_only: bool,
}

/// All chains in flight, indexed by head (split) or buffer id (packed).
#[derive(Debug)]
pub(crate) struct Chains<S> {
    pub(super) slots: S,
    pub(super) counts: Counts,
    /// The number of descriptors that were in flight at a device that ran the queue before, and for
    /// which there is no token.
    abandoned: u16,
    /// The serials of a crashed device's chains that can still be adopted. They are adopted in
    /// order.
    adoptable: Range<u64>,
    /// The value of `taken` while chains can be adopted.
    recovered: u64,
    /// In an in-order queue, the order in which the chains in flight were taken.
    pub(super) fifo: Fifo,
}

/// The part of [`Chains`] that changes with each chain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// The number of descriptors that the driver can still make available: those of no chain that
    /// has been taken and not yet been published as used.
    room: u16,
    /// The number of descriptors of the chains that are staged.
    pub(super) staged: u16,
    /// The serial of the chain taken last. Not reset with the queue, so that no two tokens are
    /// alike.
    taken: u64,
}

impl Counts {
    /// Records a chain of `count` descriptors and returns its serial; `None` if the chain cannot be
    /// in flight. `count` is at least 1, and `id` is less than the queue's size.
    #[inline(always)]
    pub(crate) fn insert(&mut self, slots: &mut [Slot], id: u16, count: u16) -> Option<u64> {
        let room = self.room.checked_sub(count)?;
        let slot = slots.get_mut(usize::from(id)).filter(|slot| slot.serial == 0)?;
        self.taken += 1;
        (slot.serial, slot.count) = (self.taken, count);
        self.room = room;
        Some(self.taken)
    }

    /// Removes the chain of a token from its slot.
    #[inline(always)]
    pub(crate) fn remove(
        &mut self,
        slots: &mut [Slot],
        token: Token,
        written: u32,
    ) -> Result<Completion, CompleteError> {
        let (id, read_only) = (token.id, token.is_read_only());
        let slot = slot_of(slots, token, written)?;
        let count = slot.count;
        slot.serial = 0;
        self.staged += count;
        Ok(Completion { id, count, written, read_only })
    }

    /// Returns whether a chain of one descriptor can be taken and returned at once.
    #[inline(always)]
    pub(crate) fn can_pass(&self, slots: &[Slot], id: u16) -> bool {
        self.room > 0 && slots.get(usize::from(id)).is_some_and(|slot| slot.serial == 0)
    }

    /// Returns whether a chain of `count` descriptors can be taken.
    #[inline(always)]
    pub(crate) const fn has_room(&self, count: u16) -> bool {
        count <= self.room
    }

    /// Records that a chain of `count` descriptors has been taken and staged.
    #[inline(always)]
    pub(crate) const fn pass(&mut self, count: u16) {
        self.take(count);
        self.stage(count);
    }

    /// Records that a chain of `count` descriptors has been taken, without a token.
    #[inline(always)]
    pub(crate) const fn take(&mut self, count: u16) {
        self.room -= count;
        self.taken += 1;
    }

    /// Records that a chain of `count` descriptors that has no token has been staged.
    #[inline(always)]
    pub(crate) const fn stage(&mut self, count: u16) {
        self.staged += count;
    }
}

/// Returns the slot of a chain that is in flight and is to be completed.
#[inline(always)]
pub(super) fn slot_of(slots: &mut [Slot], token: Token, written: u32) -> Result<&mut Slot, CompleteError> {
    if written > token.writable {
        return Err(CompleteError::TooManyBytes { token, written });
    }
    match slots.get_mut(usize::from(token.id)) {
        Some(slot) if slot.serial == token.serial => Ok(slot),
        _ => Err(CompleteError::Stale),
    }
}

impl<S: Slots> Chains<S> {
    pub(crate) fn new(slots: S, size: QueueSize) -> Result<Self, SetupError> {
        let mut slots = Self {
            slots,
            counts: Counts { room: 0, staged: 0, taken: 0 },
            abandoned: 0,
            adoptable: 0..0,
            recovered: 0,
            fifo: Fifo::default(),
        };
        slots.reset(size)?;
        Ok(slots)
    }

    /// Forgets all chains.
    pub(crate) fn reset(&mut self, size: QueueSize) -> Result<(), SetupError> {
        let slots = self.slots.as_mut();
        if slots.len() < usize::from(size.get()) {
            return Err(SetupError::TooFewSlots { slots: slots.len(), size: size.get() });
        }
        slots.fill(Slot::EMPTY);
        (self.counts.room, self.counts.staged) = (size.get(), 0);
        (self.abandoned, self.fifo) = (0, Fifo::default());
        self.adoptable = 0..0;
        Ok(())
    }

    /// Notes that the staged chains belong to the driver again. Only now can the driver reuse their
    /// descriptors.
    #[inline]
    pub(crate) const fn publish(&mut self) {
        self.counts.room += self.counts.staged;
        self.counts.staged = 0;
    }

    /// Returns the number of descriptors of all chains that this device has taken and not yet
    /// published as used.
    pub(crate) const fn descriptors(&self, size: QueueSize) -> u16 {
        size.get() - self.counts.room - self.abandoned
    }

    /// Notes that `count` descriptors, at most the queue's size, are in flight without a token of
    /// this device. No chain is in flight here.
    pub(crate) const fn abandon(&mut self, count: u16, size: QueueSize) {
        self.abandoned = count;
        self.counts.room = size.get() - count;
    }

    /// Returns whether a chain of one descriptor can be taken and returned at once.
    #[inline(always)]
    pub(crate) fn can_pass(&self, id: u16) -> bool {
        self.counts.can_pass(self.slots.as_ref(), id)
    }

    /// Returns whether a chain of `count` descriptors can be taken.
    #[inline(always)]
    pub(crate) const fn has_room(&self, count: u16) -> bool {
        self.counts.has_room(count)
    }

    /// Returns the counts and the slots.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut Counts, &mut [Slot]) {
        (&mut self.counts, self.slots.as_mut())
    }

    /// Records a chain of `count` descriptors and returns its serial. `count` is at least 1, and
    /// `id` is less than the queue's size.
    #[inline]
    pub(crate) fn insert(&mut self, id: u16, count: u16, size: QueueSize) -> Result<u64, Violation> {
        match self.counts.insert(self.slots.as_mut(), id, count) {
            Some(serial) => Ok(serial),
            None if count > self.counts.room => Err(self.too_many(count, size)),
            None => Err(Violation::AlreadyInFlight { id }),
        }
    }

    /// Notes that the chain that was just inserted was not read to its end.
    #[cold]
    pub(crate) fn mark_partial(&mut self, id: u16) {
        if let Some(slot) = self.slots.as_mut().get_mut(usize::from(id)) {
            slot.serial |= PARTIAL;
        }
    }

    #[cold]
    fn too_many(&self, count: u16, size: QueueSize) -> Violation {
        let count = u32::from(size.get() - self.counts.room) + u32::from(count);
        Violation::TooManyInFlight { count, size: size.get() }
    }

    /// Accepts a token and removes its chain.
    #[inline]
    pub(crate) fn remove(&mut self, token: Token, written: u32) -> Result<Completion, CompleteError> {
        self.counts.remove(self.slots.as_mut(), token, written)
    }

    /// Accepts the token of the chain that was taken last, and undoes its [`insert`](Self::insert).
    pub(crate) fn undo_insert(&mut self, token: Token, size: QueueSize) -> Result<(), CompleteError> {
        let (id, newest) = (token.id, token.serial & !PARTIAL == self.counts.taken);
        let slot = match self.slots.as_mut().get_mut(usize::from(id)) {
            Some(slot) if slot.serial == token.serial => slot,
            _ => return Err(CompleteError::Stale),
        };
        if !newest {
            return Err(CompleteError::NotNewest(token));
        }
        slot.serial = 0;
        self.counts.room += slot.count;
        self.counts.taken -= 1;
        self.fifo.undo_push(size);
        Ok(())
    }
}

/// Records that outlive the device that took the chains.
impl<S: Slots> Chains<S> {
    /// Returns the record of a chain in flight.
    pub(crate) fn record(&self, token: &Token) -> Option<ChainRecord> {
        let &Token { serial, id, writable, .. } = token;
        let slot = self.slots.as_ref().get(usize::from(id)).filter(|slot| slot.serial == serial)?;
        // A chain that was not read to its end must be returned unwritten.
        let writable = if serial & PARTIAL == 0 { writable } else { 0 };
        let serial = serial & !PARTIAL;
        Some(ChainRecord { serial, writable, id, count: slot.count })
    }

    /// Fails if this device cannot take over from a device whose last chain had the serial `last`.
    pub(crate) const fn check_recovery(&self, last: u64) -> Result<(), SetupError> {
        // Existing tokens must not stand for adopted chains.
        if self.counts.taken != 0 || last >= MAX_SERIAL {
            return Err(SetupError::Recovery { last, taken: self.counts.taken });
        }
        Ok(())
    }

    /// Continues counting chains after `last`; the chains up to `last` can be adopted. With a
    /// `gap`, no adopted chain counts as the newest.
    pub(crate) fn recover(&mut self, last: u64, gap: bool) {
        self.recovered = last + u64::from(gap);
        self.counts.taken = self.recovered;
        self.adoptable = 1..last + 1;
    }

    /// Records a chain that another device has taken, if the record is plausible. Returns the token
    /// for the chain.
    pub(crate) fn adopt(
        &mut self,
        taken: ChainRecord,
        start: u16,
        size: QueueSize,
    ) -> Result<Token, SetupError> {
        let ChainRecord { serial, writable, id, count } = taken;
        let slot = self.slots.as_mut().get_mut(usize::from(id)).filter(|slot| slot.serial == 0);
        match slot {
            Some(slot)
                if id < size.get()
                    && (1..=self.counts.room).contains(&count)
                    && self.counts.taken == self.recovered
                    && self.adoptable.contains(&serial) =>
            {
                (slot.serial, slot.count) = (serial, count);
                self.counts.room -= count;
                self.adoptable.start = serial + 1;
                // A record without writable bytes can be that of a chain that was not read
                // completely, so an in-order device does not skip the chain.
                slot.serial |= if writable > 0 { 0 } else { PARTIAL };
                Ok(Token { serial: slot.serial, start, id, writable })
            }
            _ => Err(SetupError::ChainRecord(taken)),
        }
    }
}
