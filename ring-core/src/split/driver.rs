//! The driver end of a split queue.

// What is done for each buffer is inlined by force. Left alone, the compiler passes results through memory, which
// takes as long as all the rest.

use crate::admission::{fitting, refusal};
use crate::chain::{MAX_CHAIN_BYTES, Segment, saturate};
use crate::error::{AddError, AddErrorKind, SetupError, Violation};
use crate::indirect::fill_table;
use crate::memory::{Area as _, Memory};
use crate::notify::{Arm, Notify};
use crate::position::Position;
use crate::ring::{Role, State};
use crate::setup::Setup;
use crate::slots::driver::{Slot, Slots, Used};

use super::end::End;
use super::layout::{Descriptor, DescriptorFlags, available_slot, used_slot};

/// Makes buffers available in a split queue and takes them back used.
///
/// [`driver`](crate::driver) explains how the calls work together; they are the same for both formats.
#[derive(Debug)]
pub struct DriverQueue<M: Memory, S, T> {
    end: End<M>,
    slots: Slots<S, T>,
    /// In an in-order queue, the used buffer that stands for itself and the older ones still to come back:
    /// its id, and the bytes written.
    batch: Option<(u32, u32)>,
}

/// Setting up.
impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> DriverQueue<M, S, T> {
    /// Sets up the driver end of a queue. Its areas are cleared, so the device must not run the queue yet.
    ///
    /// # Errors
    ///
    /// [`SetupError`] says what is wrong with `setup`, or that there are fewer `slots` than descriptors.
    pub fn new(memory: M, setup: &Setup, slots: S) -> Result<Self, SetupError> {
        let end = End::new(memory, setup, Role::Driver)?;
        let slots = Slots::new(slots, end.ring.size)?;
        end.clear();
        Ok(Self { end, slots, batch: None })
    }

    /// Sets the queue up anew, as [`new`](Self::new) does, once the device no longer runs it. The cookies of all
    /// buffers in flight go to `returned`.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); the queue is then as it was.
    pub fn reset(&mut self, memory: M, setup: &Setup, returned: impl FnMut(T)) -> Result<(), SetupError> {
        let end = End::new(memory, setup, Role::Driver)?;
        self.slots.reset(end.ring.size, returned)?;
        end.clear();
        (self.end, self.batch) = (end, None);
        Ok(())
    }

    /// The memory that the queue was set up with.
    pub const fn memory(&self) -> &M {
        &self.end.ring.memory
    }
}

