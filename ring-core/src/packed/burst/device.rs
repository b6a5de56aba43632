//! A burst at the device end of a packed queue.

use crate::chain::{Chain, ChainRecord, Token};
use crate::chain_bounds::is_in_range;
use crate::error::{CompleteError, PopError};
use crate::gathering::Gathered;
use crate::memory::Memory;
use crate::notify::Notify;
use crate::packed::DeviceQueue;
use crate::packed::layout::{Control, DescriptorFlags};
use crate::ring::State;
use crate::segment::Segment;
use crate::serving::serve_popped;
use crate::slots::device::{Completion, Slots};

use super::gather::{gather, gather_table, is_writable};
use super::staging::Staging;
use super::taking::Taking;
use super::word;

/// A burst at the device end of a packed queue.
///
/// The calls are those of [`crate::burst::DeviceBurst`], which documents them.
#[must_use = "a burst that is dropped returns nothing: end it with `publish`"]
#[expect(missing_debug_implementations, reason = "a burst borrows its queue, which has `Debug`")]
pub struct DeviceBurst<'q, M: Memory, S: Slots> {
    queue: &'q mut DeviceQueue<M, S>,
    staging: Staging<M>,
    taking: Taking<M>,
}

/// Bursts.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Starts a burst.
    #[inline(always)]
    pub fn burst(&mut self) -> DeviceBurst<'_, M, S> {
        self.end.begin_burst();
        let staging = Staging::of(&self.end, DescriptorFlags::used);
        let taking = Taking::of(&self.end, DescriptorFlags::available);
        DeviceBurst { queue: self, staging, taking }
    }
}

