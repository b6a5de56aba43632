//! A burst at the device end of a split queue.

use core::mem::replace;

use crate::chain::{Chain, ChainRecord, Gathered, Gathering, Token, is_in_range};
use crate::error::{CompleteError, PopError};
use crate::memory::{Area, Memory, Row as _};
use crate::notify::Notify;
use crate::ring::State;
use crate::segment::Segment;
use crate::slots::device::{Completion, Counts, Slots};
use crate::split::DeviceQueue;
use crate::split::layout::{Descriptor, DescriptorFlags};

use super::ENTRIES;

/// A ring of cells in the areas of a memory.
type RowOf<M, const CELL: usize> = <<M as Memory>::Area as Area>::Row<CELL>;

/// A burst at the device end of a split queue.
///
/// The calls are those of [`crate::burst::DeviceBurst`], which documents them.
#[must_use = "a burst that is dropped returns nothing: end it with `publish`"]
#[expect(missing_debug_implementations, reason = "a burst borrows its queue, which has `Debug`")]
pub struct DeviceBurst<'q, M: Memory, S: Slots> {
    queue: &'q mut DeviceQueue<M, S>,
    descriptors: RowOf<M, 16>,
    available: RowOf<M, 2>,
    used: RowOf<M, 8>,
    held: Held,
}

/// What a burst holds by value.
#[derive(Clone, Copy)]
struct Held {
    /// The next entry to fill.
    staged: u16,
    /// The next entry to take.
    next: u16,
    /// The end of the entries to take. Equal to `next` if the plain call has to be made.
    seen: u16,
    counts: Counts,
    /// The state of the queue, which is broken until the burst ends. Only the plain calls are made
    /// unless it is [`State::Running`].
    state: State,
    /// Whether the driver's index has been loaded in this burst.
    looked: bool,
}

/// Bursts.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Starts a burst.
    #[inline(always)]
    pub fn burst(&mut self) -> DeviceBurst<'_, M, S> {
        DeviceBurst::new(self)
    }
}

impl<'q, M: Memory, S: Slots> DeviceBurst<'q, M, S> {
    #[inline(always)]
    fn new(queue: &'q mut DeviceQueue<M, S>) -> Self {
        let (ring, size) = (&queue.end.ring, queue.end.ring.size.get());
        let descriptors = ring.descriptor.row(0, size);
        let available = ring.other.row(ENTRIES, size);
        let used = ring.own.row(ENTRIES, size);
        let held = Held::of(queue, false);
        Self { queue, descriptors, available, used, held }
    }

