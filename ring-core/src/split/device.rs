//! The device end of a split queue.

// The calls made for each chain are inlined by force. By default the compiler passes their results
// through memory, which takes as long as everything else.

use crate::chain::{Chain, Collector, Contents, Token};
use crate::error::{CompleteError, PopError, SetupError, Violation};
use crate::indirect::Table;
use crate::memory::{Area as _, Load, Memory};
use crate::notify::{Arm, Notify, Request};
use crate::ring::{Role, State};
use crate::segment::Segment;
use crate::setup::Setup;
use crate::slots::device::{Chains, Completion, Slots};

use super::end::End;
use super::layout::{Descriptor, DescriptorFlags, available_slot, used_slot};

/// Takes available buffers from a split queue and returns them used.
///
/// The calls are those of [`crate::DeviceQueue`], which documents them; [`device`](crate::device)
/// explains how they work together.
#[derive(Debug)]
pub struct DeviceQueue<M: Memory, S> {
    pub(super) end: End<M>,
    pub(super) slots: Chains<S>,
}

/// Set-up.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Sets up the device end of a queue that has not run yet.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::new`].
    pub fn new(memory: M, setup: &Setup, slots: S) -> Result<Self, SetupError> {
        let end = End::new(memory, setup, Role::Device)?;
        Ok(Self { slots: Chains::new(slots, end.ring.size)?, end })
    }

    /// Sets the queue up again. All chains in flight are forgotten, and all tokens become stale.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new). After an error the queue is unchanged.
    pub fn reset(&mut self, memory: M, setup: &Setup) -> Result<(), SetupError> {
        let end = End::new(memory, setup, Role::Device)?;
        self.slots.reset(end.ring.size)?;
        self.end = end;
        Ok(())
    }

    /// Changes the memory under the queue. Chains in flight stay in flight.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::remap`].
    pub fn remap(&mut self, memory: M, setup: &Setup) -> Result<(), SetupError> {
        self.end.remap(memory, setup, Role::Device)
    }

    /// Returns the memory that the queue was set up with.
    pub const fn memory(&self) -> &M {
        &self.end.ring.memory
    }
}

/// Taking chains.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Takes the next available chain, if there is one, and copies its segments to `segments`.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::pop`].
    #[inline(always)]
    pub fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        let size = self.end.ring.size.get();
        match self.end.is_pending(size) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(index) => {
                return Err(self.broken(Violation::AvailableIndex { index, next: self.end.next, size }));
            }
        }
        match self.take(segments) {
            Ok(chain) => Ok(Some(chain)),
            Err(PopError::Violation(violation)) => Err(self.broken(violation)),
            Err(too_long) => Err(too_long),
        }
    }

    #[cold]
    fn broken(&mut self, violation: Violation) -> PopError {
        self.end.fail();
        PopError::Violation(violation)
    }

    /// Takes the next available chain.
    #[inline(always)]
    fn take<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Chain<'s>, PopError> {
        let head = self.end.ring.other.read(available_slot(self.end.mask.slot(self.end.next)));
        let first = self.descriptor(head)?;
        let longer = first.flags().intersects(DescriptorFlags::NEXT.union(DescriptorFlags::INDIRECT));
        // Most buffers have one descriptor, so this path is kept short.
        if longer || segments.is_empty() {
            let contents = self.gather(first, segments)?;
            self.accept(head, contents)
        } else {
            let writable = first.flags().contains(DescriptorFlags::WRITE);
            self.accept(head, Contents::one(segments, first.segment(), writable)?)
        }
    }

    /// Records a chain that has been checked.
    #[inline(always)]
    fn accept<'s>(&mut self, head: u16, contents: Contents<'s>) -> Result<Chain<'s>, PopError> {
        let serial = self.slots.insert(head, contents.count, self.end.ring.size)?;
        if self.end.state == State::InOrder {
            self.slots.enqueue(head, self.end.ring.size);
        }
        let start = self.end.next;
        self.end.next = start.wrapping_add(1);
        contents.into_chain(head, serial, start).map_err(|token| {
            self.slots.mark_partial(head);
            PopError::TooLong(token)
        })
    }

    /// Collects the segments of a whole chain.
    #[inline(never)]
    pub(super) fn gather<'s>(
        &self,
        first: Descriptor,
        segments: &'s mut [Segment],
    ) -> Result<Contents<'s>, Violation> {
        let mut collector = Collector::new(segments);
        let count = self.walk(first, &mut collector)?;
        collector.finish(count)
    }

    /// Returns a copy of a descriptor.
    #[inline]
    fn descriptor(&self, index: u16) -> Result<Descriptor, Violation> {
        let size = self.end.ring.size.get();
        if index >= size {
            return Err(Violation::DescriptorIndex { index, size: size.into() });
        }
        let (area, offset) = (&self.end.ring.descriptor, Descriptor::offset(index));
        Ok(Descriptor::from_words(area.read_pair(offset)))
    }

    /// Follows a chain in the descriptor area. Returns how many descriptors of the area the chain
    /// takes up.
    fn walk(&self, first: Descriptor, collector: &mut Collector<'_>) -> Result<u16, Violation> {
        let size = self.end.ring.size.get();
        let (mut descriptor, mut count) = (first, 1);
        loop {
            let (segment, flags) = (descriptor.segment(), descriptor.flags());
            if flags.contains(DescriptorFlags::INDIRECT) {
                if flags.contains(DescriptorFlags::NEXT) {
                    return Err(Violation::IndirectChained);
                }
                self.walk_table(segment, collector)?;
                return Ok(count);
            }
            collector.push(segment, flags.contains(DescriptorFlags::WRITE))?;
            if !flags.contains(DescriptorFlags::NEXT) {
                return Ok(count);
            }
            if count == size {
                return Err(Violation::ChainLoop { size: size.into() });
            }
            count += 1;
            descriptor = self.descriptor(descriptor.next())?;
        }
    }

    /// Follows the chain in an indirect table, which starts with the first descriptor of the table.
    fn walk_table(&self, table: Segment, collector: &mut Collector<'_>) -> Result<(), Violation> {
        if !self.end.ring.indirect {
            return Err(Violation::IndirectNotNegotiated);
        }
        let mut table = Table::new(&self.end.ring.memory, table.address, table.len)?;
        let mut index = 0;
        for _ in 0..table.len() {
            if u32::from(index) >= table.len() {
                return Err(Violation::DescriptorIndex { index, size: table.len() });
            }
            let descriptor = Descriptor::from_words(table.get(index.into())?);
            let flags = descriptor.flags();
            if flags.contains(DescriptorFlags::INDIRECT) {
                return Err(Violation::IndirectNested);
            }
            collector.push(descriptor.segment(), flags.contains(DescriptorFlags::WRITE))?;
            // A table may be longer than the storage. Segments that cannot be kept are not read.
            if !flags.contains(DescriptorFlags::NEXT) || collector.overflowed() {
                return Ok(());
            }
            index = descriptor.next();
        }
        Err(Violation::ChainLoop { size: table.len() })
    }

    /// Puts the chain that was taken last back into the queue; the next [`pop`](Self::pop) takes it
    /// again.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::unpop`].
    pub fn unpop(&mut self, token: Token) -> Result<(), CompleteError> {
        if self.end.state == State::Suspended {
            return Err(CompleteError::Suspended(token));
        }
        let start = token.start;
        self.slots.undo_insert(token, self.end.ring.size)?;
        self.end.set_next(start);
        Ok(())
    }

    /// Asks the driver to notify when it makes the next buffer available. Returns whether it is
    /// safe to sleep.
    #[inline]
    pub fn arm(&mut self) -> Arm {
        self.end.arm(0, Request::Next)
    }

    /// Asks the driver to notify when it has made `count` more buffers available.
    #[inline]
    pub fn arm_after(&mut self, count: u16) -> Arm {
        let delay = count.clamp(1, self.end.ring.size.get()) - 1;
        self.end.arm(delay, Request::Next)
    }

    /// Asks the driver to notify of every buffer.
    pub fn arm_always(&mut self) -> Arm {
        self.end.arm(0, Request::Always)
    }

    /// Withdraws the request to be notified.
    pub fn disarm(&mut self) {
        self.end.disarm();
    }

    /// Returns whether there is a buffer to take, and takes nothing.
    pub fn pending(&self) -> bool {
        self.end.has_pending(Load::Relaxed)
    }
}

