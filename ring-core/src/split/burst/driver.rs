//! A burst at the driver end of a split queue.

use crate::admission::{check_lent, fitting};
use crate::chain_bounds::{MAX_CHAIN_BYTES, saturate};
use crate::error::{AddError, Violation};
use crate::memory::{Area as _, Memory, Rings, Table as _};
use crate::notify::Notify;
use crate::segment::Segment;
use crate::slots::driver::{Accounts, Run, Slot, Slots, Used, next_of};
use crate::split::DriverQueue;
use crate::split::layout::{Descriptor, DescriptorFlags};

use super::RingsOf;

/// A burst at the driver end of a split queue.
///
/// The calls are those of [`crate::burst::DriverBurst`], which documents them.
#[must_use = "a burst that is dropped makes nothing available: end it with `publish`"]
#[expect(missing_debug_implementations, reason = "a burst borrows its queue, which has `Debug`")]
pub struct DriverBurst<'q, M: Memory, S: Slots<T>, T> {
    queue: &'q mut DriverQueue<M, S, T>,
    rings: RingsOf<M>,
    /// The accounts, whose numbers of buffers are also the indices of entries. Without free
    /// descriptors if the queue does not run.
    accounts: Accounts,
}

/// Bursts.
impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Starts a burst.
    #[inline(always)]
    pub fn burst(&mut self) -> DriverBurst<'_, M, S, T> {
        let ring = &self.end.ring;
        let rings = M::Area::rings([&ring.descriptor, &ring.own, &ring.other], ring.size.get());
        self.end.forget_look();
        self.begin_burst();
        let accounts = *self.slots.parts().0;
        DriverBurst { queue: self, rings, accounts }
    }

    /// Prepares the accounts for a burst.
    #[inline(always)]
    pub(super) fn begin_burst(&mut self) {
        self.end.begin_burst();
        self.slots.begin_burst(self.end.burst.state.is_running());
    }

    /// Updates the end with the accounts that a burst has put back.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower 16 bits are indices")]
    pub(super) fn end_burst(&mut self) {
        let Accounts { added, released, .. } = *self.slots.parts().0;
        self.slots.end_burst();
        self.end.staged = added as u16;
        self.end.end_burst(released as u16);
    }
}

