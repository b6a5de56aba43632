//! A burst at the device end of a split queue.

use crate::chain::{Chain, ChainRecord, Token};
use crate::chain_bounds::is_in_range;
use crate::error::{CompleteError, PopError};
use crate::gathering::Gathered;
use crate::memory::{Area as _, Memory, Rings as _, Table as _};
use crate::notify::Notify;
use crate::ring::State;
use crate::segment::Segment;
use crate::serving::serve_popped;
use crate::slots::device::{Completion, Slots};
use crate::split::DeviceQueue;
use crate::split::layout::{Descriptor, DescriptorFlags};

use super::RingsOf;
use super::gather::{gather, gather_table, is_writable};

/// A burst at the device end of a split queue.
///
/// The calls are those of [`crate::burst::DeviceBurst`], which documents them.
#[must_use = "a burst that is dropped returns nothing: end it with `publish`"]
#[expect(missing_debug_implementations, reason = "a burst borrows its queue, which has `Debug`")]
pub struct DeviceBurst<'q, M: Memory, S: Slots> {
    queue: &'q mut DeviceQueue<M, S>,
    rings: RingsOf<M>,
    /// The end of the entries to take. Equal to the next entry if the plain call has to be made.
    found: u16,
}

/// Bursts.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Starts a burst.
    #[inline(always)]
    pub fn burst(&mut self) -> DeviceBurst<'_, M, S> {
        let ring = &self.end.ring;
        let rings = M::Area::rings([&ring.descriptor, &ring.other, &ring.own], ring.size.get());
        self.end.forget_look();
        let found = self.end.found();
        DeviceBurst { queue: self, rings, found }
    }
}

