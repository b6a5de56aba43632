//! The states of the connection to the device.

use std::time::Instant;

use crate::device_link::{DeviceLink, Handshake, LinkError};
use crate::protocol::{Message, ReceiveError};

/// The connection to the device.
///
/// ```text
///                connect              connected             all replies
///   ┌─ Absent ───────────▶ Connecting ──────────▶ Meeting ──────────────▶ Present ─┐
///   │    ▲                     │ missing             │ rejected                     │
///   │    └─────────────────────┴─────────────────────┴────────── lost, replaced ────┘
/// ```
///
/// The first device and each later device pass through these states.
#[derive(Debug, Default)]
pub(super) enum Device {
    /// There is no connection.
    #[default]
    Absent,
    /// The shell is trying to connect.
    Connecting,
    /// The device has not replied to the handshake yet.
    Meeting(Handshake),
    /// The device is used.
    Present(Box<DeviceLink>),
}

impl Device {
    pub(super) const fn link(&self) -> Option<&DeviceLink> {
        match self {
            Self::Present(link) => Some(link),
            Self::Absent | Self::Connecting | Self::Meeting(_) => None,
        }
    }

    pub(super) const fn link_mut(&mut self) -> Option<&mut DeviceLink> {
        match self {
            Self::Present(link) => Some(link),
            Self::Absent | Self::Connecting | Self::Meeting(_) => None,
        }
    }

    /// Returns the next message to send, if there is one.
    pub(super) fn next_message(&mut self, now: Instant) -> Option<Message> {
        match self {
            Self::Absent | Self::Connecting => None,
            Self::Meeting(handshake) => handshake.next_message(now),
            Self::Present(link) => link.next_message(now),
        }
    }

    /// Returns when the device is disconnected if it still owes a reply.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Absent | Self::Connecting => None,
            Self::Meeting(handshake) => handshake.deadline(),
            Self::Present(link) => link.deadline(),
        }
    }

    /// Returns the error of a device that does not reply by the deadline.
    pub(super) fn overdue(&self, now: Instant) -> Option<LinkError> {
        match self {
            Self::Absent | Self::Connecting => None,
            Self::Meeting(handshake) => handshake.overdue(now),
            Self::Present(link) => link.overdue(now),
        }
    }

    /// Returns the error of a device that sends no more messages.
    pub(super) fn closed(&self, source: ReceiveError) -> LinkError {
        match self {
            Self::Absent | Self::Connecting => LinkError::Disconnected(source),
            Self::Meeting(handshake) => handshake.closed(source),
            Self::Present(link) => link.closed(source),
        }
    }
}
