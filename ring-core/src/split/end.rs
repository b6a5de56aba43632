//! What both ends of a split queue have in common.
//!
//! The ends mirror each other. Each end publishes by storing the index in its own area. The index
//! in the other area tells how much the other side has published. Each end requests notifications
//! in its own area, and reads the other side's request in the other area.

use core::mem::replace;

use crate::error::SetupError;
use crate::index::{Mask, QueueSize};
use crate::memory::{Area as _, Load, Memory, Store};
use crate::notify::{Arm, Notify, Request, Unannounced, need_event};
use crate::ring::{Ring, Role, State};
use crate::setup::Setup;

use super::layout::{FLAG_NO_NOTIFICATION, FLAGS, INDEX, available_event, layout, used_event};

/// One end of a split queue.
#[derive(Debug)]
pub(super) struct End<M: Memory> {
    pub(super) ring: Ring<M>,
    pub(super) state: State,
    pub(super) mask: Mask,
    /// The offsets of the event fields in this end's area and in the other side's area.
    own_event: usize,
    other_event: usize,
    /// The next entry to fill; free-running, and ahead of `published` by the number of staged
    /// entries.
    pub(super) staged: u16,
    /// The index as last stored in the own area.
    pub(super) published: u16,
    /// The next entry to take; free-running, and not ahead of `seen`.
    pub(super) next: u16,
    /// The other side's index as last loaded, possibly stale. Equal to `next` while the queue is
    /// armed or does not run, so that taking an entry needs one comparison.
    seen: u16,
    unannounced: Unannounced,
    /// When the other side has been asked to notify.
    request: Request,
    pub(super) burst: Burst,
}