/// Returning chains.
impl<M: Memory, S: Slots> DeviceQueue<M, S> {
    /// Stages a used chain, with the number of bytes `written` to it.
    ///
    /// # Errors
    ///
    /// The errors of [`crate::DeviceQueue::complete`].
    #[inline(always)]
    pub fn complete(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        if self.end.state != State::Running {
            return self.complete_slow(token, written);
        }
        let completion = self.slots.remove(token, written)?;
        self.stage(completion);
        Ok(())
    }

    /// The slow path of [`complete`](Self::complete): the queue is in order, or does not run.
    #[inline(never)]
    fn complete_slow(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        match self.end.state {
            State::Suspended => return Err(CompleteError::Suspended(token)),
            State::Broken => return self.slots.remove(token, written).map(drop),
            State::Draining if self.end.ring.running == State::Running => {
                let completion = self.slots.remove(token, written)?;
                self.stage(completion);
                return Ok(());
            }
            State::Running | State::InOrder | State::Draining => self.slots.hold(token, written)?,
        }
        // VIRTIO 1.4, 2.7.9 "In-order use of descriptors" allows one entry for a batch. Each buffer
        // gets an entry of its own nevertheless, because DPDK's driver reads the length in every
        // entry.
        while let Some(completion) = self.slots.next_in_order(self.end.ring.size) {
            self.stage(completion);
        }
        Ok(())
    }

    /// Writes the next used entry.
    #[inline(always)]
    fn stage(&mut self, completion: Completion) {
        let entry = self.end.staged;
        self.end.staged = entry.wrapping_add(1);
        let slot = used_slot(self.end.mask.slot(entry));
        self.end.ring.own.write_pair(slot, (u32::from(completion.id), completion.written));
    }

    /// Lets a queue that a violation has stopped return the chains that it holds.
    pub fn drain(&mut self) {
        if self.end.state == State::Broken {
            self.end.state = State::Draining;
        }
    }

    /// Makes all staged chains visible. Returns whether to notify the driver.
    #[inline]
    pub fn publish(&mut self) -> Notify {
        self.publish_silently();
        self.end.decide()
    }

    /// Makes all staged chains visible to a driver that polls.
    #[inline]
    pub fn publish_silently(&mut self) {
        if self.end.publish() {
            self.slots.publish();
        }
    }
}
