//! The driver end of a packed queue.

// The calls made for each buffer are inlined by force. By default the compiler passes their results
// through memory, which takes as long as everything else.

use crate::admission::{check_lent, fitting, refusal};
use crate::chain_bounds::{MAX_CHAIN_BYTES, saturate};
use crate::error::{AddError, AddErrorKind, SetupError, Violation};
use crate::index::Cursor;
use crate::memory::{Area as _, Memory};
use crate::notify::{Arm, Notify, Request};
use crate::ring::{Role, State};
use crate::segment::Segment;
use crate::setup::Setup;
use crate::slots::driver::{Buffers, Run, Slots, Used};

use super::end::End;
use super::layout::{Control, DescriptorFlags, address};

/// Makes buffers available in a packed queue and takes them back after the device has used them.
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
            None => self.add_list(readable, writable, cookie),
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
        let id = run.head;
        self.write(self.end.staged, id, segment, flags);
        self.stage(run, 1, writable, cookie);
        Ok(id)
    }

    /// Stages a buffer of any number of descriptors, or returns its cookie.
    #[inline(never)]
    fn add_list(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<u16, T> {
        let Some(count) = fitting(readable, writable, self.end.state, self.slots.free()) else {
            return Err(cookie);
        };
        let run = self.slots.first();
        let (id, mut at, mut left) = (run.head, self.end.staged, count);
        let (mut bytes, mut written) = (0, 0);
        for (segments, kind) in [(readable, DescriptorFlags::empty()), (writable, DescriptorFlags::WRITE)] {
            written = 0;
            for &segment in segments {
                left -= 1;
                let flags = if left == 0 { kind } else { kind.union(DescriptorFlags::NEXT) };
                self.write(at, id, segment, flags);
                at = at.advance(1, self.end.ring.size);
                written += segment.weight();
            }
            bytes += written;
        }
        if bytes > MAX_CHAIN_BYTES {
            self.withdraw(count);
            return Err(cookie);
        }
        self.stage(run, count, saturate(written), cookie);
        Ok(id)
    }

    /// Makes the `count` slots behind the staged slots unavailable again. The device cannot have
    /// seen their descriptors, because it stops at the first descriptor of the batch.
    #[cold]
    pub(super) fn withdraw(&mut self, count: u16) {
        let mut at = self.end.staged;
        for _ in 0..count {
            self.end.put(at, Control { len: 0, id: 0, flags: DescriptorFlags::unavailable(at) });
            at = at.advance(1, self.end.ring.size);
        }
    }

    /// Writes a descriptor that becomes available with the batch.
    #[inline]
    pub(super) fn write(&mut self, at: Cursor, id: u16, segment: Segment, flags: DescriptorFlags) {
        let flags = flags.union(DescriptorFlags::available(at));
        self.end.ring.descriptor.write(address(at.slot()), segment.address);
        // Devices read the id from the last descriptor of a buffer; some old devices read it from
        // the first.
        self.end.put(at, Control { len: segment.len, id, flags });
    }

    /// Stages the buffer whose `count` descriptors have been written.
    #[inline(always)]
    pub(super) fn stage(&mut self, run: Run, count: u16, writable: u32, cookie: T) {
        self.slots.allocate(run, count, writable, cookie);
        self.end.stage(count);
    }

    /// Returns the value to send with a notification, where
    /// [`NOTIFICATION_DATA`](crate::Features::NOTIFICATION_DATA) was negotiated.
    pub const fn notification_data(&self, queue: u16) -> u32 {
        queue as u32 | (self.end.published.bits() as u32) << 16
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
        let Some(used) = self.used() else { return Ok(None) };
        let is_empty = self.slots.in_flight() == self.end.ring.size.get();
        match self.slots.release(is_empty, used) {
            Ok((used, count)) => {
                self.end.next = self.end.next.advance(count, self.end.ring.size);
                Ok(Some(used))
            }
            Err(violation) => Err(self.broken(violation)),
        }
    }

    #[cold]
    fn broken(&mut self, violation: Violation) -> Violation {
        self.end.fail();
        violation
    }

    /// Returns the next used buffer, if there is one: its id, and the bytes written.
    ///
    /// The length is reserved unless the flag `WRITE` is set (VIRTIO 1.4, 2.8.4 "Element Address
    /// and Length"), but QEMU's devices never set that flag. So the length is used in any case,
    /// limited to the writable bytes of the buffer.
    #[inline(always)]
    fn used(&mut self) -> Option<(u32, u32)> {
        if self.end.state == State::InOrder {
            return self.next_in_order();
        }
        self.end.peek(DescriptorFlags::used).map(|used| (used.id.into(), used.len))
    }

    /// Returns the next used buffer of an in-order queue, where one used descriptor can stand for
    /// several buffers.
    #[inline(never)]
    fn next_in_order(&mut self) -> Option<(u32, u32)> {
        let batch = if let Some(batch) = self.batch {
            self.end.answered();
            batch
        } else {
            let used = self.end.peek(DescriptorFlags::used)?;
            (used.id.into(), used.len)
        };
        let next = self.slots.next_in_order(batch);
        self.batch = (next.0 != batch.0).then_some(batch);
        Some(next)
    }

    /// Asks the device to notify when it returns the next buffer. Returns whether it is
    /// safe to sleep.
    #[inline]
    pub fn arm(&mut self) -> Arm {
        self.request(0, Request::Next)
    }

    /// Asks the device to notify when it has returned `count` more buffers.
    #[inline]
    pub fn arm_after(&mut self, count: u16) -> Arm {
        let delay = count.clamp(1, self.slots.in_flight().max(1)) - 1;
        self.request(delay, Request::Next)
    }

    /// Asks the device to notify of every buffer.
    pub fn arm_always(&mut self) -> Arm {
        self.request(0, Request::Always)
    }

    /// Asks the device to notify, and looks for a buffer that has been returned.
    #[inline]
    fn request(&mut self, delay: u16, request: Request) -> Arm {
        let arm = self.end.arm(DescriptorFlags::used, delay, request);
        // The other buffers of a batch have no used descriptors of their own.
        if self.batch.is_some() && arm == Arm::Armed { Arm::Pending } else { arm }
    }

    /// Withdraws the request to be notified.
    pub fn disarm(&mut self) {
        self.end.disarm();
    }

    /// Returns whether there is a buffer to reap, and reaps nothing.
    pub fn pending(&self) -> bool {
        (self.batch.is_some() && self.end.state.is_running()) || self.end.has_pending(DescriptorFlags::used)
    }

    /// Returns the id of the buffer that `reap` returns next, and reaps nothing.
    pub fn peek(&self) -> Option<u16> {
        if !self.end.state.is_running() {
            return None;
        }
        let next = || self.end.find(DescriptorFlags::used(self.end.next)).map(|used| (used.id.into(), 0));
        let (id, _) = self.batch.or_else(next)?;
        self.slots.next_id(id, self.end.state == State::InOrder)
    }
}
