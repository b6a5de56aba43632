//! The events that the control thread waits for.

use num_enum::TryFromPrimitive;

use crate::poller;

/// What is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, TryFromPrimitive)]
#[repr(u64)]
pub(super) enum Ready {
    /// A VMM wants to connect.
    Listener,
    /// The VMM has sent a message or disconnected.
    Vmm,
    /// The device has sent a message or disconnected.
    Device,
    /// The device has sent a message on the back-end channel, or closed the channel.
    BackendChannel,
    /// The process has received SIGUSR1.
    Signal,
    /// A worker reports that a queue needs attention.
    Workers,
    /// An operator wants to read a report.
    Reports,
}

impl poller::Event for Ready {
    fn to_data(self) -> u64 {
        self as u64
    }

    fn from_data(data: u64) -> Option<Self> {
        Self::try_from(data).ok()
    }
}
