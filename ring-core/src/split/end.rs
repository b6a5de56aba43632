//! What both ends of a split queue do alike.
//!
//! The ends mirror each other. Each publishes by moving the index in its own area on, and finds what the
//! other side has published by the index in the other area. Each says in its own area when it wants to be
//! notified, and looks in the other area whether the other side does.

use crate::error::SetupError;
use crate::index::{Mask, QueueSize};
use crate::memory::{Area as _, Load, Memory, Store};
use crate::notify::{Arm, Notify, Unannounced, need_event};
use crate::ring::{Ring, Role, State};
use crate::setup::Setup;

use super::layout::{FLAG_NO_NOTIFICATION, FLAGS, INDEX, available_event, layout, used_event};

/// One end, as far as it does not matter which.
#[derive(Debug)]
pub(super) struct End<M: Memory> {
    pub(super) ring: Ring<M>,
    pub(super) state: State,
    pub(super) mask: Mask,
    /// Offset of the event field in the own area, and in the other.
    own_event: usize,
    other_event: usize,
    /// The next entry to fill; free-running, ahead of `published` by what is staged.
    pub(super) staged: u16,
    /// The index as last stored in the own area.
    pub(super) published: u16,
    /// The next entry to take; free-running, at or behind `seen`.
    pub(super) next: u16,
    /// The other side's index as last loaded; can be stale. Equal to `next` while the queue does not run or
    /// is armed, so that there is one thing to compare before an entry is taken.
    seen: u16,
    unannounced: Unannounced,
    /// Whether the other side may have been asked to notify.
    armed: bool,
}

impl<M: Memory> End<M> {
    pub(super) fn new(memory: M, setup: &Setup, role: Role) -> Result<Self, SetupError> {
        let size = QueueSize::split(setup.size)?;
        let ring = Ring::new(memory, setup, role, size, layout(size))?;
        let (own_event, other_event) = match role {
            Role::Driver => (used_event(size), available_event(size)),
            Role::Device => (available_event(size), used_event(size)),
        };
        Ok(Self {
            state: ring.running,
            mask: Mask::new(size),
            ring,
            own_event,
            other_event,
            staged: 0,
            published: 0,
            next: 0,
            seen: 0,
            unannounced: Unannounced::nothing(),
            armed: true,
        })
    }

    /// Writes what the areas of a queue hold that has not run yet. The driver does so before the device runs it.
    pub(super) fn clear(&self) {
        // Relaxed: whatever makes the device run the queue comes later, and orders this.
        self.ring.own.store(FLAGS, 0u16, Store::Relaxed);
        self.ring.own.store(INDEX, 0u16, Store::Relaxed);
        self.ring.own.store(self.own_event, 0u16, Store::Relaxed);
        self.ring.other.store(FLAGS, 0u16, Store::Relaxed);
        self.ring.other.store(INDEX, 0u16, Store::Relaxed);
        self.ring.other.store(self.other_event, 0u16, Store::Relaxed);
    }

    /// Whether the other side has published an entry to take. Never in a queue that does not run.
    ///
    /// # Errors
    ///
    /// The other side's index, if it is more than `limit` ahead.
    #[inline]
    pub(super) fn is_pending(&mut self, limit: u16) -> Result<bool, u16> {
        if self.next == self.seen { self.refresh(limit) } else { Ok(true) }
    }

    /// Looks how far the other side has come.
    #[inline(never)]
    fn refresh(&mut self, limit: u16) -> Result<bool, u16> {
        if !self.state.is_running() {
            return Ok(false);
        }
        // Acquire: pairs with the Release in the other end's `publish`; orders the entries, what they refer
        // to and the buffers' contents after the index that covers them.
        let index: u16 = self.ring.other.load(INDEX, Load::Acquire);
        if index == self.next {
            return Ok(false);
        }
        if index.wrapping_sub(self.next) > limit {
            return Err(index);
        }
        if self.armed {
            self.disarm();
        }
        self.seen = index;
        Ok(true)
    }

    /// Goes back to an entry that was taken, or on to one behind those that were.
    pub(super) const fn set_next(&mut self, next: u16) {
        // Whatever is before the other side's index is found when it is loaded again.
        (self.next, self.seen) = (next, next);
    }

    /// Makes all staged entries visible. Returns whether there were any.
    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        let count = self.staged.wrapping_sub(self.published);
        if count == 0 || !self.state.is_running() {
            return false;
        }
        // Release: pairs with the Acquire in the other end's `look`; orders the entries, what they
        // refer to and the buffers' contents before the index that covers them.
        self.ring.own.store(INDEX, self.staged, Store::Release);
        self.published = self.staged;
        self.unannounced.add(count);
        true
    }

    /// Whether to notify the other side of what was published since the last decision.
    #[inline]
    pub(super) fn decide(&mut self) -> Notify {
        let count = self.unannounced.take();
        if count == Some(0) || !self.state.is_running() {
            return Notify::NotNeeded;
        }
        // Orders the store of the index before the load of the other side's wish; pairs with the fence in the
        // other end's `arm`.
        self.ring.memory.fence();
        let Some(count) = count else { return Notify::Needed };
        Notify::needed_if(if self.ring.event_idx {
            let event = self.ring.other.load(self.other_event, Load::Relaxed);
            need_event(event, self.published, self.published.wrapping_sub(count))
        } else {
            self.ring.other.load::<u16>(FLAGS, Load::Relaxed) & FLAG_NO_NOTIFICATION == 0
        })
    }

    /// Asks the other side to notify when it publishes the next entry.
    #[inline]
    pub(super) fn arm(&mut self) -> Arm {
        if !self.state.is_running() {
            return Arm::Armed;
        }
        if self.ring.event_idx {
            self.ring.own.store(self.own_event, self.next, Store::Relaxed);
        } else {
            self.ring.own.store(FLAGS, 0u16, Store::Relaxed);
        }
        self.armed = true;
        self.seen = self.next;
        // Orders the store of the wish before the load of the other side's index; pairs with the fence in
        // the other end's `decide`.
        self.ring.memory.fence();
        // Relaxed: `look` loads the index again, with Acquire, before anyone relies on it.
        let index: u16 = self.ring.other.load(INDEX, Load::Relaxed);
        if index == self.next { Arm::Armed } else { Arm::Pending }
    }

    /// Takes back the wish to be notified, where that takes a store.
    #[inline]
    fn disarm(&mut self) {
        self.armed = false;
        if !self.ring.event_idx {
            self.ring.own.store(FLAGS, FLAG_NO_NOTIFICATION, Store::Relaxed);
        }
    }

    /// Makes the queue idle from now on. What is staged is forgotten.
    #[cold]
    pub(super) fn fail(&mut self) {
        self.state = State::Broken;
        self.staged = self.published;
        self.seen = self.next;
    }

    /// Makes the queue idle until it is resumed.
    pub(super) fn suspend(&mut self) {
        self.state = self.state.suspended();
        self.seen = self.next;
    }

    /// Goes on, with nothing staged. The queue is not broken.
    pub(super) fn resume(&mut self, published: u16, next: u16) {
        (self.staged, self.published) = (published, published);
        (self.next, self.seen) = (next, next);
        self.unannounced = Unannounced::unknown();
        self.armed = true;
        self.state = self.ring.running;
    }
}
