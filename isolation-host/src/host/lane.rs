//! The part of a queue that moves: a worker runs it, while the host's own thread starts, stops and replaces what is
//! around it. Whoever touches it locks it.

use std::os::fd::OwnedFd;

use ring_core::Violation;

use crate::forward::{DeviceEnd, Round, Shadow};
use crate::notifier;

/// What is moved, and who is notified.
#[derive(Debug)]
pub(super) struct Lane {
    /// The queue, while it is started.
    pub(super) shadow: Option<Shadow>,
    /// To the guest.
    pub(super) call: Option<OwnedFd>,
    /// To the VMM: the queue is broken.
    pub(super) error: Option<OwnedFd>,
    /// To the device.
    kick: Option<OwnedFd>,
    /// Whether there may be something to do.
    ready: bool,
    /// Whether the host waits for what is in flight.
    pub(super) watched: bool,
    /// How the device has broken the queue, until it is replaced.
    pub(super) fault: Option<Violation>,
}

/// What came of running a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// There may be more to do.
    pub(super) again: bool,
    /// The host has to look at the lane.
    pub(super) report: bool,
}

impl Lane {
    /// A queue that is not started.
    pub(super) const fn new() -> Self {
        Self { shadow: None, call: None, error: None, kick: None, ready: false, watched: false, fault: None }
    }

    /// The guest has notified.
    pub(super) fn kicked(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.statistics.kicks_in += 1;
            self.ready = true;
        }
    }

    /// The device has notified.
    pub(super) fn called(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.statistics.calls_in += 1;
            self.ready = true;
        }
    }

    /// Something has changed that may give the queue something to do.
    pub(super) const fn wake(&mut self) {
        self.ready = true;
    }

    /// Gives the queue to a device that is notified by `kick`.
    pub(super) fn attach(&mut self, device: DeviceEnd, kick: OwnedFd) {
        self.kick = Some(kick);
        if let Some(shadow) = &mut self.shadow {
            shadow.attach(device);
        }
        (self.fault, self.ready) = (None, true);
    }

    /// Takes the queue away from its device.
    pub(super) fn detach(&mut self) {
        if let Some(shadow) = &mut self.shadow {
            shadow.detach();
        }
        (self.fault, self.ready) = (None, true);
    }

    /// Requests that the guest has not got back.
    pub(super) fn in_flight(&self) -> usize {
        self.shadow.as_ref().map_or(0, Shadow::in_flight)
    }

    /// Moves what can be moved, if there may be anything, and asks both sides to notify if there is nothing.
    pub(super) fn run(&mut self, index: usize) -> Progress {
        if self.ready { self.advance(index, Shadow::run) } else { Progress::default() }
    }

    /// Moves what can be moved, and asks nobody to notify: the lane has to be run before anyone sleeps.
    pub(super) fn poll(&mut self, index: usize) -> Progress {
        let progress = self.advance(index, Shadow::poll);
        self.ready = true;
        progress
    }

    fn advance(&mut self, index: usize, how: fn(&mut Shadow) -> Result<Round, Violation>) -> Progress {
        let Some(shadow) = self.shadow.as_mut().filter(|_| self.fault.is_none()) else {
            self.ready = false;
            return Progress::default();
        };
        let round = match how(shadow) {
            Ok(round) => round,
            Err(violation) => {
                (self.fault, self.ready) = (Some(violation), false);
                return Progress { again: false, report: true };
            }
        };
        signal(self.call.as_ref(), round.call);
        signal(self.kick.as_ref(), round.kick);
        if let Some(violation) = round.guest_fault {
            tracing::warn!("the guest broke queue {index}: {violation}; it is idle until it is reset");
            signal(self.error.as_ref(), true);
        }
        self.ready = round.again;
        Progress { again: round.again, report: round.again && self.watched }
    }
}

/// Notifies, if there is anyone to notify and a reason to.
pub(super) fn signal(fd: Option<&OwnedFd>, wanted: bool) {
    if let Some(fd) = fd.filter(|_| wanted) {
        notifier::notify(fd);
    }
}
