//! The driver end's records: which descriptors are free, and which buffers are in flight.
//!
//! The driver never reads back what it wrote to shared memory, because the device could have
//! changed it. These records contain everything that the driver needs to know about a buffer in
//! flight.

use core::marker::PhantomData;
use core::mem::{self, ManuallyDrop};

use crate::error::{SetupError, Violation};
use crate::index::QueueSize;

use super::span::Span;

/// Storage for what a driver end remembers of one descriptor (split) or buffer id (packed), and of
/// the buffer in flight there. A queue needs one slot for each descriptor.
#[derive(Clone, Debug)]
pub struct Slot<T> {
    /// The next slot, of the buffer that this slot belongs to or of the free list.
    next: u16,
    /// Of the buffer whose first slot this is: the last slot, and the number of descriptors that
    /// the buffer takes up in the ring.
    span: Span,
    /// The number of bytes that the device may write; saturated at `u32::MAX`.
    writable: u32,
    /// The number of the buffer, counting all buffers that were ever added.
    serial: u64,
    /// The value that the caller passed to `add`. `Some` exactly while the buffer is in flight.
    ///
    /// Never dropped: the cookie can own memory that the device still accesses.
    cookie: Option<ManuallyDrop<T>>,
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> Slot<T> {
    /// An unused slot, for storage that is initialised at compile time.
    pub const EMPTY: Self = Self { next: 0, span: Span::new(0, 0), writable: 0, serial: 0, cookie: None };
}

/// Storage for the slots of a driver end: an array, a `Box<[Slot<T>]>`, a `Vec<Slot<T>>`, or a
/// `&mut [Slot<T>]`.
pub trait Slots<T>: AsRef<[Slot<T>]> + AsMut<[Slot<T>]> {}

impl<S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]> + ?Sized, T> Slots<T> for S {}

/// A buffer that the device has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Used<T> {
    /// The value that the caller passed to `add` with the buffer.
    pub cookie: T,
    /// The id that `add` returned for the buffer. From now on, another buffer can get this id.
    pub id: u16,
    /// The number of bytes that the device reports to have written, from the start of the writable
    /// segments. Limited to the total length of these segments.
    pub written: u32,
}

/// The slots: a free list, oldest first, and the buffers in flight.
#[derive(Debug)]
pub(crate) struct Buffers<S, T> {
    slots: S,
    cookies: PhantomData<fn() -> T>,
    accounts: Accounts,
    /// In an in-order queue, the slot of the buffer that comes back next.
    oldest: u16,
    /// The number of free descriptors that a burst does not use, because the queue does not run.
    hidden: u16,
}

/// The part of [`Buffers`] that changes with each buffer. A burst holds it by value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accounts {
    /// The next slot to allocate. Meaningless if there is none.
    head: u16,
    /// The slot freed last.
    tail: u16,
    /// The number of free descriptors. A packed buffer takes up several descriptors, but one slot.
    pub(crate) free: u16,
    /// The number of buffers ever added, plus the index at which the queue began. In a split queue,
    /// the lower 16 bits are the index of the next entry to fill.
    pub(crate) added: u64,
    /// The number of buffers ever published. The device does not know of later buffers.
    published: u64,
    /// The number of buffers ever taken back. In a split queue, the lower 16 bits are the index of
    /// the next entry to take.
    pub(crate) released: u64,
}

/// Slots that follow each other in the free list.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) head: u16,
    pub(crate) last: u16,
    /// The slot behind `last`, meaningless if `last` is the last free slot. `None` in a run of one
    /// slot.
    pub(crate) after: Option<u16>,
}

impl Accounts {
    /// Returns the entry that the next added buffer has in a split queue, before the remainder.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the remainder needs only the lower bits")]
    pub(crate) const fn next_added(&self) -> usize {
        self.added as usize
    }

    /// Returns the entry of the next used buffer in a split queue, before the remainder.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the remainder needs only the lower bits")]
    pub(crate) const fn next_released(&self) -> usize {
        self.released as usize
    }

    /// Takes over what changes when a buffer is added.
    #[inline(always)]
    pub(crate) const fn read_allocated(&mut self, from: &Self) {
        (self.head, self.free, self.added) = (from.head, from.free, from.added);
    }

    /// Takes over what changes when a buffer is taken back.
    #[inline(always)]
    pub(crate) const fn read_released(&mut self, from: &Self) {
        (self.head, self.tail) = (from.head, from.tail);
        (self.free, self.released) = (from.free, from.released);
    }

