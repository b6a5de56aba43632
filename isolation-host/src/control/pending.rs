//! The events that a request of the VMM waits for.

use std::time::{Duration, Instant};

use super::drain::Drain;
use crate::device_link::Ticket;
use crate::protocol::Message;

/// A request of the VMM that waits for something.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) request: Message,
    pub(super) what: Pending,
}

/// The events that a request of the VMM waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pending {
    /// A queue whose requests in flight are finished before the queue is stopped.
    Drain(Drain),
    /// The device stops a queue.
    Stop {
        /// The index of the queue.
        index: usize,
        /// How long to wait for the device.
        wait: Wait,
    },
    /// The device stops all queues.
    StopAll {
        /// What happens after all queues have stopped.
        then: AfterStop,
        /// How long to wait for the device.
        wait: Wait,
    },
    /// The device is reset.
    Reset {
        /// How long to wait for the device.
        wait: Wait,
    },
    /// The device replies to a relayed request.
    Relay {
        /// The ticket of the reply.
        ticket: Ticket,
        /// The ticket of an earlier reply that is needed, too.
        limits: Option<Ticket>,
        /// How long to wait for the device.
        wait: Wait,
    },
}

/// What happens when all queues are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterStop {
    /// Nothing else happens.
    Keep,
    /// The device is reset.
    Reset,
}

/// A wait for the device.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    begun: Instant,
    deadline: Instant,
    /// Whether the wait is subtracted from the budget.
    limited: bool,
}

impl Wait {
    /// Begins a wait that is subtracted from the budget.
    pub(super) fn limited(now: Instant, timeout: Duration) -> Self {
        Self { begun: now, deadline: now + timeout, limited: true }
    }

    /// Begins a wait without regard to the budget.
    pub(super) fn unlimited(now: Instant, timeout: Duration) -> Self {
        Self { begun: now, deadline: now + timeout, limited: false }
    }

    /// Returns the time to subtract from the budget when the wait ends.
    pub(super) fn price(&self, now: Instant) -> Duration {
        if self.limited { now.saturating_duration_since(self.begun) } else { Duration::ZERO }
    }

    /// Returns whether the wait is over.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.deadline <= now
    }
}

impl Pending {
    /// Returns when the VMM is answered at the latest.
    pub(super) const fn deadline(&self) -> Instant {
        match self {
            Self::Drain(drain) => drain.deadline(),
            Self::Stop { wait, .. }
            | Self::StopAll { wait, .. }
            | Self::Reset { wait }
            | Self::Relay { wait, .. } => wait.deadline,
        }
    }
}