impl<M: Memory, S: Slots> DeviceBurst<'_, M, S> {
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
        let taken = gathered.and_then(|(count, chain)| Some((self.insert(head, count)?, chain)));
        let Some((taken, chain)) = taken else { return self.pop_slowly(segments) };
        let (readable, writable) = chain.segments(segments);
        Ok(Some(Chain { readable, writable, token: taken(chain.writable) }))
    }

    /// Records a chain. Returns its token, given the number of writable bytes; `None` if the chain
    /// cannot be in flight.
    #[inline(always)]
    fn insert(&mut self, head: u16, count: u16) -> Option<impl FnOnce(u32) -> Token + use<M, S>> {
        let (counts, slots) = self.queue.slots.parts();
        let serial = counts.insert(slots, head, count)?;
        let start = self.queue.end.next;
        self.queue.end.next = start.wrapping_add(1);
        Some(move |writable| Token { serial, start, id: head, writable })
    }

    /// Returns the head of the next chain and its first descriptor, if the head exists.
    #[inline(always)]
    fn next(&self) -> Option<(u16, Descriptor)> {
        let next = self.queue.end.next;
        if next == self.found {
            return None;
        }
        let head = self.rings.available(next.into());
        Some((head, self.descriptor(head)?))
    }

    /// Collects the segments of a chain; `None` if the chain breaks a rule, or does not fit the
    /// storage. Returns also the number of descriptors that the chain takes up in the ring.
    #[inline(always)]
    fn gather(&self, first: Descriptor, segments: &mut [Segment]) -> Option<(u16, Gathered)> {
        let ring = &self.queue.end.ring;
        if first.flags().contains(DescriptorFlags::INDIRECT) {
            if first.flags().contains(DescriptorFlags::NEXT) || !ring.indirect {
                return None;
            }
            let chain = gather_table(&ring.memory, first.segment(), segments).map(Gathered::from_word);
            return Some((1, chain.or_else(|| self.queue.gather_in_burst(first, segments))?));
        }
        let size = ring.size.get();
        let chain = gather(self.rings.table(), first, segments, size.into())?;
        Some((chain.total, chain))
    }

    /// Returns a copy of a descriptor, if it exists.
    #[inline(always)]
    fn descriptor(&self, index: u16) -> Option<Descriptor> {
        self.rings.table().get(index.into()).map(Descriptor::from_words)
    }

    #[inline(always)]
    fn pop_slowly<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        let popped = self.queue.pop_in_burst(segments);
        self.found = self.queue.end.found();
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
        if self.queue.end.state != State::Running {
            return self.queue.complete_in_burst(token.into_words(), written);
        }
        let (counts, slots) = self.queue.slots.parts();
        let completion = counts.remove(slots, token, written)?;
        self.stage(completion);
        Ok(())
    }

    /// Returns the record of a chain in flight.
    #[inline(always)]
    pub fn record(&self, token: &Token) -> Option<ChainRecord> {
        self.queue.record(token)
    }

    #[inline(always)]
    fn stage(&mut self, Completion { id, written, .. }: Completion) {
        let entry = self.queue.end.staged;
        self.rings.set_used(entry.into(), (id.into(), written));
        self.queue.end.staged = entry.wrapping_add(1);
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
            if let Some(completion) = self.pass(segments, &mut work) {
                self.queue.end.next = self.queue.end.next.wrapping_add(1);
                self.queue.slots.parts().0.pass(completion.count);
                self.stage(completion);
            } else if !self.serve_slowly(segments, &mut work)? {
                break;
            }
            served += 1;
        }
        Ok(served)
    }

    /// Lets `work` handle the next chain. Returns `None` if the chain has to be taken by the plain
    /// call.
    #[inline(always)]
    fn pass(
        &mut self,
        segments: &mut [Segment],
        work: &mut impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> Option<Completion> {
        let (head, first) = self.next()?;
        if !self.queue.slots.can_pass(head) {
            return None;
        }
        if !is_single(first) {
            return self.pass_chain(head, first, segments, work);
        }
        let (only, nothing) = ([first.segment()], []);
        let written = if is_writable(first) {
            work(&nothing, &only).min(first.segment().len)
        } else {
            work(&only, &nothing);
            0
        };
        Some(Completion { id: head, count: 1, written, read_only: false })
    }

    /// Does the same as [`pass`](Self::pass) with a chain that is not known to have one descriptor.
    #[inline(always)]
    fn pass_chain(
        &mut self,
        head: u16,
        first: Descriptor,
        segments: &mut [Segment],
        work: &mut impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> Option<Completion> {
        let (count, chain) = self.gather(first, segments)?;
        if !self.queue.slots.has_room(count) {
            return None;
        }
        let (readable, writable) = chain.segments(segments);
        let written = work(readable, writable).min(chain.writable);
        Some(Completion { id: head, count, written, read_only: false })
    }

    /// Takes a chain and returns it, by the plain calls. Returns whether there was one.
    #[inline(always)]
    fn serve_slowly(
        &mut self,
        segments: &mut [Segment],
        work: &mut impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> Result<bool, PopError> {
        let popped = serve_popped(segments, work, |segments| self.pop_slowly(segments))?;
        let Some((token, written)) = popped else { return Ok(false) };
        // The token is fresh, and the bytes are limited.
        let completed = self.complete(token, written);
        debug_assert!(completed.is_ok());
        Ok(true)
    }

    /// Makes all staged chains visible, and ends the burst. Returns whether to notify the driver.
    #[inline(always)]
    pub fn publish(self) -> Notify {
        self.queue.publish()
    }

    /// Makes all staged chains visible to a driver that polls, and ends the burst.
    #[inline(always)]
    pub fn publish_silently(self) {
        self.queue.publish_silently();
    }
}

/// Returns whether a chain that starts with this descriptor has no other one, and breaks no rule.
#[inline(always)]
const fn is_single(first: Descriptor) -> bool {
    let longer = DescriptorFlags::NEXT.union(DescriptorFlags::INDIRECT);
    !first.flags().intersects(longer) && is_in_range(first.segment())
}