    /// Returns the number of buffers in flight.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most one for each descriptor")]
    pub(crate) const fn in_flight(&self) -> u16 {
        (self.added - self.released) as u16
    }

    /// Returns the next slot to allocate, as a run of one slot.
    #[inline]
    pub(crate) const fn first(&self) -> Run {
        Run { head: self.head, last: self.head, after: None }
    }

    /// Allocates a run of slots from the start of the free list, for a buffer of `count`
    /// descriptors.
    #[inline(always)]
    pub(crate) fn allocate<T>(
        &mut self,
        slots: &mut [Slot<T>],
        run: Run,
        count: u16,
        writable: u32,
        cookie: T,
    ) {
        // Not dropped even if safe code has taken the slot away: the descriptors have been written.
        let cookie = ManuallyDrop::new(cookie);
        let Run { head, last, after } = run;
        if let Some(slot) = slots.get_mut(usize::from(head)) {
            let after = after.unwrap_or(slot.next);
            slot.span = Span::new(last, count);
            (slot.writable, slot.serial) = (writable, self.added);
            slot.cookie = Some(cookie);
            self.head = after;
            self.free -= count;
            self.added += 1;
        }
    }

    /// Returns the slot of a buffer that the device reports as used, if the buffer has been
    /// published and is in flight.
    #[inline]
    pub(crate) fn published<'s, T>(&self, slots: &'s mut [Slot<T>], id: u32) -> Option<&'s mut Slot<T>> {
        let slot = slots.get_mut(usize::try_from(id).ok()?)?;
        let staged = slot.serial >= self.published;
        (slot.cookie.is_some() && !staged).then_some(slot)
    }

    /// Frees the slots of a buffer that the device reports as used: its id, and the bytes written.
    /// Returns the buffer, and the number of descriptors that it took up; `None` if the buffer is
    /// not in flight. `is_empty` says whether the free list has no slot.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "it is the index of a slot")]
    pub(crate) fn release<T>(
        &mut self,
        slots: &mut [Slot<T>],
        is_empty: bool,
        (id, written): (u32, u32),
    ) -> Option<(Used<T>, u16)> {
        let slot = self.published(slots, id)?;
        let cookie = ManuallyDrop::into_inner(slot.cookie.take()?);
        let (last, count) = (slot.span.last(), slot.span.count());
        let written = written.min(slot.writable);
        if is_empty {
            self.head = id as u16;
        } else if let Some(tail) = slots.get_mut(usize::from(self.tail)) {
            tail.next = id as u16;
        }
        self.tail = last;
        self.free += count;
        self.released += 1;
        Some((Used { cookie, id: id as u16, written }, count))
    }
}

/// Returns the slot that is allocated after `slot`. Meaningless if `slot` is the last free one.
#[inline]
pub(crate) fn next_of<T>(slots: &[Slot<T>], slot: u16) -> Option<u16> {
    slots.get(usize::from(slot)).map(|slot| slot.next)
}

impl<S, T> Buffers<S, T> {
    /// Returns the number of free descriptors.
    #[inline]
    pub(crate) const fn free(&self) -> u16 {
        self.accounts.free
    }

    /// Returns the number of buffers in flight.
    #[inline]
    pub(crate) const fn in_flight(&self) -> u16 {
        self.accounts.in_flight()
    }

    /// Counts buffers from `index` on, in a queue without buffers.
    pub(crate) const fn begin_at(&mut self, index: u16) {
        let index = index as u64;
        (self.accounts.added, self.accounts.published, self.accounts.released) = (index, index, index);
    }

    /// Notes that all buffers added so far are now available to the device.
    #[inline]
    pub(crate) const fn publish(&mut self) {
        self.accounts.published = self.accounts.added;
    }

    /// Returns the next slot to allocate. There is one while any descriptor is free.
    #[inline]
    pub(crate) const fn head(&self) -> u16 {
        self.accounts.head
    }

    /// Returns the next slot to allocate, as a run of one slot.
    #[inline]
    pub(crate) const fn first(&self) -> Run {
        self.accounts.first()
    }
}

