//! The first requests to a device, whose replies may take long.

use std::time::Instant;

use super::DeviceLink;
use super::error::LinkError;
use super::exchange::{Exchange, Purpose};
use super::reply::body;
use crate::negotiation;
use crate::protocol::features::{PROTOCOL_FEATURES, protocol};
use crate::protocol::{Message, ReceiveError, Request};

/// A connection on which the device was asked what it offers, and has not replied to everything.
///
/// A connection is established before the device accepts it. The device may be stopped, or busy
/// with another front-end.
#[derive(Debug)]
pub struct Handshake {
    exchange: Exchange,
    features: u64,
    protocol: u64,
    queues: Option<u64>,
}

impl Default for Handshake {
    /// Begins with the request for the device's features.
    fn default() -> Self {
        let mut handshake = Self { exchange: Exchange::default(), features: 0, protocol: 0, queues: None };
        handshake.ask(Request::GetFeatures);
        handshake
    }
}

impl Handshake {
    /// Returns when the handshake fails without a reply.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.exchange.deadline()
    }

    /// Returns the error of a device that does not reply by the deadline.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Option<LinkError> {
        self.exchange.overdue(now)
    }

    /// Returns the error of a device that sends no more messages.
    #[must_use]
    pub fn closed(&self, source: ReceiveError) -> LinkError {
        self.exchange.closed(source)
    }

    /// Returns the next message to send to the device, if there is one.
    pub fn next_message(&mut self, now: Instant) -> Option<Message> {
        self.exchange.next_message(now)
    }

    /// Handles a message of the device. Returns whether it was the last one.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the message is not the expected reply.
    pub fn receive(&mut self, message: Message, now: Instant) -> Result<bool, LinkError> {
        let answered = self.exchange.receive(message, now)?;
        let value = body(answered.request, &answered.reply)?;
        self.continue_after(answered.request, value);
        Ok(!self.exchange.owes(&[Request::GetProtocolFeatures, Request::GetQueueNum]))
    }

    fn continue_after(&mut self, request: Request, value: u64) {
        match request {
            Request::GetFeatures => {
                self.features = value;
                self.tell(Request::SetOwner, &[0u8; 0]);
                if value & PROTOCOL_FEATURES != 0 {
                    self.ask(Request::GetProtocolFeatures);
                }
            }
            Request::GetProtocolFeatures => {
                self.protocol = value;
                let used = negotiation::protocol_asked(value);
                // Acknowledgements are not negotiated yet, so the device does not reply.
                self.tell(Request::SetProtocolFeatures, &used);
                if used & protocol::MQ != 0 {
                    self.ask(Request::GetQueueNum);
                }
            }
            _ => self.queues = Some(value),
        }
    }

    /// Completes a handshake for which all replies have arrived.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the process has too many open files.
    pub fn complete(self) -> Result<DeviceLink, LinkError> {
        let Self { exchange, features, protocol, queues } = self;
        DeviceLink::new(exchange, features, protocol, queues)
    }

    fn ask(&mut self, request: Request) {
        self.exchange.push(request, Some(Purpose::Accept), Message::request(request, &[0u8; 0]));
    }

    fn tell(
        &mut self,
        request: Request,
        payload: &(impl zerocopy::IntoBytes + zerocopy::Immutable + ?Sized),
    ) {
        self.exchange.push(request, None, Message::request(request, payload));
    }
}
