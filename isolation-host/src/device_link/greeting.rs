//! The first question to a device, which may take its time to answer it.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::{LinkError, PATIENCE, answer, body};
use crate::protocol::{Channel, Message, ReceiveError, Request};

/// A connection on which a device was asked what it offers.
///
/// That somebody listens at a socket does not mean that somebody accepts: the device may be stopped, or busy with
/// another front-end. So nobody waits for this answer who has anything else to do.
#[derive(Debug)]
pub struct Greeting {
    channel: Channel,
    /// When it has taken long enough.
    deadline: Instant,
}

impl Greeting {
    const REQUEST: Request = Request::GetFeatures;

    /// Asks.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the connection has ended already.
    pub fn new(channel: Channel) -> Result<Self, LinkError> {
        let request = Self::REQUEST;
        let sent = channel.send(&Message::request(request, &[0u8; 0]));
        sent.map_err(|source| LinkError::Send { request, source })?;
        Ok(Self { channel, deadline: Instant::now() + PATIENCE })
    }

    /// By when the device has to answer.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The answer, if it has come: the virtio features that the device offers.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if it is none, or overdue.
    pub fn answer(&mut self) -> Result<Option<u64>, LinkError> {
        let request = Self::REQUEST;
        let failed = |source| LinkError::Receive { request, source };
        match self.channel.receive().map_err(failed)? {
            Some(reply) => body(&answer(reply, request)?, request).map(Some),
            None if self.deadline <= Instant::now() => Err(failed(ReceiveError::Overdue)),
            None => Ok(None),
        }
    }

    /// The same, for whoever has nothing else to do: waits for it.
    ///
    /// # Errors
    ///
    /// As for [`answer`](Self::answer).
    pub fn wait(&mut self) -> Result<u64, LinkError> {
        let request = Self::REQUEST;
        let reply = self.channel.receive_by(self.deadline);
        let reply = reply.map_err(|source| LinkError::Receive { request, source })?;
        body(&answer(reply, request)?, request)
    }

    /// The connection, for what is said next.
    pub(super) fn into_channel(self) -> Channel {
        self.channel
    }
}

impl AsFd for Greeting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
