//! A burst at the driver end of a packed queue.

use crate::admission::{check_lent, fitting};
use crate::chain_bounds::{MAX_CHAIN_BYTES, saturate};
use crate::error::{AddError, Violation};
use crate::memory::Memory;
use crate::notify::Notify;
use crate::packed::DriverQueue;
use crate::packed::layout::DescriptorFlags;
use crate::segment::Segment;
use crate::slots::driver::{Accounts, Slots, Used};

use super::staging::Staging;
use super::taking::Taking;
use super::word;

/// A burst at the driver end of a packed queue.
///
/// The calls are those of [`crate::burst::DriverBurst`], which documents them.
#[must_use = "a burst that is dropped makes nothing available: end it with `publish`"]
#[expect(missing_debug_implementations, reason = "a burst borrows its queue, which has `Debug`")]
pub struct DriverBurst<'q, M: Memory, S: Slots<T>, T> {
    queue: &'q mut DriverQueue<M, S, T>,
    staging: Staging<M>,
    taking: Taking<M>,
    /// The accounts. Without free descriptors if the queue does not run.
    accounts: Accounts,
}

/// Bursts.
impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Starts a burst.
    #[inline(always)]
    pub fn burst(&mut self) -> DriverBurst<'_, M, S, T> {
        self.begin_burst();
        let staging = Staging::of(&self.end, DescriptorFlags::available);
        let taking = Taking::of(&self.end, DescriptorFlags::used);
        let accounts = *self.slots.parts().0;
        DriverBurst { queue: self, staging, taking, accounts }
    }

    /// Prepares the accounts for a burst.
    #[inline(always)]
    pub(super) fn begin_burst(&mut self) {
        self.end.begin_burst();
        self.slots.begin_burst(self.end.burst_state.is_running());
    }

    /// Undoes [`begin_burst`](Self::begin_burst).
    #[inline(always)]
    pub(super) fn end_burst(&mut self) {
        self.end.end_burst();
        self.slots.end_burst();
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
            _ => return self.add_list(readable, writable, cookie),
        };
        let lent = self.queue.end.ring.memory.lend(segment).is_ok();
        if self.accounts.free == 0 || segment.len == 0 || !lent {
            return self.add_slowly(readable, writable, cookie);
        }
        let run = self.accounts.first();
        self.put(segment, run.head, flags);
        self.accounts.allocate(self.queue.slots.parts().1, run, 1, bytes, cookie);
        Ok(run.head)
    }

    /// Stages a buffer of any number of descriptors.
    #[inline(always)]
    fn add_list(
        &mut self,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        let ring = &self.queue.end.ring;
        let lent = check_lent(&ring.memory, readable, writable).is_ok();
        let [bytes, written] =
            [readable, writable].map(|segments| segments.iter().map(|segment| segment.weight()).sum::<u64>());
        let fitting = fitting(readable, writable, ring.running, self.accounts.free);
        let Some(count) = fitting.filter(|_| lent && bytes + written <= MAX_CHAIN_BYTES) else {
            return self.add_slowly(readable, writable, cookie);
        };
        let run = self.accounts.first();
        let mut left = count;
        for (segments, kind) in [(readable, DescriptorFlags::empty()), (writable, DescriptorFlags::WRITE)] {
            for &segment in segments {
                left -= 1;
                let flags = if left == 0 { kind } else { kind.union(DescriptorFlags::NEXT) };
                self.put(segment, run.head, flags);
            }
        }
        self.accounts.allocate(self.queue.slots.parts().1, run, count, saturate(written), cookie);
        Ok(run.head)
    }

    /// Writes a descriptor that becomes available with the batch.
    #[inline(always)]
    fn put(&mut self, segment: Segment, id: u16, flags: DescriptorFlags) {
        self.staging.set_address(segment.address);
        let control = u64::from(segment.len) | u64::from(id) << 32 | word(flags);
        self.staging.put(&mut self.queue.end, control, 1);
    }

    #[inline(always)]
    fn add_slowly(
        &mut self,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        *self.queue.slots.parts().0 = self.accounts;
        self.staging.write_back(&mut self.queue.end);
        let added = self.queue.add_in_burst(readable, writable, cookie);
        self.accounts.read_allocated(self.queue.slots.parts().0);
        self.staging.read(&self.queue.end, DescriptorFlags::available);
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

    /// Takes back the next used buffer.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::reap`].
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    pub fn reap(&mut self) -> Result<Option<Used<T>>, Violation> {
        if self.taking.is_slow() {
            return self.reap_slowly();
        }
        let Some(control) = self.taking.found() else { return Ok(None) };
        let used = (u32::from((control >> 32) as u16), control as u32);
        let is_empty = self.accounts.in_flight() == self.queue.end.ring.size.get();
        match self.accounts.release(self.queue.slots.parts().1, is_empty, used) {
            Some((used, count)) => {
                self.taking.advance(if count == 1 { 1 } else { several(count) });
                Ok(Some(used))
            }
            None => self.reap_slowly(),
        }
    }

    #[inline(always)]
    fn reap_slowly(&mut self) -> Result<Option<Used<T>>, Violation> {
        *self.queue.slots.parts().0 = self.accounts;
        self.taking.write_back(&mut self.queue.end);
        let reaped = self.queue.reap_in_burst();
        self.accounts.read_released(self.queue.slots.parts().0);
        self.taking.read(&self.queue.end, DescriptorFlags::used);
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
        self.staging.write_back(&mut self.queue.end);
        self.taking.write_back(&mut self.queue.end);
        self.queue.end_burst();
    }

    #[inline(always)]
    fn read_again(&mut self) {
        self.queue.begin_burst();
        self.staging.read(&self.queue.end, DescriptorFlags::available);
        self.taking.read(&self.queue.end, DescriptorFlags::used);
        self.accounts = *self.queue.slots.parts().0;
    }
}

impl<M: Memory, S: Slots<T>, T> Drop for DriverBurst<'_, M, S, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.write_back();
    }
}

/// Returns the number of descriptors of a buffer that takes up several.
///
/// The next descriptor's address depends on the count in the record, and the record's address
/// depends on the id in this descriptor. With a branch on the count, a processor loads the next
/// descriptor without waiting for the id and the count: on an AMD EPYC, the driver end then takes
/// 7.9 ns instead of 9.9 ns for a buffer of one descriptor. The function is cold because the
/// compiler would otherwise leave out the branch, which costs one instruction, and three for other
/// buffers.
#[cold]
#[inline(never)]
const fn several(count: u16) -> u16 {
    count
}
