//! The driver end of a split queue.

// The calls made for each buffer are inlined by force. By default the compiler passes their results
// through memory, which takes as long as everything else.

use crate::admission::{check_lent, fitting, refusal};
use crate::chain_bounds::{MAX_CHAIN_BYTES, saturate};
use crate::error::{AddError, AddErrorKind, SetupError, Violation};
use crate::memory::{Area as _, Load, Memory};
use crate::notify::{Arm, Notify, Request};
use crate::ring::{Role, State};
use crate::segment::Segment;
use crate::setup::Setup;
use crate::slots::driver::{Buffers, Run, Slots, Used};

use super::end::End;
use super::layout::{Descriptor, DescriptorFlags, available_slot, used_slot};

/// Makes buffers available in a split queue and takes them back after the device has used them.
///
/// The calls are those of [`crate::DriverQueue`], which documents them; [`driver`](crate::driver)
/// explains how they work together.
#[derive(Debug)]
pub struct DriverQueue<M: Memory, S, T> {
    pub(super) end: End<M>,
    pub(super) slots: Buffers<S, T>,
    /// In an in-order queue, the used buffer that stands for itself and for the older buffers that
    /// are still to be returned: its id, and the bytes written.
    batch: Option<(u32, u32)>,
}

/// Set-up.
impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Sets up the driver end of a queue and clears the queue's areas.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::new`].
    pub fn new(memory: M, setup: &Setup, slots: S) -> Result<Self, SetupError> {
        let end = End::new(memory, setup, Role::Driver)?;
        let slots = Buffers::new(slots, end.ring.size)?;
        end.clear();
        Ok(Self { end, slots, batch: None })
    }

    /// Sets the queue up again. The cookies of all buffers in flight are passed to `returned`.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new). After an error the queue is unchanged.
    pub fn reset(&mut self, memory: M, setup: &Setup, returned: impl FnMut(T)) -> Result<(), SetupError> {
        let end = End::new(memory, setup, Role::Driver)?;
        self.slots.reset(end.ring.size, returned)?;
        end.clear();
        (self.end, self.batch) = (end, None);
        Ok(())
    }

    /// Returns the memory that the queue was set up with.
    pub const fn memory(&self) -> &M {
        &self.end.ring.memory
    }
}

/// Making buffers available.
impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Returns the number of free descriptors.
    pub const fn free(&self) -> u16 {
        self.slots.free()
    }

    /// Returns the number of buffers that were added and not yet reaped.
    pub const fn in_flight(&self) -> u16 {
        self.slots.in_flight()
    }

    /// Stages a buffer that consists of the `readable` segments, followed by the `writable`
    /// segments.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::add`].
    #[inline(always)]
    pub fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<u16, AddError<T>> {
        if let Err(kind) = check_lent(&self.end.ring.memory, readable, writable) {
            return Err(AddError { kind, cookie });
        }
        let only = match (readable, writable) {
            ([segment], []) => Some((*segment, DescriptorFlags::empty(), 0)),
            ([], [segment]) => Some((*segment, DescriptorFlags::WRITE, segment.len)),
            _ => None,
        };
        let added = match only {
            // Most buffers have one segment, so this path is kept short.
            Some((segment, kind, bytes)) => self.add_one(segment, kind, bytes, cookie),
            None => self.add_chain(readable, writable, cookie),
        };
        added.map_err(|cookie| AddError { kind: self.refusal(readable, writable), cookie })
    }

    /// Returns the reason a buffer was refused.
    #[cold]
    fn refusal(&self, readable: &[Segment], writable: &[Segment]) -> AddErrorKind {
        let (size, free) = (self.end.ring.size, self.slots.free());
        refusal(readable, writable, self.end.state, size, free)
    }

    /// Stages a buffer of one descriptor, or returns its cookie.
    #[inline(always)]
    fn add_one(
        &mut self,
        segment: Segment,
        flags: DescriptorFlags,
        writable: u32,
        cookie: T,
    ) -> Result<u16, T> {
        if !self.end.state.is_running() || self.slots.free() == 0 || segment.len == 0 {
            return Err(cookie);
        }
        let run = self.slots.first();
        self.write(run.head, Descriptor::new(segment, flags, 0));
        self.stage(run, 1, writable, cookie);
        Ok(run.head)
    }

    /// Stages a buffer of any number of descriptors, or returns its cookie.
    #[inline(never)]
    fn add_chain(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<u16, T> {
        let (head, free) = (self.slots.head(), self.slots.free());
        let Some((run, count, written)) = self.write_chain(head, free, readable, writable) else {
            return Err(cookie);
        };
        self.stage(run, count, written, cookie);
        Ok(head)
    }

    /// Writes the descriptors of a buffer, from the slot `head` on, if there are enough among the
    /// `free` ones. Returns the slots, their number, and the number of writable bytes.
    #[inline]
    fn write_chain(
        &self,
        head: u16,
        free: u16,
        readable: &[Segment],
        writable: &[Segment],
    ) -> Option<(Run, u16, u32)> {
        let count = fitting(readable, writable, self.end.state, free)?;
        let (mut last, mut next, mut end) = (head, head, Descriptor::from_words((0, 0)));
        let (mut bytes, mut written) = (0, 0);
        for (segments, kind) in [(readable, DescriptorFlags::empty()), (writable, DescriptorFlags::WRITE)] {
            let flags = kind.union(DescriptorFlags::NEXT);
            written = 0;
            for &segment in segments {
                (last, next) = (next, self.slots.next(next));
                end = Descriptor::new(segment, flags, next);
                self.write(last, end);
                written += segment.weight();
            }
            bytes += written;
        }
        // It is cheaper to write the last descriptor again than to find out which one is the last.
        self.end.ring.descriptor.write(Descriptor::offset(last) + 8, end.without_next().to_words().1);
        // The device has not been told of these descriptors, so it is not too late to refuse the
        // buffer.
        (bytes <= MAX_CHAIN_BYTES).then_some((
            Run { head, last, after: Some(next) },
            count,
            saturate(written),
        ))
    }

    #[inline]
    pub(super) fn write(&self, index: u16, descriptor: Descriptor) {
        self.end.ring.descriptor.write_pair(Descriptor::offset(index), descriptor.to_words());
    }

    /// Stages the chain of `count` descriptors in `run`, the first free ones.
    #[inline(always)]
    pub(super) fn stage(&mut self, run: Run, count: u16, writable: u32, cookie: T) {
        let head = run.head;
        self.slots.allocate(run, count, writable, cookie);
        let entry = self.end.staged;
        self.end.staged = entry.wrapping_add(1);
        self.end.ring.own.write(available_slot(self.end.mask.slot(entry)), head);
    }

    /// Returns the value to send with a notification, where
    /// [`NOTIFICATION_DATA`](crate::Features::NOTIFICATION_DATA) was negotiated.
    pub const fn notification_data(&self, queue: u16) -> u32 {
        queue as u32 | (self.end.published as u32) << 16
    }

    /// Makes all staged buffers available. Returns whether to notify the device.
    #[inline]
    pub fn publish(&mut self) -> Notify {
        self.publish_silently();
        self.end.decide()
    }

    /// Makes all staged buffers available to a device that polls.
    #[inline]
    pub fn publish_silently(&mut self) {
        if self.end.publish() {
            self.slots.publish();
        }
    }
}

