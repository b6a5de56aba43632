//! The first request to a device, whose reply may take long.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::REPLY_TIMEOUT;
use super::error::LinkError;
use super::reply::{body, reply_to};
use crate::protocol::{Channel, Message, ReceiveError, Request};

/// A connection on which the device was asked for its features and has not replied yet.
///
/// A connection is established before the device accepts it. The device may be stopped, or busy
/// with another front-end, so the control thread does not block until the reply arrives.
#[derive(Debug)]
pub struct Handshake {
    channel: Channel,
    deadline: Instant,
}

impl Handshake {
    const REQUEST: Request = Request::GetFeatures;

    /// Asks the device for its features.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the connection has ended already.
    pub fn new(channel: Channel) -> Result<Self, LinkError> {
        let request = Self::REQUEST;
        let sent = channel.send(&Message::request(request, &[0u8; 0]));
        sent.map_err(|source| LinkError::Send { request, source })?;
        Ok(Self { channel, deadline: Instant::now() + REPLY_TIMEOUT })
    }

    /// Returns when the handshake fails without a reply.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the virtio features that the device offers, if the reply has arrived.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the message is not the reply, or the deadline has passed.
    pub fn poll(&mut self) -> Result<Option<u64>, LinkError> {
        let request = Self::REQUEST;
        let failed = |source| LinkError::Receive { request, source };
        match self.channel.receive().map_err(failed)? {
            Some(message) => body(request, &reply_to(request, message)?).map(Some),
            None if self.deadline <= Instant::now() => Err(failed(ReceiveError::Timeout)),
            None => Ok(None),
        }
    }

    /// Waits for the reply. Returns the virtio features that the device offers.
    ///
    /// # Errors
    ///
    /// As for [`poll`](Self::poll).
    pub fn wait(&mut self) -> Result<u64, LinkError> {
        let request = Self::REQUEST;
        let message = self.channel.receive_by(self.deadline);
        let message = message.map_err(|source| LinkError::Receive { request, source })?;
        body(request, &reply_to(request, message)?)
    }

    pub(super) fn into_channel(self) -> Channel {
        self.channel
    }
}

impl AsFd for Handshake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
