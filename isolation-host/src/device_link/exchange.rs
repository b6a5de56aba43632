//! Requests to the device and its replies, which come in the same order but perhaps late.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::error::LinkError;
use super::reply::{body, reply_to};
use crate::protocol::{Channel, Message, ReceiveError, Request};

/// How long a device may owe a reply without sending any.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How many replies a device may owe before requests of the VMM are not relayed any more.
const MAX_OWED: usize = 64;

/// What a late reply is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The device has to accept the request.
    Accept,
    /// The reply was only for the VMM, which does not wait for it any more.
    Relay,
}

/// A request that the device has not replied to.
#[derive(Clone, Copy, Debug)]
struct Outstanding {
    request: Request,
    purpose: Purpose,
}

/// A reply to the oldest outstanding request.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) request: Request,
    pub(super) purpose: Purpose,
    pub(super) reply: Message,
}

/// The connection to the device, and the replies that the device owes.
#[derive(Debug)]
pub(super) struct Exchange {
    channel: Channel,
    outstanding: VecDeque<Outstanding>,
    /// Since when the device owes the oldest reply.
    since: Instant,
}

impl Exchange {
    pub(super) fn new(channel: Channel) -> Self {
        Self { channel, outstanding: VecDeque::new(), since: Instant::now() }
    }

    /// Sends a request without a reply.
    pub(super) fn send(&self, request: Request, message: &Message) -> Result<(), LinkError> {
        self.channel.send(message).map_err(|source| LinkError::Send { request, source })
    }

    /// Sends a request with a reply.
    pub(super) fn ask(
        &mut self,
        request: Request,
        purpose: Purpose,
        message: &Message,
    ) -> Result<(), LinkError> {
        self.send(request, message)?;
        if self.outstanding.is_empty() {
            self.since = Instant::now();
        }
        self.outstanding.push_back(Outstanding { request, purpose });
        Ok(())
    }

    /// Returns the next reply, if it has arrived.
    pub(super) fn receive(&mut self) -> Result<Option<Answered>, LinkError> {
        let Some(Outstanding { request, purpose }) = self.outstanding.front().copied() else {
            return Ok(None);
        };
        let reply = self.channel.receive().map_err(|source| LinkError::Receive { request, source })?;
        let Some(reply) = reply else { return Ok(None) };
        let reply = reply_to(request, reply)?;
        self.outstanding.pop_front();
        self.since = Instant::now();
        Ok(Some(Answered { request, purpose, reply }))
    }

    /// Receives a message although the device owes no reply. Returns the number of the message.
    ///
    /// A device that owes no reply sends no message, so the call normally returns an error: the end
    /// of the connection.
    pub(super) fn unexpected(&mut self) -> Result<Option<u32>, ReceiveError> {
        Ok(self.channel.receive()?.map(|message| message.request))
    }

    /// Waits until a message may have arrived, here or at `other`.
    pub(super) fn wait(&self, other: Option<BorrowedFd<'_>>, deadline: Instant) -> Result<(), ReceiveError> {
        self.channel.wait(other, deadline)
    }

    /// Returns whether the device owes no reply.
    pub(super) fn is_settled(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Returns whether the device owes too many replies to relay another request of the VMM.
    pub(super) fn is_full(&self) -> bool {
        self.outstanding.len() >= MAX_OWED
    }

    /// Returns whether the device owes the reply to one of these requests.
    pub(super) fn owes(&self, requests: &[Request]) -> bool {
        self.outstanding.iter().any(|outstanding| requests.contains(&outstanding.request))
    }

    /// Returns when the device is given up, if it owes a reply.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.outstanding.is_empty()).then(|| self.since + REPLY_TIMEOUT)
    }

    /// Returns the error of a device that does not reply by the deadline.
    pub(super) fn overdue(&self, now: Instant) -> Option<LinkError> {
        let request = self.outstanding.front()?.request;
        (self.deadline()? <= now).then_some(LinkError::Receive { request, source: ReceiveError::Timeout })
    }
}

impl Answered {
    /// Fails if the device has refused a request without a reply of its own.
    pub(super) fn accepted(&self) -> Result<(), LinkError> {
        let Self { request, reply, .. } = self;
        if request.has_reply() {
            return Ok(());
        }
        match body(*request, reply)? {
            0u64 => Ok(()),
            code => Err(LinkError::Refused { request: *request, code }),
        }
    }
}

impl AsFd for Exchange {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    fn connected() -> (Exchange, Channel) {
        let (own, other) =
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        (Exchange::new(Channel::new(own)), Channel::new(other))
    }

    fn ask(exchange: &mut Exchange, request: Request) {
        exchange.ask(request, Purpose::Accept, &Message::request(request, &[0u8; 0])).unwrap();
    }

    #[test]
    fn replies_belong_to_the_requests_in_their_order() {
        let (mut exchange, mut device) = connected();
        let requests = [Request::SetVringNum, Request::SetVringBase, Request::SetVringKick];
        requests.into_iter().for_each(|request| ask(&mut exchange, request));
        assert!(exchange.receive().unwrap().is_none() && exchange.owes(&[Request::SetVringKick]));
        for code in 0..2u64 {
            let message = device.receive().unwrap().unwrap();
            device.send(&message.reply(&code)).unwrap();
        }
        let answered = exchange.receive().unwrap().unwrap();
        assert!(answered.request == Request::SetVringNum && answered.accepted().is_ok());
        let answered = exchange.receive().unwrap().unwrap();
        let refused = answered.accepted().unwrap_err().to_string();
        assert_eq!(refused, "the device refuses SetVringBase (code 1)");
        // A reply to another request is an error.
        device.send(&Message::request(Request::SetVringNum, &0u64).reply(&0u64)).unwrap();
        let error = exchange.receive().unwrap_err().to_string();
        assert_eq!(error, "the device answers SetVringKick with message 8");
    }

    #[test]
    fn a_device_is_overdue_if_it_owes_replies_and_sends_none() {
        let (mut exchange, mut device) = connected();
        assert_eq!(exchange.deadline(), None);
        ask(&mut exchange, Request::SetVringNum);
        ask(&mut exchange, Request::SetVringBase);
        let first = exchange.deadline().unwrap();
        assert!(exchange.overdue(first - Duration::from_millis(1)).is_none());
        let error = exchange.overdue(first).unwrap();
        assert!(matches!(error, LinkError::Receive { request: Request::SetVringNum, .. }));
        let message = device.receive().unwrap().unwrap();
        device.send(&message.reply(&0u64)).unwrap();
        exchange.receive().unwrap().unwrap();
        // The device has as long again for the next reply.
        assert!(exchange.deadline().unwrap() > first);
    }
}
