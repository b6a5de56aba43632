//! What both ends of a packed queue have in common.
//!
//! The ends mirror each other. Each end writes descriptors at one cursor, and takes the descriptors
//! of the other side at another cursor. A slot's flags say whether the slot is available or used. A
//! batch is published by its first descriptor, so the control word of that descriptor is kept back
//! until the batch is published. Each end requests notifications in its own area, and reads the
//! other side's request in the other area.

use core::mem::replace;

use crate::error::SetupError;
use crate::index::{Cursor, QueueSize};
use crate::memory::{Area as _, Load, Memory, Store};
use crate::notify::{Arm, Notify, Request, Unannounced};
use crate::ring::{Ring, Role, State};
use crate::setup::Setup;

use super::event;
use super::layout::{Control, DescriptorFlags, control, layout};

/// One end of a packed queue.
#[derive(Debug)]
pub(super) struct End<M: Memory> {
    pub(super) ring: Ring<M>,
    pub(super) state: State,
    /// The position of the next descriptor to write; ahead of `published` by the number of staged
    /// descriptors.
    pub(super) staged: Cursor,
    /// Everything before this cursor has been published.
    pub(super) published: Cursor,
    /// The number of descriptors between `published` and `staged`; at most the queue's size.
    staged_count: u16,
    /// The word that publishes the batch: the control word of the descriptor at `published`.
    first: u64,
    /// The next descriptor to take.
    pub(super) next: Cursor,
    unannounced: Unannounced,
    /// Whether taking a descriptor needs more than a look at its flags: a request to be notified
    /// has to be withdrawn, or the queue does not run.
    slow_peek: bool,
    /// Whether the other side has been asked to notify of every buffer.
    always: bool,
    /// The state of the queue during a burst, while `state` is broken. So a burst that is forgotten
    /// leaves the queue broken. The other side could otherwise find what that burst has staged,
    /// because all but the first descriptor of a batch are marked available, or used, at once.
    /// Broken between bursts.
    pub(super) burst_state: State,
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
            always: false,
            burst_state: State::Broken,
        })
    }

    /// Resolves the areas again, in another memory.
    pub(super) fn remap(&mut self, memory: M, setup: &Setup, role: Role) -> Result<(), SetupError> {
        let size = QueueSize::packed(setup.size)?;
        let ring = Ring::new(memory, setup, role, size, layout(size))?;
        if !ring.is_alike(&self.ring) {
            return Err(SetupError::Changed);
        }
        self.ring = ring;
        Ok(())
    }

    /// Writes the initial contents of the areas. The driver does so before the device runs the
    /// queue.
    pub(super) fn clear(&self) {
        // Relaxed: the act of starting the device comes later, and orders these stores.
        (0..self.ring.size.get()).for_each(|slot| {
            self.ring.descriptor.store(control(slot), 0u64, Store::Relaxed);
        });
        event::enable(&self.ring.own, None);
        event::enable(&self.ring.other, None);
    }

    /// Moves the driver end of an empty queue to `cursor`. The device does not run the queue.
    pub(super) fn begin_at(&mut self, cursor: Cursor) {
        let mut at = cursor;
        for _ in 0..self.ring.size.get() {
            let free = Control { len: 0, id: 0, flags: DescriptorFlags::unavailable(at) };
            // Relaxed: the act of starting the device comes later, and orders these stores.
            self.ring.descriptor.store(control(at.slot()), free.to_word(), Store::Relaxed);
            at = at.advance(1, self.ring.size);
        }
        self.resume(cursor, cursor);
    }

    /// Returns the other side's next descriptor, if its flags are `due` on this lap; `None` in a
    /// queue that does not run.
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
        self.answered();
        Some(descriptor)
    }

    /// Returns whether the other side's next descriptor is `due`, and takes nothing.
    pub(super) fn has_pending(&self, due: impl Fn(Cursor) -> DescriptorFlags) -> bool {
        self.state.is_running() && self.is_next(due(self.next))
    }

    /// Returns whether the flags of the next descriptor are `due`.
    #[inline]
    fn is_next(&self, due: DescriptorFlags) -> bool {
        // Relaxed: `find` loads the flags again, with Acquire, before they are relied on.
        let descriptor =
            Control::from_word(self.ring.descriptor.load(control(self.next.slot()), Load::Relaxed));
        descriptor.flags.is_turn(due)
    }

    /// Returns the other side's next descriptor, if its flags are `due`.
    #[inline]
    pub(super) fn find(&self, due: DescriptorFlags) -> Option<Control> {
        // Acquire: pairs with the Release in the other end's `publish`; orders the rest of the
        // batch, what it refers to, and the buffers' contents after the flags of the batch's first
        // descriptor.
        let descriptor =
            Control::from_word(self.ring.descriptor.load(control(self.next.slot()), Load::Acquire));
        descriptor.flags.is_turn(due).then_some(descriptor)
    }

    /// Starts or continues a burst.
    #[inline(always)]
    pub(super) const fn begin_burst(&mut self) {
        self.burst_state = replace(&mut self.state, State::Broken);
    }

    /// Ends or interrupts a burst.
    #[inline(always)]
    pub(super) const fn end_burst(&mut self) {
        self.state = replace(&mut self.burst_state, State::Broken);
    }

    /// Returns whether a burst looks for the next descriptor by itself: the queue runs and is not
    /// in order, and no request to be notified has to be withdrawn.
    #[inline]
    pub(super) const fn is_taken_by_burst(&self) -> bool {
        matches!(self.burst_state, State::Running) && !self.slow_peek
    }

    /// Stages `count` slots of a burst, which keeps the position. `control` is the control word of
    /// their first descriptor. Returns whether the burst has to store that word.
    #[inline(always)]
    pub(super) const fn stage_in_burst(&mut self, control: u64, count: u16) -> bool {
        let is_first = self.staged_count == 0;
        if is_first {
            self.first = control;
        }
        self.staged_count += count;
        !is_first
    }

    /// Writes the control word of a descriptor that is not published yet.
    #[inline]
    pub(super) fn put(&mut self, at: Cursor, descriptor: Control) {
        if at == self.published {
            self.first = descriptor.to_word();
        } else {
            // Relaxed: the other side reads this slot only after the batch's first descriptor is
            // published.
            self.ring.descriptor.store(control(at.slot()), descriptor.to_word(), Store::Relaxed);
        }
    }

    /// Stages the next `count` slots. All words in them that the other side reads have been
    /// written.
    #[inline]
    pub(super) fn stage(&mut self, count: u16) {
        self.staged_count += count;
        self.staged = self.staged.advance(count, self.ring.size);
    }

    /// Returns whether the position behind the batch is known. After a burst that has staged
    /// something was forgotten, the position is not known, so the batch cannot be published.
    pub(super) fn knows_what_is_staged(&self) -> bool {
        self.staged == self.published.advance(self.staged_count, self.ring.size)
    }

    /// Makes all staged descriptors visible. Returns whether there were any.
    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        if self.staged_count == 0 || !self.state.is_publishing() {
            return false;
        }
        // Release: pairs with the Acquire in the other end's `find`; orders the rest of the batch,
        // what it refers to, and the buffers' contents before the flags of the batch's first
        // descriptor.
        self.ring.descriptor.store(control(self.published.slot()), self.first, Store::Release);
        self.published = self.staged;
        self.unannounced.add(self.staged_count);
        self.staged_count = 0;
        true
    }

    /// Decides whether to notify the other side of what was published since the last decision.
    #[inline]
    pub(super) fn decide(&mut self) -> Notify {
        let count = self.unannounced.take();
        if count == Some(0) || !self.state.is_publishing() {
            return Notify::NotNeeded;
        }
        // Orders the store of the flags before the load of the other side's request; pairs with the
        // fence in the other end's `arm`.
        self.ring.memory.fence();
        let Some(count) = count else { return Notify::Needed };
        let Ring { other, event_idx, size, .. } = &self.ring;
        Notify::needed_if(event::is_due(other, self.published, count, *event_idx, *size))
    }

    /// Asks the other side to notify when it publishes the next descriptor, whose flags are then
    /// `due`. With `EVENT_IDX`, asks for the descriptor that is `delay` descriptors after the next
    /// one.
    #[inline]
    pub(super) fn arm(
        &mut self,
        due: impl Fn(Cursor) -> DescriptorFlags,
        delay: u16,
        request: Request,
    ) -> Arm {
        if !self.state.is_running() {
            return Arm::Stopped;
        }
        if self.staged_count != 0 {
            return Arm::Unpublished;
        }
        self.always = request == Request::Always;
        let event = self.next.advance(delay, self.ring.size);
        event::enable(&self.ring.own, (self.ring.event_idx && !self.always).then_some(event));
        self.slow_peek = true;
        // Orders the store of the request before the load of the other side's flags; pairs with the
        // fence in the other end's `decide`.
        self.ring.memory.fence();
        if self.is_next(due(self.next)) { Arm::Pending } else { Arm::Armed }
    }

    /// Withdraws the request to be notified, unless the request is for every descriptor. Called
    /// after a descriptor has been found.
    #[inline]
    pub(super) fn answered(&mut self) {
        if self.slow_peek && self.state.is_running() {
            self.slow_peek = false;
            if !self.always {
                event::disable(&self.ring.own);
            }
        }
    }

    /// Withdraws the request to be notified.
    pub(super) fn disarm(&mut self) {
        if self.state.is_running() {
            (self.slow_peek, self.always) = (false, false);
            event::disable(&self.ring.own);
        }
    }

    /// Makes the queue idle from now on. Staged descriptors are only published if the queue is
    /// drained.
    #[cold]
    pub(super) fn fail(&mut self) {
        self.state = State::Broken;
        self.slow_peek = true;
    }

    /// Makes the queue idle until it is resumed.
    pub(super) fn suspend(&mut self) {
        self.state = self.state.suspended();
        self.slow_peek = true;
    }

    /// Lets the queue run again, with nothing staged. The queue must not be broken.
    pub(super) fn resume(&mut self, published: Cursor, next: Cursor) {
        (self.staged, self.published, self.staged_count) = (published, published, 0);
        self.next = next;
        self.unannounced = Unannounced::unknown();
        self.slow_peek = true;
        self.state = self.ring.running;
    }
}
