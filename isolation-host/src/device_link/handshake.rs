//! The first requests to a device, whose replies may take long.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use super::DeviceLink;
use super::budget::Budget;
use super::error::LinkError;
use super::exchange::{Exchange, Purpose};
use super::reply::body;
use crate::negotiation;
use crate::protocol::features::{PROTOCOL_FEATURES, protocol};
use crate::protocol::{Channel, Message, Request};

/// A connection on which the device was asked what it offers, and has not replied to everything.
///
/// A connection is established before the device accepts it. The device may be stopped, or busy
/// with another front-end, so the control thread does not block until the replies arrive.
#[derive(Debug)]
pub struct Handshake {
    exchange: Exchange,
    features: u64,
    protocol: u64,
    queues: Option<u64>,
}

impl Handshake {
    /// Asks the device for its features.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the connection has ended already.
    pub fn new(channel: Channel) -> Result<Self, LinkError> {
        let exchange = Exchange::new(channel);
        let mut handshake = Self { exchange, features: 0, protocol: 0, queues: None };
        handshake.ask(Request::GetFeatures)?;
        Ok(handshake)
    }

    /// Returns when the handshake fails without a reply.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.exchange.deadline()
    }

    /// Handles the replies that have arrived. Returns whether there were all of them.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if a message is not the expected reply, or the deadline has passed.
    pub fn poll(&mut self) -> Result<bool, LinkError> {
        while let Some(answered) = self.exchange.receive()? {
            let value = body(answered.request, &answered.reply)?;
            self.continue_after(answered.request, value)?;
        }
        match self.exchange.overdue(Instant::now()) {
            Some(error) => Err(error),
            None => Ok(self.exchange.is_settled()),
        }
    }

    fn continue_after(&mut self, request: Request, value: u64) -> Result<(), LinkError> {
        match request {
            Request::GetFeatures => {
                self.features = value;
                self.tell(Request::SetOwner, &[0u8; 0])?;
                if value & PROTOCOL_FEATURES != 0 {
                    self.ask(Request::GetProtocolFeatures)?;
                }
            }
            Request::GetProtocolFeatures => {
                self.protocol = value;
                let used = negotiation::protocol_asked(value);
                // Acknowledgements are not negotiated yet, so the device does not reply.
                self.tell(Request::SetProtocolFeatures, &used)?;
                if used & protocol::MQ != 0 {
                    self.ask(Request::GetQueueNum)?;
                }
            }
            _ => self.queues = Some(value),
        }
        Ok(())
    }

    /// Waits for all replies, and completes the handshake. `budget` limits later waits.
    ///
    /// # Errors
    ///
    /// As for [`poll`](Self::poll).
    pub fn wait(mut self, budget: Budget) -> Result<DeviceLink, LinkError> {
        while !self.poll()? {
            if let Some(deadline) = self.deadline() {
                // After a timeout, `poll` fails.
                let _ = self.exchange.wait(None, deadline);
            }
        }
        self.complete(budget)
    }

    /// Completes a handshake for which all replies have arrived. `budget` limits later waits.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses the back-end channel.
    pub fn complete(self, budget: Budget) -> Result<DeviceLink, LinkError> {
        let Self { exchange, features, protocol, queues } = self;
        DeviceLink::new(exchange, budget, features, protocol, queues)
    }

    fn ask(&mut self, request: Request) -> Result<(), LinkError> {
        self.exchange.ask(request, Purpose::Accept, &Message::request(request, &[0u8; 0]))
    }

    fn tell(
        &self,
        request: Request,
        payload: &(impl zerocopy::IntoBytes + zerocopy::Immutable + ?Sized),
    ) -> Result<(), LinkError> {
        self.exchange.send(request, &Message::request(request, payload))
    }
}

impl AsFd for Handshake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.exchange.as_fd()
    }
}
