//! What the worker and the control thread share of a queue, under a lock.

use std::os::fd::OwnedFd;
use std::time::Instant;

use ring_core::Violation;

use super::device_ring::DeviceRing;
use super::forwarded_queue::{ForwardedQueue, Round};
use super::suspicion::Held;
use crate::limits::MAX_LOSSES;
use crate::notifier;

/// A queue and its notifications.
///
/// The worker runs the queue; the control thread starts it, stops it and replaces its device.
#[derive(Debug)]
pub(crate) struct ActiveQueue {
    /// The queue, while it is started.
    pub(crate) queue: Option<ForwardedQueue>,
    /// Notifies the guest.
    pub(crate) call: Option<OwnedFd>,
    /// Tells the VMM that the queue is broken.
    pub(crate) error: Option<OwnedFd>,
    /// Notifies the device.
    kick: Option<OwnedFd>,
    /// Whether there may be work.
    ready: bool,
    /// Whether the control thread waits for the requests in flight.
    pub(crate) watched: bool,
    /// The rule that the device broke. The queue is idle until the device is replaced.
    pub(crate) fault: Option<Violation>,
}

/// The outcome of running a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// There may be more work.
    pub(crate) again: bool,
    /// The control thread has to look at the queue.
    pub(crate) report: bool,
}

impl ActiveQueue {
    /// Makes a queue that is not started.
    pub(crate) const fn new() -> Self {
        Self { queue: None, call: None, error: None, kick: None, ready: false, watched: false, fault: None }
    }

    /// Handles a notification from the guest.
    pub(super) fn kicked(&mut self) {
        if let Some(queue) = &self.queue {
            queue.counters.kicks_in.add(1);
            self.ready = true;
        }
    }

    /// Handles a notification from the device.
    pub(super) fn called(&mut self) {
        if let Some(queue) = &self.queue {
            queue.counters.calls_in.add(1);
            self.ready = true;
        }
    }

    /// Notifies the guest if the queue is started, whether a request was returned or not.
    ///
    /// An earlier notification may be lost: a process may end after it has returned a request and
    /// before it notifies, and a VMM may discard what it has received on another file descriptor. A
    /// driver has to accept spurious notifications (VIRTIO 1.4, 2.7.7.1 "Driver Requirements: Used
    /// Buffer Notification Suppression").
    pub(crate) fn notify_guest(&self) {
        if let (Some(queue), Some(call)) = (&self.queue, &self.call) {
            notifier::notify(call);
            queue.counters.calls_out.add(1);
        }
    }

    /// Notifies the device if the queue is started, whether there is a request or not.
    pub(crate) fn notify_device(&self) {
        if let (Some(queue), Some(kick)) = (&self.queue, &self.kick) {
            notifier::notify(kick);
            queue.counters.kicks_out.add(1);
        }
    }

    /// Marks the queue as ready, so that the next [`run`](Self::run) looks for work.
    pub(crate) const fn mark_ready(&mut self) {
        self.ready = true;
    }

    /// Gives the queue to a device that is notified by `kick`.
    pub(crate) fn attach(&mut self, device: DeviceRing, kick: OwnedFd) {
        self.kick = Some(kick);
        if let Some(queue) = &mut self.queue {
            queue.attach(device);
        }
        (self.fault, self.ready) = (None, true);
    }

    /// Gives the guest back the requests that a lost device has used. Returns the numbers of the
    /// requests that the device left unfinished.
    pub(crate) fn held(&mut self) -> Held {
        self.queue.as_mut().map_or_else(Held::default, ForwardedQueue::held)
    }

    /// Takes the queue away from a device that was lost, perhaps because of one of the requests
    /// that it `held` on all queues.
    pub(crate) fn lose_device(&mut self, index: usize, held: Held) {
        for request in self.queue.iter_mut().flat_map(|queue| queue.lose_device(held)) {
            tracing::warn!(
                "a request on queue {index} fails, because {MAX_LOSSES} devices were lost while no other \
                 request could be at fault: {request}"
            );
        }
        (self.fault, self.ready) = (None, true);
    }

    /// Takes the queue away from its device.
    pub(crate) fn detach(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.detach();
        }
        (self.fault, self.ready) = (None, true);
    }

    /// Returns whether a device has the queue.
    pub(crate) fn is_attached(&self) -> bool {
        self.queue.as_ref().is_some_and(ForwardedQueue::is_attached)
    }

    /// Returns the number of requests that the guest has not got back.
    pub(crate) fn in_flight(&self) -> usize {
        self.queue.as_ref().map_or(0, ForwardedQueue::in_flight)
    }

    /// Returns whether there are bytes that [`scrub`](Self::scrub) has to zero eventually.
    pub(super) fn has_residue(&self) -> bool {
        self.queue.as_ref().is_some_and(ForwardedQueue::has_residue)
    }

    /// Zeroes a batch of bytes that the device has read. Returns whether there are more.
    pub(super) fn scrub(&mut self) -> bool {
        self.queue.as_mut().is_some_and(ForwardedQueue::scrub)
    }

    /// Moves requests if the queue is ready.
    ///
    /// Enables the notifications of both sides when there are none.
    pub(crate) fn run(&mut self, index: usize, now: Instant) -> Progress {
        if self.ready { self.advance(index, now, ForwardedQueue::run) } else { Progress::default() }
    }

    /// Moves requests and leaves notifications suppressed. Call [`run`](Self::run) before sleeping.
    pub(super) fn poll(&mut self, index: usize, now: Instant) -> Progress {
        let progress = self.advance(index, now, ForwardedQueue::poll);
        self.ready = true;
        progress
    }

    fn advance(
        &mut self,
        index: usize,
        now: Instant,
        how: fn(&mut ForwardedQueue, Instant) -> Result<Round, Violation>,
    ) -> Progress {
        let Some(queue) = self.queue.as_mut().filter(|_| self.fault.is_none()) else {
            self.ready = false;
            return Progress::default();
        };
        let round = match how(queue, now) {
            Ok(round) => round,
            Err(violation) => {
                (self.fault, self.ready) = (Some(violation), false);
                return Progress { again: false, report: true };
            }
        };
        signal(self.call.as_ref(), round.call);
        signal(self.kick.as_ref(), round.kick);
        if let Some(violation) = round.guest_fault {
            tracing::warn!("the guest broke queue {index}: {violation}; the queue is idle until it is reset");
            signal(self.error.as_ref(), true);
        }
        self.ready = round.again;
        Progress { again: round.again, report: round.again && self.watched }
    }
}

/// Notifies the file descriptor, if there is one and it is `needed`.
pub(crate) fn signal(fd: Option<&OwnedFd>, needed: bool) {
    if let Some(fd) = fd.filter(|_| needed) {
        notifier::notify(fd);
    }
}
