//! A burst at the driver end of a split queue.

use core::mem::replace;

use crate::admission::{check_lent, fitting};
use crate::chain::{MAX_CHAIN_BYTES, saturate};
use crate::error::{AddError, Violation};
use crate::memory::{Area, Memory, Row as _};
use crate::notify::Notify;
use crate::ring::State;
use crate::segment::Segment;
use crate::slots::driver::{Accounts, Run, Slots, Used, next_of};
use crate::split::DriverQueue;
use crate::split::layout::{Descriptor, DescriptorFlags};

use super::ENTRIES;

/// A ring of cells in the areas of a memory.
type RowOf<M, const CELL: usize> = <<M as Memory>::Area as Area>::Row<CELL>;

/// A burst at the driver end of a split queue.
///
/// The calls are those of [`crate::burst::DriverBurst`], which documents them.
#[must_use = "a burst that is dropped makes nothing available: end it with `publish`"]
#[expect(missing_debug_implementations, reason = "a burst borrows its queue, which has `Debug`")]
pub struct DriverBurst<'q, M: Memory, S: Slots<T>, T> {
    queue: &'q mut DriverQueue<M, S, T>,
    descriptors: RowOf<M, 16>,
    available: RowOf<M, 2>,
    used: RowOf<M, 8>,
    held: Held,
}

/// What a burst holds by value.
#[derive(Clone, Copy)]
struct Held {
    /// The accounts, whose numbers of buffers are also the indices of entries. Without free
    /// descriptors if the queue does not run.
    accounts: Accounts,
    /// The value that `accounts.released` reaches when all buffers that were found are taken back.
    /// Equal to `accounts.released` if the plain call has to be made.
    found: u64,
    /// The number of free descriptors, if the queue does not run; 0 otherwise.
    hidden: u16,
    /// The state of the queue, which is broken until the burst ends. Buffers are only taken by the
    /// plain call unless it is [`State::Running`].
    state: State,
    /// Whether the device's index has been loaded in this burst.
    looked: bool,
}

/// Bursts.
impl<M: Memory, S: Slots<T>, T> DriverQueue<M, S, T> {
    /// Starts a burst.
    #[inline(always)]
    pub fn burst(&mut self) -> DriverBurst<'_, M, S, T> {
        DriverBurst::new(self)
    }
}

