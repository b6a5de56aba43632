//! The device end of a packed queue.

// The calls made for each chain are inlined by force. By default the compiler passes their results
// through memory, which takes as long as everything else.

use crate::chain::{Chain, Collector, Contents, Token};
use crate::error::{CompleteError, PopError, SetupError, Violation};
use crate::index::Cursor;
use crate::indirect::Table;
use crate::memory::{Area as _, Load, Memory};
use crate::notify::{Arm, Notify, Request};
use crate::ring::{Role, State};
use crate::segment::Segment;
use crate::setup::Setup;
use crate::slots::device::{Chains, Completion, Slots};

use super::end::End;
use super::layout::{Control, DescriptorFlags, address, control};

/// Takes available buffers from a packed queue and returns them used.
///
/// The calls are those of [`crate::DeviceQueue`], which documents them; [`device`](crate::device)
/// explains how they work together.
#[derive(Debug)]
pub struct DeviceQueue<M: Memory, S> {
    pub(super) end: End<M>,
    pub(super) slots: Chains<S>,
    /// In an in-order queue, the staged used descriptor that the next used buffer may overwrite.
    pub(super) batch: Option<Cursor>,
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
        Ok(Self { slots: Chains::new(slots, end.ring.size)?, end, batch: None })
    }

    /// Sets the queue up again. All chains in flight are forgotten, and all tokens become stale.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new). After an error the queue is unchanged.
    pub fn reset(&mut self, memory: M, setup: &Setup) -> Result<(), SetupError> {
        let end = End::new(memory, setup, Role::Device)?;
        self.slots.reset(end.ring.size)?;
        (self.end, self.batch) = (end, None);
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
        let Some(head) = self.end.peek(DescriptorFlags::available) else { return Ok(None) };
        match self.take(head, segments) {
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
    fn take<'s>(&mut self, head: Control, segments: &'s mut [Segment]) -> Result<Chain<'s>, PopError> {
        let longer = head.flags.intersects(DescriptorFlags::NEXT.union(DescriptorFlags::INDIRECT));
        // Most buffers have one descriptor, so this path is kept short.
        if longer || segments.is_empty() {
            let (id, contents) = self.gather(head, segments)?;
            self.accept(id, contents)
        } else {
            let address = self.end.ring.descriptor.read(address(self.end.next.slot()));
            let writable = head.flags.contains(DescriptorFlags::WRITE);
            self.accept(head.id, Contents::one(segments, Segment::new(address, head.len), writable)?)
        }
    }

    /// Records a chain that has been checked.
    #[inline(always)]
    fn accept<'s>(&mut self, id: u16, contents: Contents<'s>) -> Result<Chain<'s>, PopError> {
        let size = self.end.ring.size;
        if id >= size.get() {
            return Err(Violation::BufferId { id: id.into(), size: size.get() }.into());
        }
        let serial = self.slots.insert(id, contents.count, size)?;
        if self.end.state == State::InOrder {
            self.slots.enqueue(id, size);
        }
        let start = self.end.next;
        self.end.next = start.advance(contents.count, size);
        contents.into_chain(id, serial, start.bits()).map_err(|token| {
            self.slots.mark_partial(id);
            PopError::TooLong(token)
        })
    }

    /// Collects the segments of a whole chain. Also returns the chain's id, which is in the chain's
    /// last descriptor.
    #[inline(never)]
    fn gather<'s>(
        &self,
        head: Control,
        segments: &'s mut [Segment],
    ) -> Result<(u16, Contents<'s>), Violation> {
        let mut collector = Collector::new(segments);
        let (id, count) = self.walk(head, &mut collector)?;
        Ok((id, collector.finish(count)?))
    }

    /// Follows a chain through the ring. Returns the chain's id, and the number of descriptors that
    /// the chain takes up.
    fn walk(&self, head: Control, collector: &mut Collector<'_>) -> Result<(u16, u16), Violation> {
        let size = self.end.ring.size.get();
        let (mut cursor, mut descriptor, mut count) = (self.end.next, head, 1);
        loop {
            let Control { len, id, flags } = descriptor;
            if !flags.is_turn(DescriptorFlags::available(cursor)) {
                return Err(Violation::NotAvailable { slot: cursor.slot() });
            }
            let segment = Segment::new(self.end.ring.descriptor.read(address(cursor.slot())), len);
            if flags.contains(DescriptorFlags::INDIRECT) {
                if count > 1 || flags.contains(DescriptorFlags::NEXT) {
                    return Err(Violation::IndirectChained);
                }
                self.walk_table(segment, collector)?;
                return Ok((id, count));
            }
            collector.push(segment, flags.contains(DescriptorFlags::WRITE))?;
            if !flags.contains(DescriptorFlags::NEXT) {
                return Ok((id, count));
            }
            if count == size {
                return Err(Violation::ChainLoop { size: size.into() });
            }
            count += 1;
            cursor = cursor.advance(1, self.end.ring.size);
            // Relaxed: the head's flags were loaded with Acquire and published the whole chain.
            descriptor =
                Control::from_word(self.end.ring.descriptor.load(control(cursor.slot()), Load::Relaxed));
        }
    }

    /// Reads all descriptors of an indirect table. The whole table is the chain: ids, and flags
    /// other than `WRITE`, are reserved and ignored (VIRTIO 1.4, 2.8.7 "Indirect Flag:
    /// Scatter-Gather Support").
    pub(super) fn walk_table(&self, table: Segment, collector: &mut Collector<'_>) -> Result<(), Violation> {
        if !self.end.ring.indirect {
            return Err(Violation::IndirectNotNegotiated);
        }
        let mut table = Table::new(&self.end.ring.memory, table.address, table.len)?;
        for index in 0..table.len() {
            let (address, word) = table.get(index)?;
            let Control { len, flags, .. } = Control::from_word(word);
            collector.push(Segment::new(address, len), flags.contains(DescriptorFlags::WRITE))?;
            // A table may be longer than the storage. Segments that cannot be kept are not read.
            if collector.overflowed() {
                break;
            }
        }
        Ok(())
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
        let size = self.end.ring.size;
        let start = Cursor::from_bits(token.start, size);
        self.slots.undo_insert(token, size)?;
        // The token belongs to this queue, so its start was a cursor of this queue.
        self.end.next = start.unwrap_or(self.end.next);
        Ok(())
    }

    /// Asks the driver to notify when it makes the next buffer available. Returns whether it is
    /// safe to sleep.
    #[inline]
    pub fn arm(&mut self) -> Arm {
        self.end.arm(DescriptorFlags::available, 0, Request::Next)
    }

    /// Asks the driver to notify when it has made `count` more buffers available.
    #[inline]
    pub fn arm_after(&mut self, count: u16) -> Arm {
        let delay = count.clamp(1, self.end.ring.size.get()) - 1;
        self.end.arm(DescriptorFlags::available, delay, Request::Next)
    }

    /// Asks the driver to notify of every buffer.
    pub fn arm_always(&mut self) -> Arm {
        self.end.arm(DescriptorFlags::available, 0, Request::Always)
    }

    /// Withdraws the request to be notified.
    pub fn disarm(&mut self) {
        self.end.disarm();
    }

    /// Returns whether there is a buffer to take, and takes nothing.
    pub fn pending(&self) -> bool {
        self.end.has_pending(DescriptorFlags::available)
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
        self.stage(self.end.staged, completion);
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
                self.stage(self.end.staged, completion);
                return Ok(());
            }
            State::Running | State::InOrder | State::Draining => self.slots.hold(token, written)?,
        }
        while let Some(completion) = self.slots.next_in_order(self.end.ring.size) {
            let at = self.batch.unwrap_or(self.end.staged);
            self.stage(at, completion);
            // Only the descriptor of a buffer without writable bytes can be overwritten: DPDK's
            // driver waits for a used descriptor for each buffer that it receives into. And a
            // descriptor that is marked used must not change any more (VIRTIO 1.4, 2.8.15 "Device
            // Requirements: The Virtqueue Descriptor Table"), so only the descriptor that is kept
            // back can be overwritten.
            let kept_back = at == self.end.published;
            self.batch = (kept_back && completion.read_only).then_some(at);
        }
        Ok(())
    }

    /// Writes the used descriptor at `at`, for the chain that is staged next.
    #[inline(always)]
    fn stage(&mut self, at: Cursor, completion: Completion) {
        let Completion { id, count, written, .. } = completion;
        let write = if written == 0 { DescriptorFlags::empty() } else { DescriptorFlags::WRITE };
        let flags = DescriptorFlags::used(at).union(write);
        self.end.put(at, Control { len: written, id, flags });
        self.end.stage(count);
    }

    /// Lets a queue that a violation has stopped return the chains that it holds.
    pub fn drain(&mut self) {
        if self.end.state == State::Broken && self.end.knows_what_is_staged() {
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
            self.batch = None;
        }
    }
}