/// Taking buffers back.
impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Takes back the next used buffer, if there is one.
    ///
    /// # Errors
    ///
    /// A [`Violation`], once, when the device has broken a rule. The queue is idle from then on.
    #[inline(always)]
    pub fn reap(&mut self) -> Result<Option<Used<T>>, Violation> {
        // Buffers that are only staged do not belong to the device yet.
        let in_flight = self.end.published.wrapping_sub(self.end.next);
        match self.end.is_pending(in_flight) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(index) => {
                return Err(self.broken(Violation::UsedIndex { index, next: self.end.next, in_flight }));
            }
        }
        match self.take() {
            Ok(used) => Ok(Some(used)),
            Err(violation) => Err(self.broken(violation)),
        }
    }

    #[cold]
    fn broken(&mut self, violation: Violation) -> Violation {
        self.end.fail();
        violation
    }

    #[inline(always)]
    fn take(&mut self) -> Result<Used<T>, Violation> {
        let in_order = self.end.state == State::InOrder;
        let used = if in_order { self.next_in_order() } else { self.used_entry() };
        let (used, _) = self.slots.release(self.slots.free() == 0, used)?;
        self.end.next = self.end.next.wrapping_add(1);
        Ok(used)
    }

    /// Returns the next used buffer of an in-order queue, where one used entry can stand for
    /// several buffers.
    #[inline(never)]
    fn next_in_order(&mut self) -> (u32, u32) {
        let batch = self.batch.unwrap_or_else(|| self.used_entry());
        let next = self.slots.next_in_order(batch);
        self.batch = (next.0 != batch.0).then_some(batch);
        next
    }

    /// Returns the next used entry: an id, and the bytes written.
    #[inline]
    fn used_entry(&self) -> (u32, u32) {
        let slot = used_slot(self.end.mask.slot(self.end.next));
        self.end.ring.other.read_pair(slot)
    }

    /// Asks the device to notify when it returns the next buffer. Returns whether it is
    /// safe to sleep.
    #[inline]
    pub fn arm(&mut self) -> Arm {
        self.end.arm(0, Request::Next)
    }

    /// Asks the device to notify when it has returned `count` more buffers.
    #[inline]
    pub fn arm_after(&mut self, count: u16) -> Arm {
        let delay = count.clamp(1, self.slots.in_flight().max(1)) - 1;
        self.end.arm(delay, Request::Next)
    }

    /// Asks the device to notify of every buffer.
    pub fn arm_always(&mut self) -> Arm {
        self.end.arm(0, Request::Always)
    }

    /// Withdraws the request to be notified.
    pub fn disarm(&mut self) {
        self.end.disarm();
    }

    /// Returns whether there is a buffer to reap, and reaps nothing.
    pub fn pending(&self) -> bool {
        self.end.has_pending(Load::Relaxed)
    }

    /// Returns the id of the buffer that `reap` returns next, and reaps nothing.
    pub fn peek(&self) -> Option<u16> {
        if !self.end.has_pending(Load::Acquire) {
            return None;
        }
        let (id, _) = self.batch.unwrap_or_else(|| self.used_entry());
        self.slots.next_id(id, self.end.state == State::InOrder)
    }
}
