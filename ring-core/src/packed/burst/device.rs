//! A burst at the device end of a packed queue.

use core::mem::replace;

use crate::chain::{Chain, ChainRecord, Gathered, Gathering, Token, is_in_range};
use crate::error::{CompleteError, PopError};
use crate::memory::Memory;
use crate::notify::Notify;
use crate::packed::DeviceQueue;
use crate::packed::layout::{Control, DescriptorFlags};
use crate::ring::State;
use crate::segment::Segment;
use crate::slots::device::{Completion, Counts, Slots};

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
    counts: Counts,
    /// The state of the queue, which is broken until the burst ends. Only the plain calls are made
    /// unless it is [`State::Running`].
    state: State,
}

/// Bursts.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Starts a burst.
    #[inline(always)]
    pub fn burst(&mut self) -> DeviceBurst<'_, M, S> {
        let (staging, taking, counts, state) = values(self);
        DeviceBurst { queue: self, staging, taking, counts, state }
    }
}

/// Returns what a burst holds by value.
#[inline(always)]
fn values<M: Memory, S: Slots>(queue: &mut DeviceQueue<M, S>) -> (Staging<M>, Taking<M>, Counts, State) {
    let counts = *queue.slots.parts().0;
    let staging = Staging::of(&queue.end, DescriptorFlags::used);
    let taking = Taking::of(&queue.end, DescriptorFlags::available);
    // A burst that is forgotten does not put the state back.
    (staging, taking, counts, replace(&mut queue.end.state, State::Broken))
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
            return match self.insert(first.id, 1) {
                Some(taken) => {
                    let writable = if is_writable(first) { only.len } else { 0 };
                    Ok(Some(Chain::single(segments, only, is_writable(first), taken(writable))))
                }
                None => self.pop_slowly(segments),
            };
        }
        let gathered = self.gather(first, segments);
        let taken = gathered.and_then(|(id, chain)| Some((self.insert(id, chain.count)?, chain)));
        let Some((taken, chain)) = taken else { return self.pop_slowly(segments) };
        let (readable, writable) = chain.segments(segments);
        Ok(Some(Chain { readable, writable, token: taken(chain.writable) }))
    }

    /// Returns the segment of a chain that has no other one and breaks no rule.
    #[inline(always)]
    fn single(&self, first: Control) -> Option<Segment> {
        let longer = first.flags.intersects(DescriptorFlags::NEXT.union(DescriptorFlags::INDIRECT));
        let only = Segment::new(self.taking.address(), first.len);
        (!longer && is_in_range(only)).then_some(only)
    }

    /// Records a chain. Returns its token, given the number of writable bytes; `None` if the chain
    /// cannot be in flight.
    #[inline(always)]
    fn insert(&mut self, id: u16, count: u16) -> Option<impl FnOnce(u32) -> Token + use<M, S>> {
        if id >= self.queue.end.ring.size.get() {
            return None;
        }
        let serial = self.counts.insert(self.queue.slots.parts().1, id, count)?;
        let start = self.taking.bits();
        self.taking.advance(count);
        Some(move |writable| Token { serial, start, id, writable })
    }

    /// Collects the segments of a chain; `None` if the chain breaks a rule, or does not fit the
    /// storage. Also returns the chain's id.
    #[inline(always)]
    fn gather(&mut self, first: Control, segments: &mut [Segment]) -> Option<(u16, Gathered)> {
        if first.flags.contains(DescriptorFlags::INDIRECT) {
            self.taking.write_back(&mut self.queue.end);
            return self.queue.gather_in_burst(first, segments);
        }
        let size = self.queue.end.ring.size.get();
        let (mut gathering, mut descriptor, mut ahead) = (Gathering::default(), first, 0);
        let id = loop {
            let segment = Segment::new(self.taking.address(), descriptor.len);
            let is_indirect = descriptor.flags.contains(DescriptorFlags::INDIRECT);
            if is_indirect || !gathering.push(segment, is_writable(descriptor), segments) {
                break None;
            }
            if !descriptor.flags.contains(DescriptorFlags::NEXT) {
                break Some(descriptor.id);
            }
            if ahead + 1 == size {
                break None;
            }
            self.taking.advance(1);
            ahead += 1;
            let Some(control) = self.taking.following() else { break None };
            descriptor = Control::from_word(control);
        };
        self.taking.rewind(ahead, size);
        Some((id?, gathering.finish()?))
    }

    #[inline(always)]
    fn pop_slowly<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        self.write_back();
        let popped = self.queue.pop_in_burst(segments);
        self.read_again();
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
        if self.state != State::Running {
            return self.complete_slowly(token, written);
        }
        let completion = self.counts.remove(self.queue.slots.parts().1, token, written)?;
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
        self.read_again();
        completed
    }

    #[inline(always)]
    fn stage(&mut self, Completion { id, count, written, .. }: Completion) {
        let write = if written == 0 { DescriptorFlags::empty() } else { DescriptorFlags::WRITE };
        self.staging.put(u64::from(written) | u64::from(id) << 32 | word(write), count);
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
                None
            } else {
                let Some(control) = self.taking.found() else { break };
                self.pass(Control::from_word(control), segments, &mut work)
            };
            if let Some((id, count, written)) = passed {
                self.taking.advance(count);
                self.counts.pass(count);
                self.stage(Completion { id, count, written, read_only: false });
            } else if !self.serve_slowly(segments, &mut work)? {
                break;
            }
            served += 1;
        }
        Ok(served)
    }

    /// Lets `work` handle the next chain. Returns its id, the number of descriptors, and the number
    /// of bytes written; `None` if the chain has to be taken by the plain call.
    #[inline(always)]
    fn pass(
        &mut self,
        first: Control,
        segments: &mut [Segment],
        work: &mut impl FnMut(&[Segment], &[Segment]) -> u32,
    ) -> Option<(u16, u16, u32)> {
        let Some(only) = self.single(first) else {
            let (id, chain) = self.gather(first, segments)?;
            if !self.can_pass(id) || !self.counts.has_room(chain.count) {
                return None;
            }
            let (readable, writable) = chain.segments(segments);
            return Some((id, chain.count, work(readable, writable).min(chain.writable)));
        };
        if !self.can_pass(first.id) {
            return None;
        }
        let (segment, nothing) = ([only], []);
        let written = if is_writable(first) {
            work(&nothing, &segment).min(only.len)
        } else {
            work(&segment, &nothing);
            0
        };
        Some((first.id, 1, written))
    }

    #[inline(always)]
    fn can_pass(&mut self, id: u16) -> bool {
        id < self.queue.end.ring.size.get() && self.counts.can_pass(self.queue.slots.parts().1, id)
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
        *self.queue.slots.parts().0 = self.counts;
        self.queue.end.state = self.state;
        self.staging.write_back(&mut self.queue.end);
        self.taking.write_back(&mut self.queue.end);
    }

    #[inline(always)]
    fn read_again(&mut self) {
        (self.staging, self.taking, self.counts, self.state) = values(self.queue);
    }
}

/// Returns whether the device may write the segment of a descriptor.
#[inline(always)]
const fn is_writable(descriptor: Control) -> bool {
    descriptor.flags.contains(DescriptorFlags::WRITE)
}

impl<M: Memory, S: Slots> Drop for DeviceBurst<'_, M, S> {
    #[inline(always)]
    fn drop(&mut self) {
        self.write_back();
    }
}
