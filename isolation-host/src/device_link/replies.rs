//! The device's replies.

use std::time::Instant;

use super::DeviceLink;
use super::error::LinkError;
use super::exchange::{Answered, Purpose, Ticket};
use super::reply::body;
use crate::area::Area;
use crate::protocol::{Message, ReceiveError, Request};

/// An event on the link to a device.
#[derive(Debug)]
pub enum LinkEvent {
    /// A request that was relayed has its reply.
    Relayed(Relayed),
    /// The device has enabled the queue with this index.
    Enabled(u32),
}

/// The reply to a request that was relayed.
#[derive(Debug)]
pub struct Relayed {
    /// The ticket of the request.
    pub ticket: Ticket,
    /// The request.
    pub request: Request,
    /// The reply, or the refusal of a request without a reply of its own.
    pub reply: Result<Message, LinkError>,
}

impl DeviceLink {
    /// Returns the next message to send to the device, if there is one.
    pub fn next_message(&mut self, now: Instant) -> Option<Message> {
        self.exchange.next_message(now)
    }

    /// Handles a message of the device. Returns the event that the message reports, if any.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses a request that it has to accept, or sends a message
    /// unasked.
    pub fn receive(&mut self, message: Message, now: Instant) -> Result<Option<LinkEvent>, LinkError> {
        let answered = self.exchange.receive(message, now)?;
        let Answered { request, purpose, .. } = answered;
        let ticket = match purpose {
            Purpose::Barrier => return Ok(None),
            Purpose::Enable(index) => {
                answered.accepted()?;
                return Ok(Some(LinkEvent::Enabled(index)));
            }
            Purpose::Accept => {
                answered.accepted()?;
                self.apply(&answered)?;
                return Ok(None);
            }
            Purpose::Relay(ticket) => ticket,
        };
        let reply = match answered.accepted() {
            Ok(()) => Ok(answered.reply),
            Err(error @ LinkError::Refused { .. }) => Err(error),
            Err(error) => return Err(error),
        };
        Ok(Some(LinkEvent::Relayed(Relayed { ticket, request, reply })))
    }

    /// Returns when the device is disconnected if it still owes a reply.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.exchange.deadline()
    }

    /// Returns the error of a device that does not reply by the deadline, or that lets too many
    /// messages wait.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Option<LinkError> {
        self.exchange.overdue(now)
    }

    /// Returns the error of a device that sends no more messages.
    #[must_use]
    pub fn closed(&self, source: ReceiveError) -> LinkError {
        self.exchange.closed(source)
    }

    /// Notes what a reply says about the device's queues.
    fn apply(&mut self, answered: &Answered) -> Result<(), LinkError> {
        match answered.request {
            Request::GetVringBase => self.left.record(body(answered.request, &answered.reply)?),
            Request::ResetDevice => {
                // The device has forgotten its queues and their requests.
                self.left.clear();
                self.area.as_ref().map_or(Ok(()), Area::clear)?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::exchange::{Exchange, REPLY_TIMEOUT};
    use super::*;
    use crate::protocol::features::{PROTOCOL_FEATURES, protocol};

    /// After an enable, a device without REPLY_ACK has to reply within the same limit as any other
    /// device.
    #[test]
    fn a_queue_counts_as_enabled_only_after_a_reply_in_time() {
        for offered in [0, protocol::REPLY_ACK] {
            let exchange = Exchange::default();
            let mut link = DeviceLink::new(exchange, PROTOCOL_FEATURES, offered, None).unwrap();
            let now = Instant::now();
            link.enable(1, true);
            let last = std::iter::from_fn(|| link.next_message(now)).last().unwrap();
            let due = now + REPLY_TIMEOUT;
            assert!(link.overdue(due - Duration::from_millis(1)).is_none());
            assert!(matches!(link.overdue(due), Some(LinkError::Receive { .. })));
            let event = link.receive(last.reply(&0u64), now).unwrap();
            assert!(matches!(event, Some(LinkEvent::Enabled(1))), "{event:?}");
            assert_eq!(link.deadline(), None);
        }
    }
}