impl<M: Memory, S: Slots> DeviceBurst<'_, M, S> {
    /// Takes the next available chain, and copies its segments to `segments`.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::pop`].
    #[inline(always)]
    pub fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        if self.taking.is_slow() {
            return self.pop_slowly(segments);
        }
        let Some(control) = self.taking.found() else { return Ok(None) };
        let first = Control::from_word(control);
        if let Some(only) = self.single(first).filter(|_| !segments.is_empty()) {
            return match self.insert(first.id, 1, self.taking.bits()) {
                Some(taken) => {
                    self.taking.advance(1);
                    let writable = if is_writable(first) { only.len } else { 0 };
                    Ok(Some(Chain::single(segments, only, is_writable(first), taken(writable))))
                }
                None => self.pop_slowly(segments),
            };
        }
        let start = self.taking.bits();
        let gathered = self.gather(first, segments);
        let taken = gathered.and_then(|(id, count, chain)| Some((self.insert(id, count, start)?, chain)));
        let Some((taken, chain)) = taken else {
            self.taking.return_to(start, self.queue.end.ring.size);
            return self.pop_slowly(segments);
        };
        let (readable, writable) = chain.segments(segments);
        Ok(Some(Chain { readable, writable, token: taken(chain.writable) }))
    }

    /// Returns the segment of a chain that has no other one and breaks no rule.
    #[inline(always)]
    fn single(&self, first: Control) -> Option<Segment> {
        if first.flags.intersects(DescriptorFlags::NEXT.union(DescriptorFlags::INDIRECT)) {
            return None;
        }
        let only = Segment::new(self.taking.address(), first.len);
        if is_in_range(only) { Some(only) } else { None }
    }

    /// Records a chain. Returns its token, given the number of writable bytes; `None` if the chain
    /// cannot be in flight.
    #[inline(always)]
    fn insert(&mut self, id: u16, count: u16, start: u16) -> Option<impl FnOnce(u32) -> Token + use<M, S>> {
        if id >= self.queue.end.ring.size.get() {
            return None;
        }
        let (counts, slots) = self.queue.slots.parts();
        let serial = counts.insert(slots, id, count)?;
        Some(move |writable| Token { serial, start, id, writable })
    }

    /// Collects the segments of a chain, and moves behind the chain. Also returns the chain's id,
    /// and the number of descriptors that the chain takes up. Returns `None` if the chain breaks a
    /// rule, or does not fit the storage; the position is then undefined.
    #[inline(always)]
    fn gather(&mut self, first: Control, segments: &mut [Segment]) -> Option<(u16, u16, Gathered)> {
        let ring = &self.queue.end.ring;
        if !first.flags.contains(DescriptorFlags::INDIRECT) {
            let (id, chain) = gather(&mut self.taking, first, segments, ring.size.get().into())?;
            return Some((id, chain.total, chain));
        }
        if first.flags.contains(DescriptorFlags::NEXT) || !ring.indirect {
            return None;
        }
        let table = Segment::new(self.taking.address(), first.len);
        let chain = gather_table(&ring.memory, table, segments).map(Gathered::from_word);
        let chain = chain.or_else(|| self.queue.gather_in_burst(table, segments))?;
        self.taking.advance(1);
        Some((first.id, 1, chain))
    }

    #[inline(always)]
    fn pop_slowly<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        self.taking.write_back(&mut self.queue.end);
        let popped = self.queue.pop_in_burst(segments);
        self.taking.read(&self.queue.end, DescriptorFlags::available);
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
        if self.queue.end.burst_state != State::Running {
            return self.complete_slowly(token, written);
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
    fn complete_slowly(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        self.staging.write_back(&mut self.queue.end);
        let completed = self.queue.complete_in_burst(token.into_words(), written);
        self.staging.read(&self.queue.end, DescriptorFlags::used);
        completed
    }

    #[inline(always)]
    fn stage(&mut self, Completion { id, count, written, .. }: Completion) {
        let write = if written == 0 { DescriptorFlags::empty() } else { DescriptorFlags::WRITE };
        let control = u64::from(written) | u64::from(id) << 32 | word(write);
        self.staging.put(&mut self.queue.end, control, count);
    }

    /// Takes up to `limit` chains. Passes each chain to `work`, and stages the chain as used before
    /// it takes the next one. Returns the number of chains.
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
            let passed = if self.taking.is_slow() {
                false
            } else {
                let Some(control) = self.taking.found() else { break };
                self.pass(Control::from_word(control), segments, &mut work)
            };
            if !passed && !self.serve_slowly(segments, &mut work)? {
                break;
            }
            served += 1;
        }
        Ok(served)
    }

    /// Lets `work` handle the next chain, and stages it. Returns `false` if the chain has to be
    /// taken by the plain call.
    #[inline(always)]
    fn pass(
        &mut self,
        first: Control,
        segments: &mut [Segment],
        work: &mut impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> bool {
        let Some(only) = self.single(first) else { return self.pass_chain(first, segments, work) };
        if !self.can_pass(first.id) {
            return false;
        }
        let (segment, nothing) = ([only], []);
        let written = if is_writable(first) {
            work(&nothing, &segment).min(only.len)
        } else {
            work(&segment, &nothing);
            0
        };
        self.taking.advance(1);
        self.queue.slots.parts().0.pass(1);
        self.stage(Completion { id: first.id, count: 1, written, read_only: false });
        true
    }

    /// Does the same as [`pass`](Self::pass) with a chain that is not known to have one descriptor.
    #[inline(always)]
    fn pass_chain(
        &mut self,
        first: Control,
        segments: &mut [Segment],
        work: &mut impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> bool {
        let start = self.taking.bits();
        let gathered = self.gather(first, segments);
        let passed = gathered.filter(|&(id, count, _)| self.can_pass(id) && self.queue.slots.has_room(count));
        let Some((id, count, chain)) = passed else {
            self.taking.return_to(start, self.queue.end.ring.size);
            return false;
        };
        // If `work` panics, the chain stays in flight: the position is behind the chain.
        self.queue.slots.parts().0.take(count);
        let (readable, writable) = chain.segments(segments);
        let written = work(readable, writable).min(chain.writable);
        self.queue.slots.parts().0.stage(count);
        self.stage(Completion { id, count, written, read_only: false });
        true
    }

    #[inline(always)]
    fn can_pass(&self, id: u16) -> bool {
        id < self.queue.end.ring.size.get() && self.queue.slots.can_pass(id)
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
    pub fn publish(mut self) -> Notify {
        self.write_back();
        let notify = self.queue.publish();
        self.read_again();
        notify
    }

    /// Makes all staged chains visible to a driver that polls, and ends the burst.
    #[inline(always)]
    pub fn publish_silently(mut self) {
        self.write_back();
        self.queue.publish_silently();
        self.read_again();
    }

    #[inline(always)]
    fn write_back(&mut self) {
        self.staging.write_back(&mut self.queue.end);
        self.taking.write_back(&mut self.queue.end);
        self.queue.end.end_burst();
    }

    #[inline(always)]
    fn read_again(&mut self) {
        self.queue.end.begin_burst();
        self.staging.read(&self.queue.end, DescriptorFlags::used);
        self.taking.read(&self.queue.end, DescriptorFlags::available);
    }
}

impl<M: Memory, S: Slots> Drop for DeviceBurst<'_, M, S> {
    #[inline(always)]
    fn drop(&mut self) {
        self.write_back();
    }
}
