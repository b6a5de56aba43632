//! The device end of a split queue.

use crate::chain::{Chain, Collector, Segment, Token};
use crate::error::{CompleteError, PopError, SetupError, Violation};
use crate::in_flight::{InFlight, Returned, Slot};
use crate::index::QueueSize;
use crate::indirect::Table;
use crate::memory::{Area as _, Load, Memory, Store};
use crate::notify::{Arm, Notify, Unannounced, need_event};
use crate::position::Position;
use crate::setup::{Ring, Setup, State};

use super::layout::{
    Descriptor, DescriptorFlags, FLAG_NO_NOTIFICATION, FLAGS, INDEX, available_event, available_slot, layout,
    used_event, used_slot,
};

/// Takes available buffers from a split queue and returns them used.
///
/// [`device`](crate::device) explains how the calls work together; they are the same for both formats.
#[derive(Debug)]
pub struct Device<M: Memory, S> {
    ring: Ring<M>,
    in_flight: InFlight<S>,
    state: State,
    progress: Progress,
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    /// The driver's index as last loaded. Buffers before it are available; can be stale. Equal to `next`
    /// while the queue does not run or is armed, so that `pop` has one thing to compare.
    available: u16,
    /// The next buffer to take; free-running, at or behind `available`.
    next: u16,
    /// The next used entry to write; free-running, ahead of `published` by what is staged.
    used: u16,
    /// The index as last stored in the device area.
    published: u16,
    /// In an in-order queue, the staged used entry that the next used buffer may take over.
    batch: Option<u16>,
    unannounced: Unannounced,
    /// Whether the driver is asked to notify.
    armed: bool,
}

impl Progress {
    const fn at(position: Position, unannounced: Unannounced) -> Self {
        let Position { available, used } = position;
        Self { available, next: available, used, published: used, batch: None, unannounced, armed: true }
    }
}

/// Setting up.
impl<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>> Device<M, S> {
    /// Sets up the device end of a queue that has not run yet.
    ///
    /// # Errors
    ///
    /// [`SetupError`] says what is wrong with `setup`, or that there are fewer `slots` than descriptors.
    pub fn new(memory: M, setup: &Setup, slots: S) -> Result<Self, SetupError> {
        let size = QueueSize::split(setup.size)?;
        let ring = Ring::new(memory, setup, size, layout(size))?;
        Ok(Self {
            state: ring.running,
            ring,
            in_flight: InFlight::new(slots, size)?,
            progress: Progress::at(Position::SPLIT_START, Unannounced::nothing()),
        })
    }

    /// Sets the queue up anew. What was in flight is forgotten, and all tokens become stale.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); the queue is then as it was.
    pub fn reset(&mut self, memory: M, setup: &Setup) -> Result<(), SetupError> {
        let size = QueueSize::split(setup.size)?;
        let ring = Ring::new(memory, setup, size, layout(size))?;
        self.in_flight.reset(size)?;
        self.ring = ring;
        self.state = self.ring.running;
        self.progress = Progress::at(Position::SPLIT_START, Unannounced::nothing());
        Ok(())
    }

    /// The memory that the queue was set up with.
    pub const fn memory(&self) -> &M {
        &self.ring.memory
    }
}

