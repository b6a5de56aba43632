//! What both ends of a packed queue do alike.
//!
//! The ends mirror each other. Each writes descriptors at one cursor, and takes those of the other side at
//! another; whose turn a slot is on, its flags say. A batch is published by its first descriptor, so its
//! second word is kept back until then. Each end says in its own area when it wants to be notified, and
//! looks in the other area whether the other side does.

use crate::error::SetupError;
use crate::index::{Cursor, QueueSize};
use crate::memory::{Area as _, Load, Memory, Store};
use crate::notify::{Arm, Notify, Unannounced};
use crate::ring::{Ring, Role, State};
use crate::setup::Setup;

use super::event;
use super::layout::{Control, DescriptorFlags, control, layout};

/// One end, as far as it does not matter which.
#[derive(Debug)]
pub(super) struct End<M: Memory> {
    pub(super) ring: Ring<M>,
    pub(super) state: State,
    /// The next descriptor to write goes here; ahead of `published` by what is staged.
    pub(super) staged: Cursor,
    /// Everything before this has been published.
    pub(super) published: Cursor,
    /// Descriptors between `published` and `staged`; at most the queue's size.
    staged_count: u16,
    /// The word that publishes the batch: that of its first descriptor, which goes to `published`.
    first: u64,
    /// The next descriptor to take.
    pub(super) next: Cursor,
    unannounced: Unannounced,
    /// Whether there is something to do before a descriptor is taken: to take back the wish to be notified,
    /// or not to look at all because the queue does not run.
    slow_peek: bool,
}

impl<M: Memory> End<M> {
    pub(super) fn new(memory: M, setup: &Setup, role: Role) -> Result<Self, SetupError> {
        let size = QueueSize::packed(setup.size)?;
        let ring = Ring::new(memory, setup, role, size, layout(size))?;
        Ok(Self {
            state: ring.running,
            ring,
            staged: Cursor::START,
            published: Cursor::START,
            staged_count: 0,
            first: 0,
            next: Cursor::START,
            unannounced: Unannounced::nothing(),
            slow_peek: true,
        })
    }

    /// Writes what the areas of a queue hold that has not run yet. The driver does so before the device runs it.
    pub(super) fn clear(&self) {
        // Relaxed: whatever makes the device run the queue comes later, and orders this.
        (0..self.ring.size.get()).for_each(|slot| {
            self.ring.descriptor.store(control(slot), 0u64, Store::Relaxed);
        });
        event::enable(&self.ring.own, None);
        event::enable(&self.ring.other, None);
    }

    /// The next descriptor of the other side, if its flags are `due` on this lap. Never in a queue that does
    /// not run.
    #[inline]
    pub(super) fn peek(&mut self, due: impl Fn(Cursor) -> DescriptorFlags) -> Option<Control> {
        if self.slow_peek {
            return self.peek_slow(due(self.next));
        }
        self.find(due(self.next))
    }

    #[inline(never)]
    fn peek_slow(&mut self, due: DescriptorFlags) -> Option<Control> {
        if !self.state.is_running() {
            return None;
        }
        let descriptor = self.find(due)?;
        self.disarm();
        Some(descriptor)
    }

    /// The next descriptor of the other side, if its flags are `due`.
    #[inline]
    fn find(&self, due: DescriptorFlags) -> Option<Control> {
        // Acquire: pairs with the Release in the other end's `publish`; orders the rest of the batch, what it
        // refers to and the buffers' contents after the flags of its first descriptor.
        let descriptor =
            Control::from_word(self.ring.descriptor.load(control(self.next.slot()), Load::Acquire));
        descriptor.flags.is_turn(due).then_some(descriptor)
    }

    /// Writes the second word of a descriptor that is not published yet.
    #[inline]
    pub(super) fn put(&mut self, at: Cursor, descriptor: Control) {
        if at == self.published {
            self.first = descriptor.to_word();
        } else {
            // Relaxed: the other side comes here only after the batch's first descriptor is published.
            self.ring.descriptor.store(control(at.slot()), descriptor.to_word(), Store::Relaxed);
        }
    }

    /// Stages the next `count` slots, which have been written as far as the other side looks at them.
    #[inline]
    pub(super) fn stage(&mut self, count: u16) {
        self.staged_count += count;
        self.staged = self.staged.advance(count, self.ring.size);
    }

    /// Makes all staged descriptors visible. Returns whether there were any.
    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        if self.staged_count == 0 || !self.state.is_running() {
            return false;
        }
        // Release: pairs with the Acquire in the other end's `find`; orders the rest of the batch, what it
        // refers to and the buffers' contents before the flags of its first descriptor.
        self.ring.descriptor.store(control(self.published.slot()), self.first, Store::Release);
        self.published = self.staged;
        self.unannounced.add(self.staged_count);
        self.staged_count = 0;
        true
    }

    /// Whether to notify the other side of what was published since the last decision.
    #[inline]
    pub(super) fn decide(&mut self) -> Notify {
        let count = self.unannounced.take();
        if count == Some(0) || !self.state.is_running() {
            return Notify::NotNeeded;
        }
        // Orders the store of the flags before the load of the other side's wish; pairs with the fence in
        // the other end's `arm`.
        self.ring.memory.fence();
        let Some(count) = count else { return Notify::Needed };
        let Ring { other, event_idx, size, .. } = &self.ring;
        Notify::needed_if(event::is_due(other, self.published, count, *event_idx, *size))
    }

    /// Asks the other side to notify when it publishes the next descriptor, whose flags are then `due`.
    #[inline]
    pub(super) fn arm(&mut self, due: impl Fn(Cursor) -> DescriptorFlags) -> Arm {
        if !self.state.is_running() {
            return Arm::Armed;
        }
        event::enable(&self.ring.own, self.ring.event_idx.then_some(self.next));
        self.slow_peek = true;
        // Orders the store of the wish before the load of the other side's flags; pairs with the fence in
        // the other end's `decide`.
        self.ring.memory.fence();
        // Relaxed: `find` loads the flags again, with Acquire, before anyone relies on them.
        let descriptor =
            Control::from_word(self.ring.descriptor.load(control(self.next.slot()), Load::Relaxed));
        if descriptor.flags.is_turn(due(self.next)) { Arm::Pending } else { Arm::Armed }
    }

    /// Takes back the wish to be notified.
    #[inline]
    pub(super) fn disarm(&mut self) {
        if self.slow_peek && self.state.is_running() {
            self.slow_peek = false;
            event::disable(&self.ring.own);
        }
    }

    /// Makes the queue idle from now on. What is staged is forgotten.
    #[cold]
    pub(super) fn fail(&mut self) {
        self.state = State::Broken;
        (self.staged, self.staged_count) = (self.published, 0);
        self.slow_peek = true;
    }

    /// Makes the queue idle until it is resumed.
    pub(super) fn suspend(&mut self) {
        self.state = self.state.suspended();
        self.slow_peek = true;
    }

    /// Goes on, with nothing staged. The queue is not broken.
    pub(super) fn resume(&mut self, published: Cursor, next: Cursor) {
        (self.staged, self.published, self.staged_count) = (published, published, 0);
        self.next = next;
        self.unannounced = Unannounced::unknown();
        self.slow_peek = true;
        self.state = self.ring.running;
    }
}