impl<S: Slots<T>, T> Buffers<S, T> {
    pub(crate) fn new(slots: S, size: QueueSize) -> Result<Self, SetupError> {
        let accounts = Accounts { head: 0, tail: 0, free: 0, added: 0, published: 0, released: 0 };
        let mut slots = Self { slots, cookies: PhantomData, accounts, oldest: 0, hidden: 0 };
        // The storage may hold cookies of a queue that was dropped with buffers in flight.
        slots.reset(size, mem::forget)?;
        Ok(slots)
    }

    /// Frees all slots, and passes the cookies of the buffers in flight to `returned`.
    pub(crate) fn reset(&mut self, size: QueueSize, mut returned: impl FnMut(T)) -> Result<(), SetupError> {
        let (slots, size) = (self.slots.as_mut(), size.get());
        if slots.len() < usize::from(size) {
            return Err(SetupError::TooFewSlots { slots: slots.len(), size });
        }
        let mut next = 0u16;
        for slot in slots {
            next = (next + 1) % size;
            slot.next = next;
            slot.cookie.take().map(ManuallyDrop::into_inner).map(&mut returned);
        }
        self.accounts = Accounts { head: 0, tail: size - 1, free: size, added: 0, published: 0, released: 0 };
        self.oldest = 0;
        Ok(())
    }

    /// Hides the free descriptors from a burst, if the queue does not run.
    #[inline(always)]
    pub(crate) fn begin_burst(&mut self, is_running: bool) {
        self.hidden = 0;
        if !is_running {
            self.hidden = mem::replace(&mut self.accounts.free, 0);
        }
    }

    /// Undoes [`begin_burst`](Self::begin_burst).
    #[inline(always)]
    pub(crate) const fn end_burst(&mut self) {
        self.accounts.free += self.hidden;
    }

    /// Returns the accounts and the slots.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut Accounts, &mut [Slot<T>]) {
        (&mut self.accounts, self.slots.as_mut())
    }

    /// Returns the slot that is allocated after `slot`. Meaningless if `slot` is the last free one.
    #[inline]
    pub(crate) fn next(&self, slot: u16) -> u16 {
        next_of(self.slots.as_ref(), slot).unwrap_or(0)
    }

    /// Allocates a run of slots from the start of the free list, for a buffer of `count`
    /// descriptors.
    #[inline(always)]
    pub(crate) fn allocate(&mut self, run: Run, count: u16, writable: u32, cookie: T) {
        self.accounts.allocate(self.slots.as_mut(), run, count, writable, cookie);
    }

    /// Frees the slots of a buffer, as [`Accounts::release`] does.
    #[inline(always)]
    pub(crate) fn release(&mut self, is_empty: bool, used: (u32, u32)) -> Result<(Used<T>, u16), Violation> {
        self.accounts
            .release(self.slots.as_mut(), is_empty, used)
            .ok_or(Violation::NotInFlight { id: used.0 })
    }

    /// Returns the id of the buffer that comes back next, where the device reports the buffer `id`
    /// as used. `None` if that buffer is not in flight.
    pub(crate) fn next_id(&self, id: u32, in_order: bool) -> Option<u16> {
        let id = u16::try_from(id).ok()?;
        let slot = self.slots.as_ref().get(usize::from(id))?;
        let in_flight = slot.cookie.is_some() && slot.serial < self.accounts.published;
        in_flight.then_some(if in_order { self.oldest } else { id })
    }

    /// In an in-order queue, returns the id of the buffer that comes back next and the bytes
    /// written to it.
    ///
    /// `id` and `written` are the used buffer that stands for itself and for all older buffers. If
    /// that buffer is not in flight, it is returned at once, and [`release`](Self::release) refuses
    /// it.
    ///
    /// In an in-order queue, buffers are freed in the order in which they were added. So the free
    /// list always runs through the slots in order, and the buffer that follows another one keeps
    /// its place.
    #[inline]
    pub(crate) fn next_in_order(&mut self, (id, written): (u32, u32)) -> (u32, u32) {
        let oldest = self.oldest;
        if self.accounts.published(self.slots.as_mut(), id).is_none() {
            return (id, written);
        }
        let last = self.slots.as_ref().get(usize::from(oldest)).map_or(oldest, |slot| slot.span.last());
        self.oldest = self.next(last);
        // A skipped buffer is fully written (VIRTIO 1.4, 2.7.9 and 2.8.8, both "In-order use of
        // descriptors").
        if id == u32::from(oldest) { (id, written) } else { (oldest.into(), u32::MAX) }
    }
}