/// Taking buffers.
impl<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>> Device<M, S> {
    /// Takes the next available buffer, if there is one. Its segments go to `segments`.
    ///
    /// # Errors
    ///
    /// [`PopError::Violation`] once, when the driver breaks a rule; the queue is idle from then on.
    /// [`PopError::TooLong`] if the chain has more segments than there is room for.
    #[inline]
    pub fn pop<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Option<Chain<'s>>, PopError> {
        if self.progress.next == self.progress.available {
            match self.refresh() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(violation) => return Err(self.broken(violation)),
            }
        }
        match self.take(segments) {
            Ok(Ok(chain)) => Ok(Some(chain)),
            Ok(Err(token)) => Err(PopError::TooLong(token)),
            Err(violation) => Err(self.broken(violation)),
        }
    }

    /// Looks at the driver's index again. Returns whether anything is available; never in a queue that does
    /// not run, so that this is the one place to ask.
    #[inline]
    fn refresh(&mut self) -> Result<bool, Violation> {
        if !self.state.is_running() {
            return Ok(false);
        }
        // Acquire: pairs with the Release in the driver's `publish`; orders the ring slots, the
        // descriptors, indirect tables and buffers after the index that covers them.
        let index: u16 = self.ring.driver.load(INDEX, Load::Acquire);
        let (next, size) = (self.progress.next, self.ring.size.get());
        if index == next {
            return Ok(false);
        }
        if index.wrapping_sub(next) > size {
            return Err(Violation::AvailableIndex { index, next, size });
        }
        if self.progress.armed {
            self.disarm();
        }
        self.progress.available = index;
        Ok(true)
    }

    /// Makes the queue idle from now on.
    #[cold]
    fn broken(&mut self, violation: Violation) -> PopError {
        self.state = State::Broken;
        self.progress.available = self.progress.next;
        PopError::Violation(violation)
    }

    /// Takes the next available chain; its token alone, if `segments` cannot hold it.
    #[inline]
    fn take<'s>(&mut self, segments: &'s mut [Segment]) -> Result<Result<Chain<'s>, Token>, Violation> {
        let head = self.ring.driver.read(available_slot(self.ring.size.slot(self.progress.next)));
        let first = self.descriptor(head)?;
        // Most buffers are one descriptor; that way is kept short.
        if first.flags.intersects(DescriptorFlags::NEXT.union(DescriptorFlags::INDIRECT)) {
            return self.take_chain(head, first, segments);
        }
        let mut collector = Collector::new(segments);
        collector.push(first.segment, first.flags.contains(DescriptorFlags::WRITE))?;
        self.accept(head, 1, collector)
    }

    #[inline(never)]
    fn take_chain<'s>(
        &mut self,
        head: u16,
        first: Descriptor,
        segments: &'s mut [Segment],
    ) -> Result<Result<Chain<'s>, Token>, Violation> {
        let mut collector = Collector::new(segments);
        let count = self.walk(first, &mut collector)?;
        self.accept(head, count, collector)
    }

    /// Records a chain that has been checked.
    #[inline]
    fn accept<'s>(
        &mut self,
        head: u16,
        count: u16,
        chain: Collector<'s>,
    ) -> Result<Result<Chain<'s>, Token>, Violation> {
        let key = self.in_flight.insert(head, count, self.ring.size)?;
        if self.state == State::InOrder {
            self.in_flight.queue_up(head, self.ring.size);
        }
        self.progress.next = self.progress.next.wrapping_add(1);
        Ok(chain.finish(head, key))
    }

    /// A copy of a descriptor.
    #[inline]
    fn descriptor(&self, index: u16) -> Result<Descriptor, Violation> {
        let size = self.ring.size.get();
        if index >= size {
            return Err(Violation::DescriptorIndex { index, size: size.into() });
        }
        let (area, offset) = (&self.ring.descriptor, Descriptor::offset(index));
        Ok(Descriptor::from_words(area.read_pair(offset)))
    }

    /// Follows a chain in the descriptor area. Returns how many of its descriptors the chain takes up.
    fn walk(&self, first: Descriptor, collector: &mut Collector<'_>) -> Result<u16, Violation> {
        let size = self.ring.size.get();
        let mut descriptor = first;
        for count in 1..=size {
            let Descriptor { segment, flags, next } = descriptor;
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
            if count < size {
                descriptor = self.descriptor(next)?;
            }
        }
        Err(Violation::ChainLoop { size: size.into() })
    }

    /// Follows the chain in an indirect table, which begins with its first descriptor.
    fn walk_table(&self, table: Segment, collector: &mut Collector<'_>) -> Result<(), Violation> {
        if !self.ring.indirect {
            return Err(Violation::IndirectNotNegotiated);
        }
        let mut table = Table::new(&self.ring.memory, table.address, table.len)?;
        let mut index = 0;
        for _ in 0..table.len() {
            if u32::from(index) >= table.len() {
                return Err(Violation::DescriptorIndex { index, size: table.len() });
            }
            let descriptor = Descriptor::from_words(table.get(index.into())?);
            let flags = descriptor.flags;
            if flags.contains(DescriptorFlags::INDIRECT) {
                return Err(Violation::IndirectNested);
            }
            collector.push(descriptor.segment, flags.contains(DescriptorFlags::WRITE))?;
            // A table may be longer than any storage; what cannot be kept need not be read.
            if !flags.contains(DescriptorFlags::NEXT) || collector.overflowed() {
                return Ok(());
            }
            index = descriptor.next;
        }
        Err(Violation::ChainLoop { size: table.len() })
    }

    /// Asks the driver to notify when it makes the next buffer available.
    #[inline]
    pub fn arm(&mut self) -> Arm {
        if !self.state.is_running() {
            return Arm::Armed;
        }
        let (device, next) = (&self.ring.device, self.progress.next);
        if self.ring.event_idx {
            device.store(available_event(self.ring.size), next, Store::Relaxed);
        } else {
            device.store(FLAGS, 0u16, Store::Relaxed);
        }
        self.progress.armed = true;
        self.progress.available = next;
        // Orders the store of the wish before the load of the driver's index; pairs with the fence in the
        // driver's `publish`.
        self.ring.memory.fence();
        // Relaxed: `pop` loads the index again, with Acquire, before it relies on it.
        let index: u16 = self.ring.driver.load(INDEX, Load::Relaxed);
        if index == next { Arm::Armed } else { Arm::Pending }
    }

    /// Takes back the wish to be notified, where that takes a store.
    #[inline]
    fn disarm(&mut self) {
        self.progress.armed = false;
        if !self.ring.event_idx {
            self.ring.device.store(FLAGS, FLAG_NO_NOTIFICATION, Store::Relaxed);
        }
    }
}