impl<'q, M: Memory, S: Slots<T>, T> DriverBurst<'q, M, S, T> {
    #[inline(always)]
    fn new(queue: &'q mut DriverQueue<M, S, T>) -> Self {
        let (ring, size) = (&queue.end.ring, queue.end.ring.size.get());
        let descriptors = ring.descriptor.row(0, size);
        let available = ring.own.row(ENTRIES, size);
        let used = ring.other.row(ENTRIES, size);
        let held = Held::of(queue, false);
        Self { queue, descriptors, available, used, held }
    }

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
        if self.held.accounts.free == 0 || segment.len == 0 || !lent {
            return self.add_slowly(readable, writable, cookie);
        }
        let run = self.held.accounts.first();
        let (address, rest) = Descriptor::new(segment, flags, 0).to_words();
        self.descriptors.write(run.head.into(), 0, address);
        self.descriptors.write(run.head.into(), 8, rest);
        self.available.write(self.held.accounts.next_added(), 0, run.head);
        self.held.accounts.allocate(self.queue.slots.parts().1, run, 1, bytes, cookie);
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
        let Some(count) = fitting(readable, writable, ring.running, self.held.accounts.free).filter(|_| lent)
        else {
            return self.add_slowly(readable, writable, cookie);
        };
        let head = self.held.accounts.first().head;
        let (mut last, mut next, mut end) = (head, head, Descriptor::from_words((0, 0)));
        let (mut bytes, mut written) = (0, 0);
        let slots = self.queue.slots.parts().1;
        for (segments, kind) in [(readable, DescriptorFlags::empty()), (writable, DescriptorFlags::WRITE)] {
            let flags = kind.union(DescriptorFlags::NEXT);
            written = 0;
            for &segment in segments {
                last = next;
                next = next_of(slots, next);
                end = Descriptor::new(segment, flags, next);
                let (address, rest) = end.to_words();
                self.descriptors.write(last.into(), 0, address);
                self.descriptors.write(last.into(), 8, rest);
                written += segment.weight();
            }
            bytes += written;
        }
        self.descriptors.write(last.into(), 8, end.without_next().to_words().1);
        if bytes > MAX_CHAIN_BYTES {
            return self.add_slowly(readable, writable, cookie);
        }
        let run = Run { head, last, after: Some(next) };
        self.available.write(self.held.accounts.next_added(), 0, head);
        self.held.accounts.allocate(slots, run, count, saturate(written), cookie);
        Ok(head)
    }

    #[inline(always)]
    fn add_slowly(
        &mut self,
        readable: &[Segment],
        writable: &[Segment],
        cookie: T,
    ) -> Result<u16, AddError<T>> {
        self.write_back();
        let added = self.queue.add_in_burst(readable, writable, cookie);
        self.held = Held::of(self.queue, self.held.looked);
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
        self.held = Held::of(self.queue, self.held.looked);
        added
    }

    /// Takes back the next used buffer that this burst has found.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DriverQueue::reap`].
    #[inline(always)]
    pub fn reap(&mut self) -> Result<Option<Used<T>>, Violation> {
        if self.held.accounts.released == self.held.found {
            return self.reap_slowly();
        }
        let entry = self.held.accounts.next_released();
        let used = (self.used.read(entry, 0), self.used.read(entry, 4));
        let is_empty = self.held.accounts.free == 0;
        match self.held.accounts.release(self.queue.slots.parts().1, is_empty, used) {
            Some((used, _)) => Ok(Some(used)),
            None => self.reap_slowly(),
        }
    }

    #[inline(always)]
    fn reap_slowly(&mut self) -> Result<Option<Used<T>>, Violation> {
        self.write_back();
        let looked = self.held.looked || self.queue.end.has_taken_all();
        let reaped = self.queue.reap_in_burst(self.held.looked);
        self.held = Held::of(self.queue, looked);
        reaped
    }

    /// Makes all staged buffers available, and ends the burst. Returns whether to notify the
    /// device.
    #[inline(always)]
    pub fn publish(mut self) -> Notify {
        self.write_back();
        let notify = self.queue.publish();
        self.held = Held::of(self.queue, true);
        notify
    }

    /// Makes all staged buffers available to a device that polls, and ends the burst.
    #[inline(always)]
    pub fn publish_silently(mut self) {
        self.write_back();
        self.queue.publish_silently();
        self.held = Held::of(self.queue, true);
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the lower 16 bits are indices")]
    fn write_back(&mut self) {
        let Held { mut accounts, found, hidden, state, .. } = self.held;
        accounts.free += hidden;
        *self.queue.slots.parts().0 = accounts;
        (self.queue.end.staged, self.queue.end.state) = (accounts.added as u16, state);
        if state == State::Running {
            self.queue.end.set_taken(accounts.released as u16, found as u16);
        }
    }
}

impl Held {
    #[inline(always)]
    fn of<M: Memory, S: Slots<T>, T>(queue: &mut DriverQueue<M, S, T>, looked: bool) -> Self {
        let mut accounts = *queue.slots.parts().0;
        let mut hidden = 0;
        // A burst that is forgotten does not put the state back.
        let state = replace(&mut queue.end.state, State::Broken);
        if !state.is_running() {
            (accounts.free, hidden) = (0, accounts.free);
        }
        let is_fast = state == State::Running;
        let more = if is_fast { queue.end.seen().wrapping_sub(queue.end.next) } else { 0 };
        Self { accounts, found: accounts.released + u64::from(more), hidden, state, looked }
    }
}

impl<M: Memory, S: Slots<T>, T> Drop for DriverBurst<'_, M, S, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.write_back();
    }
}