/// What a burst keeps here, and not by value, because it is seldom used or never changes.
/// Meaningless between bursts.
#[derive(Debug)]
pub(super) struct Burst {
    /// At the driver end, the state of the queue, which is broken during a burst.
    pub(super) state: State,
    /// At the driver end, the end of the entries that the burst takes by itself.
    pub(super) found: u16,
    /// Whether the other side's index has been loaded in this burst.
    looked: bool,
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
            request: Request::Next,
            burst: Burst { state: State::Broken, found: 0, looked: false },
        })
    }

    /// Resolves the areas again, in another memory.
    pub(super) fn remap(&mut self, memory: M, setup: &Setup, role: Role) -> Result<(), SetupError> {
        let size = QueueSize::split(setup.size)?;
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
        self.ring.own.store(FLAGS, 0u16, Store::Relaxed);
        self.ring.own.store(INDEX, 0u16, Store::Relaxed);
        self.ring.own.store(self.own_event, 0u16, Store::Relaxed);
        self.ring.other.store(FLAGS, 0u16, Store::Relaxed);
        self.ring.other.store(INDEX, 0u16, Store::Relaxed);
        self.ring.other.store(self.other_event, 0u16, Store::Relaxed);
    }

    /// Moves the driver end of an empty queue to `index`. The device does not run the queue.
    pub(super) fn begin_at(&mut self, index: u16) {
        // Relaxed: the act of starting the device comes later, and orders these stores.
        for (area, event) in [(&self.ring.own, self.own_event), (&self.ring.other, self.other_event)] {
            area.store(INDEX, index, Store::Relaxed);
            area.store(event, index, Store::Relaxed);
        }
        self.resume(index, index);
    }

    /// Returns whether the other side has published an entry to take; `false` in a queue that does
    /// not run.
    ///
    /// # Errors
    ///
    /// The other side's index, if it is more than `limit` ahead.
    #[inline]
    pub(super) fn is_pending(&mut self, limit: u16) -> Result<bool, u16> {
        if self.next == self.seen { self.refresh(limit) } else { Ok(true) }
    }

    /// Loads the other side's index.
    #[inline(never)]
    fn refresh(&mut self, limit: u16) -> Result<bool, u16> {
        if !self.state.is_running() {
            return Ok(false);
        }
        // Acquire: pairs with the Release in the other end's `publish`; orders the entries, what
        // they refer to, and the buffers' contents after the index that covers them.
        let index: u16 = self.ring.other.load(INDEX, Load::Acquire);
        if index == self.next {
            return Ok(false);
        }
        if index.wrapping_sub(self.next) > limit {
            return Err(index);
        }
        self.seen = index;
        match self.request {
            Request::Withdrawn => {}
            Request::Next => {
                self.request = Request::Withdrawn;
                // With `EVENT_IDX`, the other side has passed the entry that the event names.
                if !self.ring.event_idx {
                    self.ring.own.store(FLAGS, FLAG_NO_NOTIFICATION, Store::Relaxed);
                }
            }
            // An event names one entry, so each entry that is taken names the next one.
            Request::Always => {
                self.seen = self.next.wrapping_add(1);
                self.ask(self.seen);
            }
        }
        Ok(true)
    }

    /// Returns whether there is an entry to take, and takes nothing.
    ///
    /// Acquire if the entry is read: pairs with the Release in the other end's `publish`, and
    /// orders the entry after the index. Else Relaxed.
    pub(super) fn has_pending(&self, order: Load) -> bool {
        let index = || self.ring.other.load::<u16>(INDEX, order);
        self.state.is_running() && (self.next != self.seen || index() != self.next)
    }

    /// Starts or continues a burst that holds positions by value. If the burst is forgotten, the
    /// queue stays broken.
    #[inline(always)]
    pub(super) const fn begin_burst(&mut self) {
        self.burst.found = self.found();
        self.burst.state = replace(&mut self.state, State::Broken);
    }

    /// Ends or interrupts a burst, which has taken the entries up to `next`.
    #[inline(always)]
    pub(super) const fn end_burst(&mut self, next: u16) {
        self.state = self.burst.state;
        if matches!(self.state, State::Running) {
            (self.next, self.seen) = (next, self.burst.found);
        }
    }

    /// Returns the end of the entries that a burst takes by itself, from the next one on.
    #[inline(always)]
    pub(super) const fn found(&self) -> u16 {
        if matches!(self.state, State::Running) { self.seen } else { self.next }
    }

    /// Returns whether a burst may take an entry: it has not looked at the other side's index, or
    /// has not taken all that it found.
    pub(super) fn may_take_in_burst(&mut self) -> bool {
        // While each entry is notified, each has to be looked for.
        let looks = self.next == self.seen && self.request != Request::Always;
        !looks || !replace(&mut self.burst.looked, true)
    }

    /// Notes that a burst has not looked at the other side's index yet.
    #[inline(always)]
    pub(super) const fn forget_look(&mut self) {
        self.burst.looked = false;
    }

    /// Moves to another entry to take: back to an entry that was taken, or on to a later one.
    pub(super) fn set_next(&mut self, next: u16) {
        // `refresh` loads the other side's index again and finds the entries before it.
        (self.next, self.seen) = (next, next);
        // With `EVENT_IDX`, the request for every entry names the next one.
        if self.request == Request::Always && self.state.is_running() {
            self.ask(next);
        }
    }

    /// Makes all staged entries visible. Returns whether there were any.
    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        let count = self.staged.wrapping_sub(self.published);
        if count == 0 || !self.state.is_publishing() {
            return false;
        }
        // Release: pairs with the Acquire in the other end's `refresh`; orders the entries, what
        // they refer to, and the buffers' contents before the index that covers them.
        self.ring.own.store(INDEX, self.staged, Store::Release);
        self.published = self.staged;
        self.unannounced.add(count);
        true
    }

    /// Decides whether to notify the other side of what was published since the last decision.
    #[inline]
    pub(super) fn decide(&mut self) -> Notify {
        let count = self.unannounced.take();
        if count == Some(0) || !self.state.is_publishing() {
            return Notify::NotNeeded;
        }
        // Orders the store of the index before the load of the other side's request; pairs with the
        // fence in the other end's `arm`.
        self.ring.memory.fence();
        let Some(count) = count else { return Notify::Needed };
        Notify::needed_if(if self.ring.event_idx {
            let event = self.ring.other.load(self.other_event, Load::Relaxed);
            need_event(event, self.published, self.published.wrapping_sub(count))
        } else {
            self.ring.other.load::<u16>(FLAGS, Load::Relaxed) & FLAG_NO_NOTIFICATION == 0
        })
    }

    /// Asks the other side to notify when it publishes the next entry. With `EVENT_IDX`, asks for
    /// the entry that is `delay` entries after the next one.
    #[inline]
    pub(super) fn arm(&mut self, delay: u16, request: Request) -> Arm {
        if !self.state.is_running() {
            return Arm::Stopped;
        }
        if self.staged != self.published {
            return Arm::Unpublished;
        }
        self.request = request;
        self.seen = self.next;
        self.ask(self.next.wrapping_add(delay));
        // Relaxed: `refresh` loads the index again, with Acquire, before it is relied on.
        let index: u16 = self.ring.other.load(INDEX, Load::Relaxed);
        if index == self.next { Arm::Armed } else { Arm::Pending }
    }

    /// Stores the request to be notified. With `EVENT_IDX`, the request is for the entry at
    /// `event`.
    fn ask(&mut self, event: u16) {
        if self.ring.event_idx {
            self.ring.own.store(self.own_event, event, Store::Relaxed);
        } else {
            self.ring.own.store(FLAGS, 0u16, Store::Relaxed);
        }
        // Orders the store of the request before the load of the other side's index; pairs with the
        // fence in the other end's `decide`.
        self.ring.memory.fence();
    }

    /// Withdraws the request to be notified.
    #[inline]
    pub(super) fn disarm(&mut self) {
        if !self.state.is_running() {
            return;
        }
        self.request = Request::Withdrawn;
        if self.ring.event_idx {
            // The other side has passed this entry.
            self.ring.own.store(self.own_event, self.next.wrapping_sub(1), Store::Relaxed);
        } else {
            self.ring.own.store(FLAGS, FLAG_NO_NOTIFICATION, Store::Relaxed);
        }
    }

    /// Makes the queue idle from now on. Staged entries are only published if the queue is drained.
    #[cold]
    pub(super) fn fail(&mut self) {
        self.state = State::Broken;
        self.seen = self.next;
    }

    /// Makes the queue idle until it is resumed.
    pub(super) fn suspend(&mut self) {
        self.state = self.state.suspended();
        self.seen = self.next;
    }

    /// Lets the queue run again, with nothing staged. The queue must not be broken.
    pub(super) fn resume(&mut self, published: u16, next: u16) {
        (self.staged, self.published) = (published, published);
        (self.next, self.seen) = (next, next);
        self.unannounced = Unannounced::unknown();
        self.state = self.ring.running;
        if self.request == Request::Always {
            // An entry that is pending already is found by the next call that takes one.
            let _ = self.arm(0, Request::Always);
        } else {
            self.request = Request::Next;
        }
    }
}