impl<M: Memory, S: Slots<T>, T> DriverBurst<'_, M, S, T> {
    /// Stages a buffer.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::add`].
    #[inline(always)]
    pub fn add(&mut self, readable: &[Segment], writable: &[Segment], cookie: T) -> Result<u16, AddError<T>> {
        let (segment, flags, bytes) = match (readable, writable) {
            ([segment], []) => (*segment, DescriptorFlags::empty(), 0),
            ([], [segment]) => (*segment, DescriptorFlags::WRITE, segment.len),
            _ => return self.add_chain(readable, writable, cookie),
        };
        let lent = self.queue.end.ring.memory.lend(segment).is_ok();
        if self.accounts.free == 0 || segment.len == 0 || !lent {
            return self.add_slowly(readable, writable, cookie);
        }
        let run = self.accounts.first();
        self.rings.set_descriptor(run.head.into(), Descriptor::new(segment, flags, 0).to_words());
        self.rings.set_available(self.accounts.next_added(), run.head);
        self.accounts.allocate(self.queue.slots.parts().1, run, 1, bytes, cookie);
        Ok(run.head)
    }

    /// Stages a buffer of any number of descriptors.
    #[inline(always)]
    fn add_chain(
        &mut self,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        let ring = &self.queue.end.ring;
        let lent = check_lent(&ring.memory, readable, writable).is_ok();
        let count = fitting(readable, writable, ring.running, self.accounts.free).filter(|_| lent);
        let head = self.accounts.first().head;
        let slots = self.queue.slots.parts().1;
        let written =
            count.and_then(|count| Some((count, write_chain(&self.rings, slots, head, readable, writable)?)));
        let Some((count, Written { last, after, bytes })) = written else {
            return self.add_slowly(readable, writable, cookie);
        };
        let run = Run { head, last, after: Some(after) };
        self.rings.set_available(self.accounts.next_added(), head);
        self.accounts.allocate(slots, run, count, bytes, cookie);
        Ok(head)
    }

    #[inline(always)]
    fn add_slowly(
        &mut self,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        *self.queue.slots.parts().0 = self.accounts;
        let added = self.queue.add_in_burst(readable, writable, cookie);
        self.accounts.read_allocated(self.queue.slots.parts().0);
        added
    }

    /// Stages a buffer through an indirect table in `table`.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::add_indirect`].
    #[inline(always)]
    pub fn add_indirect(
        &mut self,
        table: Segment,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        self.write_back();
        let added = self.queue.add_indirect(table, readable, writable, cookie);
        self.read_again();
        added
    }

    /// Takes back the next used buffer that this burst has found.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::reap`].
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower 16 bits are an index")]
    pub fn reap(&mut self) -> Result<Option<Used<T>>, Violation> {
        if self.accounts.released as u16 == self.queue.end.burst.found {
            return self.reap_slowly();
        }
        let used = self.rings.used(self.accounts.next_released());
        let is_empty = self.accounts.free == 0;
        match self.accounts.release(self.queue.slots.parts().1, is_empty, used) {
            Some((used, _)) => Ok(Some(used)),
            None => self.reap_slowly(),
        }
    }

    #[inline(always)]
    fn reap_slowly(&mut self) -> Result<Option<Used<T>>, Violation> {
        *self.queue.slots.parts().0 = self.accounts;
        let reaped = self.queue.reap_in_burst();
        self.accounts.read_released(self.queue.slots.parts().0);
        reaped
    }

    /// Makes all staged buffers available, and ends the burst. Returns whether to notify the
    /// device.
    #[inline(always)]
    pub fn publish(mut self) -> Notify {
        self.write_back();
        let notify = self.queue.publish();
        self.read_again();
        notify
    }

    /// Makes all staged buffers available to a device that polls, and ends the burst.
    #[inline(always)]
    pub fn publish_silently(mut self) {
        self.write_back();
        self.queue.publish_silently();
        self.read_again();
    }

    #[inline(always)]
    fn write_back(&mut self) {
        *self.queue.slots.parts().0 = self.accounts;
        self.queue.end_burst();
    }

    #[inline(always)]
    fn read_again(&mut self) {
        self.queue.begin_burst();
        self.accounts = *self.queue.slots.parts().0;
    }
}

/// A chain that has been written. Small enough to be returned in registers.
struct Written {
    /// The last slot of the chain.
    last: u16,
    /// The slot behind `last` in the free list.
    after: u16,
    /// The number of bytes that the device may write; saturated at `u32::MAX`.
    bytes: u32,
}

/// Writes the descriptors of a buffer to the free slots from `head` on. The caller has checked that
/// enough slots are free. Returns `None` if the buffer is too long or has an empty segment.
#[inline(always)]
fn write_chain<T>(
    rings: &impl Rings,
    slots: &[Slot<T>],
    head: u16,
    readable: &[Segment],
    writable: &[Segment],
) -> Option<Written> {
    let (mut last, mut next, mut end) = (head, head, Descriptor::from_words((0, 0)));
    let (mut bytes, mut written) = (0, 0);
    for (segments, kind) in [(readable, DescriptorFlags::empty()), (writable, DescriptorFlags::WRITE)] {
        let flags = kind.union(DescriptorFlags::NEXT);
        written = 0;
        for &segment in segments {
            last = next;
            next = next_of(slots, next)?;
            end = Descriptor::new(segment, flags, next);
            rings.set_descriptor(last.into(), end.to_words());
            written += segment.weight();
        }
        bytes += written;
    }
    // It is cheaper to write the last descriptor again than to find out which one is the last.
    rings.table().set_rest(last.into(), end.without_next().to_words().1);
    // The device has not been told of these descriptors, so it is not too late to refuse the
    // buffer.
    (bytes <= MAX_CHAIN_BYTES).then_some(Written { last, after: next, bytes: saturate(written) })
}

impl<M: Memory, S: Slots<T>, T> Drop for DriverBurst<'_, M, S, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.write_back();
    }
}