/// Making buffers available.
impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> DriverQueue<M, S, T> {
    /// Free descriptors.
    pub const fn free(&self) -> u16 {
        self.slots.free()
    }

    /// Buffers that were added and not yet reaped.
    pub const fn in_flight(&self) -> u16 {
        self.slots.in_flight()
    }

    /// Stages a buffer of readable, then writable segments. [`publish`](Self::publish) makes it available.
    ///
    /// The device may access the segments from then on until [`reap`](Self::reap) or a reset returns the
    /// `cookie`; so the cookie is the natural owner of their memory.
    ///
    /// # Errors
    ///
    /// [`AddError`] says why the buffer cannot be added, and returns the cookie. Nothing has changed then.
    #[inline(always)]
    pub fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<(), AddError<T>> {
        let only = match (readable, writable) {
            ([segment], []) => Some((*segment, DescriptorFlags::empty(), 0)),
            ([], [segment]) => Some((*segment, DescriptorFlags::WRITE, segment.len)),
            _ => None,
        };
        let added = match only {
            // Most buffers are one segment; that way is kept short.
            Some((segment, kind, bytes)) => self.add_one(segment, kind, bytes, cookie),
            None => self.add_chain(readable, writable, cookie),
        };
        added.map_err(|cookie| AddError { kind: self.refusal(readable, writable), cookie })
    }

    /// Why a buffer cannot be added.
    #[cold]
    fn refusal(&self, readable: &[Segment], writable: &[Segment]) -> AddErrorKind {
        let (size, free) = (self.end.ring.size, self.slots.free());
        refusal(readable, writable, self.end.state, size, free)
    }

    /// Stages a buffer of one descriptor, or gives back its cookie.
    #[inline(always)]
    fn add_one(
        &mut self,
        segment: Segment,
        flags: DescriptorFlags,
        writable: u32,
        cookie: T,
    ) -> Result<(), T> {
        if !self.end.state.is_running() || self.slots.free() == 0 {
            return Err(cookie);
        }
        let head = self.slots.head();
        self.write(head, Descriptor::new(segment, flags, 0));
        self.stage(head, head, 1, writable, cookie);
        Ok(())
    }

    /// Stages a buffer of any number of descriptors, or gives back its cookie.
    #[inline(never)]
    fn add_chain(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<(), T> {
        let Some(count) = fitting(readable, writable, self.end.state, self.slots.free()) else {
            return Err(cookie);
        };
        let head = self.slots.head();
        let (mut last, mut next, mut left) = (head, head, count);
        let mut bytes = [0, 0];
        let kinds = [(readable, DescriptorFlags::empty()), (writable, DescriptorFlags::WRITE)];
        for ((segments, kind), bytes) in kinds.into_iter().zip(&mut bytes) {
            for &segment in segments {
                (last, next, left) = (next, self.slots.next(next), left - 1);
                let flags = if left == 0 { kind } else { kind.union(DescriptorFlags::NEXT) };
                self.write(last, Descriptor::new(segment, flags, next));
                *bytes += u64::from(segment.len);
            }
        }
        // The device does not look at descriptors that it was not told of, so it is early enough to give up.
        let [readable, writable] = bytes;
        if readable + writable > MAX_CHAIN_BYTES {
            return Err(cookie);
        }
        self.stage(head, last, count, saturate(writable), cookie);
        Ok(())
    }

    /// Stages a buffer through a table of descriptors, so that it takes up a single one in the queue.
    ///
    /// `table` is room for the table in the memory that the queue was set up with: 16 bytes for each segment, of any
    /// alignment. Like the segments, it is the device's until the cookie comes back.
    ///
    /// # Errors
    ///
    /// [`AddError`] says why the buffer cannot be added, and returns the cookie. The queue has not changed
    /// then.
    pub fn add_indirect(
        &mut self,
        table: Segment,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<(), AddError<T>> {
        let (ring, state, free) = (&self.end.ring, self.end.state, self.slots.free());
        let filled = fill_table(ring, state, free, table, readable, writable, |segment, writable, next| {
            let kind = if writable { DescriptorFlags::WRITE } else { DescriptorFlags::empty() };
            let (flags, next) = next.map_or((kind, 0), |next| (kind.union(DescriptorFlags::NEXT), next));
            Descriptor::new(segment, flags, next).to_words()
        });
        let (table, bytes) = match filled {
            Ok(filled) => filled,
            Err(kind) => return Err(AddError { kind, cookie }),
        };
        let head = self.slots.head();
        self.write(head, Descriptor::new(table, DescriptorFlags::INDIRECT, 0));
        self.stage(head, head, 1, bytes, cookie);
        Ok(())
    }

    #[inline]
    fn write(&self, index: u16, descriptor: Descriptor) {
        self.end.ring.descriptor.write_pair(Descriptor::offset(index), descriptor.to_words());
    }

    /// Stages the chain of `count` descriptors from the first free one, `head`, to `last`.
    #[inline(always)]
    fn stage(&mut self, head: u16, last: u16, count: u16, writable: u32, cookie: T) {
        self.slots.allocate(head, last, count, writable, cookie);
        let entry = self.end.staged;
        self.end.staged = entry.wrapping_add(1);
        self.end.ring.own.write(available_slot(self.end.mask.slot(entry)), head);
    }

    /// What to tell the device with a notification, where [`NOTIFICATION_DATA`] was negotiated.
    ///
    /// `queue` is the queue's index; or, with [`NOTIF_CONFIG_DATA`], the number that the device gave for it.
    /// (VIRTIO 1.4, 2.9 "Driver Notifications")
    ///
    /// [`NOTIFICATION_DATA`]: crate::Features::NOTIFICATION_DATA
    /// [`NOTIF_CONFIG_DATA`]: crate::Features::NOTIF_CONFIG_DATA
    pub const fn notification_data(&self, queue: u16) -> u32 {
        queue as u32 | (self.end.published as u32) << 16
    }

    /// Makes all staged buffers available, and says whether to notify the device.
    #[inline]
    pub fn publish(&mut self) -> Notify {
        self.publish_silently();
        self.end.decide()
    }

    /// Makes all staged buffers available to a device that polls. The next [`publish`](Self::publish)
    /// decides about notifying it of these buffers, too.
    #[inline]
    pub fn publish_silently(&mut self) {
        if self.end.publish() {
            self.slots.publish();
        }
    }
}

/// Taking buffers back.
impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> DriverQueue<M, S, T> {
    /// Takes back the next used buffer, if there is one.
    ///
    /// # Errors
    ///
    /// A [`Violation`] once, when the device breaks a rule; the queue is idle from then on.
    #[inline(always)]
    pub fn reap(&mut self) -> Result<Option<Used<T>>, Violation> {
        // What is only staged is not the device's to use.
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
        let (id, written) = if self.end.state == State::InOrder {
            if self.batch.is_none() {
                self.batch = Some(self.used_entry());
            }
            self.slots.next_in_order(&mut self.batch)?
        } else {
            self.used_entry()
        };
        let (used, _) = self.slots.release(id, written)?;
        self.end.next = self.end.next.wrapping_add(1);
        Ok(used)
    }

    /// The next used entry: an id, and the bytes written.
    #[inline]
    fn used_entry(&self) -> (u32, u32) {
        let slot = used_slot(self.end.mask.slot(self.end.next));
        self.end.ring.other.read_pair(slot)
    }

    /// Asks the device to notify when it returns the next buffer.
    #[inline]
    pub fn arm(&mut self) -> Arm {
        self.end.arm()
    }
}

/// Stopping and going on.
impl<M: Memory, S: AsRef<[Slot<T>]> + AsMut<[Slot<T>]>, T> DriverQueue<M, S, T> {
    /// Publishes what is staged, and stops. Buffers in flight stay in flight.
    pub fn suspend(&mut self) -> (Position, Notify) {
        let notify = self.publish();
        self.end.suspend();
        (self.position(), notify)
    }

    /// Goes on where [`suspend`](Self::suspend) stopped. The first [`publish`](Self::publish) then
    /// notifies, because nobody knows what was announced before. A queue that is not suspended is left alone.
    pub fn resume(&mut self) {
        if self.end.state == State::Suspended {
            self.end.resume(self.end.published, self.end.next);
        }
    }

    /// Where the queue stands: what has been published, and the next buffer to take back.
    pub const fn position(&self) -> Position {
        Position { available: self.end.published, used: self.end.next }
    }
}