    /// Takes the next available chain that this burst has found, and copies its segments to
    /// `segments`.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::pop`].
    #[inline(always)]
    pub fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        let Some((head, first)) = self.next() else { return self.pop_slowly(segments) };
        if is_single(first) && !segments.is_empty() {
            return match self.insert(head, 1) {
                Some(taken) => {
                    let writable = if is_writable(first) { first.segment().len } else { 0 };
                    Ok(Some(Chain::single(segments, first.segment(), is_writable(first), taken(writable))))
                }
                None => self.pop_slowly(segments),
            };
        }
        let gathered = self.gather(first, segments);
        let taken = gathered.and_then(|chain| Some((self.insert(head, chain.count)?, chain)));
        let Some((taken, chain)) = taken else { return self.pop_slowly(segments) };
        let (readable, writable) = chain.segments(segments);
        Ok(Some(Chain { readable, writable, token: taken(chain.writable) }))
    }

    /// Records a chain. Returns its token, given the number of writable bytes; `None` if the chain
    /// cannot be in flight.
    #[inline(always)]
    fn insert(&mut self, head: u16, count: u16) -> Option<impl FnOnce(u32) -> Token + use<M, S>> {
        let serial = self.held.counts.insert(self.queue.slots.parts().1, head, count)?;
        let start = self.held.next;
        self.held.next = start.wrapping_add(1);
        Some(move |writable| Token { serial, start, id: head, writable })
    }

    /// Returns the head of the next chain and its first descriptor, if the head exists.
    #[inline(always)]
    fn next(&self) -> Option<(u16, Descriptor)> {
        if self.held.next == self.held.seen {
            return None;
        }
        let head: u16 = self.available.read(self.held.next.into(), 0);
        let index = head.into();
        let first =
            Descriptor::from_words((self.descriptors.read(index, 0), self.descriptors.read(index, 8)));
        (head < self.queue.end.ring.size.get()).then_some((head, first))
    }

    /// Collects the segments of a chain; `None` if the chain breaks a rule, or does not fit the
    /// storage.
    #[inline(always)]
    fn gather(&self, first: Descriptor, segments: &mut [Segment]) -> Option<Gathered> {
        if first.flags().contains(DescriptorFlags::INDIRECT) {
            return self.queue.gather_in_burst(first, segments);
        }
        let size = self.queue.end.ring.size.get();
        let (mut gathering, mut descriptor) = (Gathering::default(), first);
        loop {
            let is_indirect = descriptor.flags().contains(DescriptorFlags::INDIRECT);
            if is_indirect || !gathering.push(descriptor.segment(), is_writable(descriptor), segments) {
                return None;
            }
            if !descriptor.flags().contains(DescriptorFlags::NEXT) {
                return gathering.finish();
            }
            let next = descriptor.next();
            if next >= size || gathering.len() >= usize::from(size) {
                return None;
            }
            descriptor = self.descriptor(next);
        }
    }

    /// Returns a copy of a descriptor. The index is less than the queue's size.
    #[inline(always)]
    fn descriptor(&self, index: u16) -> Descriptor {
        let index = index.into();
        Descriptor::from_words((self.descriptors.read(index, 0), self.descriptors.read(index, 8)))
    }

    #[inline(always)]
    fn pop_slowly<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        self.write_back();
        let looked = self.held.looked || self.queue.end.has_taken_all();
        let popped = self.queue.pop_in_burst(self.held.looked, segments);
        self.held = Held::of(self.queue, looked);
        let Some((readable, count, token)) = popped? else { return Ok(None) };
        let segments = segments.get(..count).unwrap_or_default();
        let (readable, writable) = segments.split_at_checked(readable).unwrap_or_default();
        Ok(Some(Chain { readable, writable, token }))
    }

    /// Stages a used chain, with the number of bytes `written` to it.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::complete`].
    #[inline(always)]
    pub fn complete(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        if self.held.state != State::Running {
            return self.complete_slowly(token, written);
        }
        let completion = self.held.counts.remove(self.queue.slots.parts().1, token, written)?;
        self.stage(completion);
        Ok(())
    }

    /// Returns the record of a chain in flight.
    #[inline(always)]
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        self.queue.record(token)
    }

    #[inline(always)]
    fn complete_slowly(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        self.write_back();
        let completed = self.queue.complete_in_burst(token, written);
        self.held = Held::of(self.queue, self.held.looked);
        completed
    }

    #[inline(always)]
    fn stage(&mut self, Completion { id, written, .. }: Completion) {
        let entry = self.held.staged.into();
        self.used.write(entry, 0, u32::from(id));
        self.used.write(entry, 4, written);
        self.held.staged = self.held.staged.wrapping_add(1);
    }

    /// Takes up to `limit` chains that this burst has found. Passes each chain to `work`, and
    /// stages the chain as used before it takes the next one. Returns the number of chains.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::pop`].
    #[inline(always)]
    pub fn serve(
        &mut self,
        segments: &mut [Segment],
        limit: usize,
        mut work: impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> Result<usize, PopError> {
        let mut served = 0;
        while served < limit {
            let next = self.next().filter(|(head, _)| self.can_pass(*head));
            let passed = match next {
                Some((head, only)) if is_single(only) => {
                    let (segment, nothing) = ([only.segment()], []);
                    let written = if is_writable(only) {
                        work(&nothing, &segment).min(only.segment().len)
                    } else {
                        work(&segment, &nothing);
                        0
                    };
                    Some((head, 1, written))
                }
                Some((head, first)) => self.serve_chain(head, first, segments, &mut work),
                None => None,
            };
            if let Some((head, count, written)) = passed {
                self.held.next = self.held.next.wrapping_add(1);
                self.held.counts.pass(count);
                self.stage(Completion { id: head, count, written, read_only: false });
            } else if !self.serve_slowly(segments, &mut work)? {
                break;
            }
            served += 1;
        }
        Ok(served)
    }

    /// Lets `work` handle a chain of several descriptors. Returns the head, the number of
    /// descriptors and the number of bytes written; `None` if the chain has to be taken by the
    /// plain call.
    #[inline(always)]
    fn serve_chain(
        &self,
        head: u16,
        first: Descriptor,
        segments: &mut [Segment],
        work: &mut impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> Option<(u16, u16, u32)> {
        let chain = self.gather(first, segments)?;
        if !self.held.counts.has_room(chain.count) {
            return None;
        }
        let (readable, writable) = chain.segments(segments);
        Some((head, chain.count, work(readable, writable).min(chain.writable)))
    }

    #[inline(always)]
    fn can_pass(&mut self, head: u16) -> bool {
        self.held.counts.can_pass(self.queue.slots.parts().1, head)
    }

    /// Takes a chain and returns it, by the plain calls. Returns whether there was one.
    #[inline(always)]
    fn serve_slowly(
        &mut self,
        segments: &mut [Segment],
        work: &mut impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> Result<bool, PopError> {
        // As in the fast path, a chain of one segment needs no storage of the caller.
        let mut only = [Segment::default()];
        let segments = if segments.is_empty() { &mut only } else { segments };
        let Some(chain) = self.pop_slowly(segments)? else { return Ok(false) };
        let written = work(chain.readable(), chain.writable());
        let token = chain.into_token();
        let written = written.min(token.writable());
        // The token is fresh, and the bytes are limited.
        let completed = self.complete(token, written);
        debug_assert!(completed.is_ok());
        Ok(true)
    }

    /// Makes all staged chains visible, and ends the burst. Returns whether to notify the driver.
    #[inline(always)]
    pub fn publish(mut self) -> Notify {
        self.write_back();
        let notify = self.queue.publish();
        self.held = Held::of(self.queue, true);
        notify
    }

    /// Makes all staged chains visible to a driver that polls, and ends the burst.
    #[inline(always)]
    pub fn publish_silently(mut self) {
        self.write_back();
        self.queue.publish_silently();
        self.held = Held::of(self.queue, true);
    }

    #[inline(always)]
    fn write_back(&mut self) {
        let Held { staged, next, seen, counts, state, .. } = self.held;
        *self.queue.slots.parts().0 = counts;
        (self.queue.end.staged, self.queue.end.state) = (staged, state);
        if state == State::Running {
            self.queue.end.set_taken(next, seen);
        }
    }
}

/// Returns whether a chain that starts with this descriptor has no other one, and breaks no rule.
#[inline(always)]
const fn is_single(first: Descriptor) -> bool {
    let longer = DescriptorFlags::NEXT.union(DescriptorFlags::INDIRECT);
    !first.flags().intersects(longer) && is_in_range(first.segment())
}

/// Returns whether the device may write the segment of a descriptor.
#[inline(always)]
const fn is_writable(descriptor: Descriptor) -> bool {
    descriptor.flags().contains(DescriptorFlags::WRITE)
}

impl Held {
    #[inline(always)]
    fn of<M: Memory, S: Slots>(queue: &mut DeviceQueue<M, S>, looked: bool) -> Self {
        let counts = *queue.slots.parts().0;
        let (staged, next) = (queue.end.staged, queue.end.next);
        // A burst that is forgotten does not put the state back.
        let state = replace(&mut queue.end.state, State::Broken);
        let seen = if state == State::Running { queue.end.seen() } else { next };
        Self { staged, next, seen, counts, state, looked }
    }
}

impl<M: Memory, S: Slots> Drop for DeviceBurst<'_, M, S> {
    #[inline(always)]
    fn drop(&mut self) {
        self.write_back();
    }
}