/// Returning buffers.
impl<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>> Device<M, S> {
    /// Stages a used buffer, with the number of bytes written to it. [`publish`](Self::publish) makes it
    /// visible. After a violation this accepts tokens and does nothing.
    ///
    /// Buffers may be completed in any order. Where [`IN_ORDER`](crate::Features::IN_ORDER) is negotiated,
    /// one that is early is kept until its turn comes.
    ///
    /// # Errors
    ///
    /// [`CompleteError`] if the token is stale, the count too large, or the queue suspended.
    #[inline]
    pub fn complete(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        if self.state != State::Running {
            return self.complete_specially(token, written);
        }
        let returned = self.in_flight.remove(token, written)?;
        self.stage(self.progress.used, returned);
        Ok(())
    }

    fn complete_specially(&mut self, token: Token, written: u32) -> Result<(), CompleteError> {
        match self.state {
            State::Suspended => return Err(CompleteError::Suspended(token)),
            State::Broken => return self.in_flight.remove(token, written).map(drop),
            State::Running | State::InOrder => self.in_flight.settle(token, written)?,
        }
        while let Some(returned) = self.in_flight.next_in_turn(self.ring.size) {
            let entry = self.progress.batch.unwrap_or(self.progress.used);
            self.stage(entry, returned);
            // A buffer that is skipped counts as fully written, so only such a one can be taken over.
            self.progress.batch = returned.full.then_some(entry);
        }
        Ok(())
    }

    /// Writes the used entry at index `entry`, for the buffer at index `used`.
    #[inline]
    fn stage(&mut self, entry: u16, returned: Returned) {
        let slot = used_slot(self.ring.size.slot(entry));
        self.ring.device.write(slot, u32::from(returned.id));
        self.ring.device.write(slot + 4, returned.written);
        self.progress.used = self.progress.used.wrapping_add(1);
    }

    /// Makes all staged buffers visible, and says whether to notify the driver.
    #[inline]
    pub fn publish(&mut self) -> Notify {
        self.publish_silently();
        let count = self.progress.unannounced.take();
        if count == Some(0) || !self.state.is_running() {
            return Notify::NotNeeded;
        }
        // Orders the store of the index before the load of the driver's wish; pairs with the fence in the
        // driver's `arm`.
        self.ring.memory.fence();
        let Some(count) = count else {
            return Notify::Needed;
        };
        let published = self.progress.published;
        Notify::if_(if self.ring.event_idx {
            let event = self.ring.driver.load(used_event(self.ring.size), Load::Relaxed);
            need_event(event, published, published.wrapping_sub(count))
        } else {
            self.ring.driver.load::<u16>(FLAGS, Load::Relaxed) & FLAG_NO_NOTIFICATION == 0
        })
    }

    /// Makes all staged buffers visible to a driver that polls. The next [`publish`](Self::publish)
    /// decides about notifying it of these buffers, too.
    #[inline]
    pub fn publish_silently(&mut self) {
        let count = self.progress.used.wrapping_sub(self.progress.published);
        if count != 0 && self.state.is_running() {
            // Release: pairs with the Acquire in the driver's `reap`; orders the used entries and the
            // buffers' contents before the index that covers them.
            self.ring.device.store(INDEX, self.progress.used, Store::Release);
            self.progress.published = self.progress.used;
            self.progress.batch = None;
            self.in_flight.publish();
            self.progress.unannounced.add(count);
        }
    }
}

/// Stopping and going on.
impl<M: Memory, S: AsRef<[Slot]> + AsMut<[Slot]>> Device<M, S> {
    /// Publishes what is staged, and stops. Tokens stay good: after [`resume`](Self::resume) their chains
    /// can be completed.
    pub fn suspend(&mut self) -> (Position, Notify) {
        let notify = self.publish();
        self.state = self.state.unless_broken(State::Suspended);
        self.progress.available = self.progress.next;
        (self.position(), notify)
    }

    /// Goes on at `position`. The first [`publish`](Self::publish) then notifies, because nobody knows
    /// what was announced before. Then call [`arm`](Self::arm) before sleeping, as always.
    ///
    /// # Errors
    ///
    /// [`SetupError::Position`] if more is in flight there than the queue has descriptors.
    pub fn resume(&mut self, position: Position) -> Result<(), SetupError> {
        let Position { available, used } = position;
        let size = self.ring.size.get();
        if available.wrapping_sub(used) > size {
            return Err(SetupError::Position { available, used, size });
        }
        self.progress = Progress::at(position, Unannounced::unknown());
        self.state = self.state.unless_broken(self.ring.running);
        Ok(())
    }

    /// Where the queue stands: the next buffer to take, and what has been published.
    pub const fn position(&self) -> Position {
        Position { available: self.progress.next, used: self.progress.published }
    }

    /// The index in the device area, where the device that ran before left it: the half of a position
    /// that a split queue's vring base does not say.
    pub fn used_index(&self) -> u16 {
        self.ring.device.load(INDEX, Load::Relaxed)
    }
}
