//! Requests to the device, and the device's replies, which come in the same order but may be late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::error::LinkError;
use super::reply::{body, reply_to};
use crate::protocol::{Message, ReceiveError, Request};

/// The longest time that a device may owe a reply without sending any reply.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a device may take to reply to `CHECK_DEVICE_STATE`.
///
/// The device may still have to read the state, and the VMM waits without limit.
pub const STATE_REPLY_TIMEOUT: Duration = Duration::from_secs(300);

/// The largest number of messages that are sent before the device has handled the first of them.
///
/// A socket has room for about 200 messages.
const WINDOW: usize = 32;

/// The number of unhandled messages from which on requests of the VMM are not relayed any more.
const MAX_OWED: usize = 64;

/// How many messages may wait for the device to handle earlier ones.
///
/// The messages that start all queues are fewer than half of this number.
const MAX_QUEUED: usize = 4096;

/// Identifies a request of the VMM that was relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// The purpose of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The device has to accept the request.
    Accept,
    /// The reply is for the VMM, if the VMM still waits for it.
    Relay(Ticket),
    /// The reply shows that the device has enabled the queue with this index.
    Enable(u32),
    /// The reply shows only that the device has handled the messages before.
    Barrier,
}

/// A message to the device. There is no purpose if the message has no reply.
#[derive(Debug)]
struct Queued {
    request: Request,
    purpose: Option<Purpose>,
    message: Message,
}

/// A message that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    request: Request,
    purpose: Option<Purpose>,
}

/// A reply to the oldest request without one.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) request: Request,
    pub(super) purpose: Purpose,
    pub(super) reply: Message,
}

/// The messages for the device, and the replies that the device owes.
///
/// ```text
///              push          next_message             receive
///   (message) ──────▶ queued ────────────▶ sent, owed ────────▶ Answered
/// ```
///
/// At most [`WINDOW`] messages are sent and not handled. If none of these messages has a reply,
/// `GET_FEATURES` is sent behind them. The reply to `GET_FEATURES` shows that the device has
/// handled these messages.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    queued: VecDeque<Queued>,
    /// The messages that the device may not have handled.
    sent: VecDeque<Sent>,
    /// The time since which the device owes the oldest reply.
    since: Option<Instant>,
    /// The last ticket.
    tickets: u64,
}

impl Exchange {
    /// Sends a message behind all others. The message has a reply if it has a purpose.
    pub(super) fn push(&mut self, request: Request, purpose: Option<Purpose>, message: Message) {
        self.queued.push_back(Queued { request, purpose, message });
    }

    /// Issues a ticket for a request of the VMM.
    pub(super) const fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Returns the next message to send now, if there is one.
    pub(super) fn next_message(&mut self, now: Instant) -> Option<Message> {
        if self.queued.is_empty() {
            return None;
        }
        let (request, purpose, message) = if self.sent.len() < WINDOW {
            let Queued { request, purpose, message } = self.queued.pop_front()?;
            (request, purpose, message)
        } else if self.owed().is_none() {
            let request = Request::GetFeatures;
            (request, Some(Purpose::Barrier), Message::request(request, &[0u8; 0]))
        } else {
            return None;
        };
        if purpose.is_some() && self.owed().is_none() {
            self.since = Some(now);
        }
        self.sent.push_back(Sent { request, purpose });
        Some(message)
    }

    /// Takes a message of the device, which has to be the reply to the oldest request.
    pub(super) fn receive(&mut self, message: Message, now: Instant) -> Result<Answered, LinkError> {
        let number = message.request;
        let at = self.sent.iter().position(|sent| sent.purpose.is_some());
        let answered = at.and_then(|at| self.sent.drain(..=at).next_back());
        // If unasked messages were only logged, the device could fill the log.
        let Some(Sent { request, purpose: Some(purpose) }) = answered else {
            return Err(LinkError::Unasked { number });
        };
        let reply = reply_to(request, message)?;
        self.since = Some(now);
        Ok(Answered { request, purpose, reply })
    }

    /// Returns the oldest request that the device owes a reply to.
    pub(super) fn owed(&self) -> Option<Request> {
        Some(self.sent.iter().find(|sent| sent.purpose.is_some())?.request)
    }

    /// Returns whether too many messages are unhandled to relay another request of the VMM.
    pub(super) fn is_full(&self) -> bool {
        self.queued.len() + self.sent.len() >= MAX_OWED
    }

    /// Returns whether the device may not have handled one of these requests.
    pub(super) fn owes(&self, requests: &[Request]) -> bool {
        let sent = self.sent.iter().filter(|sent| sent.purpose.is_some()).map(|sent| sent.request);
        let queued = self.queued.iter().map(|queued| queued.request);
        sent.chain(queued).any(|request| requests.contains(&request))
    }

    /// Returns when the device is disconnected if it still owes a reply.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timeout = match self.owed()? {
            Request::CheckDeviceState => STATE_REPLY_TIMEOUT,
            _ => REPLY_TIMEOUT,
        };
        Some(self.since? + timeout)
    }

    /// Returns the error of a device that does not reply by the deadline, or that lets too many
    /// messages wait.
    pub(super) fn overdue(&self, now: Instant) -> Option<LinkError> {
        if self.queued.len() > MAX_QUEUED {
            return Some(LinkError::Behind { count: self.queued.len() });
        }
        (self.deadline()? <= now).then(|| self.closed(ReceiveError::Timeout))
    }

    /// Returns the error of a device that sends no more messages.
    pub(super) fn closed(&self, source: ReceiveError) -> LinkError {
        match self.owed() {
            Some(request) => LinkError::Receive { request, source },
            None => LinkError::Disconnected(source),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn message(request: Request) -> Message {
        Message::request(request, &[0u8; 0])
    }

    /// Sends all that may be sent. Returns the numbers of the messages.
    fn send(exchange: &mut Exchange, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| exchange.next_message(now)).map(|message| message.request).collect()
    }

    fn ask(exchange: &mut Exchange, request: Request, now: Instant) {
        exchange.push(request, Some(Purpose::Accept), message(request));
        send(exchange, now);
    }

    #[test]
    fn replies_belong_to_the_requests_in_their_order() {
        let (mut exchange, now) = (Exchange::default(), Instant::now());
        let requests = [Request::SetVringNum, Request::SetVringBase, Request::SetVringKick];
        requests.into_iter().for_each(|request| ask(&mut exchange, request, now));
        assert!(exchange.owes(&[Request::SetVringKick]));
        let answered = exchange.receive(message(Request::SetVringNum).reply(&0u64), now).unwrap();
        assert!(answered.request == Request::SetVringNum && answered.accepted().is_ok());
        let answered = exchange.receive(message(Request::SetVringBase).reply(&1u64), now).unwrap();
        let refused = answered.accepted().unwrap_err().to_string();
        assert_eq!(refused, "the device refuses SetVringBase (code 1)");
        // A reply to another request is an error.
        let error = exchange.receive(message(Request::SetVringNum).reply(&0u64), now).unwrap_err();
        assert_eq!(error.to_string(), "the device answers SetVringKick with message 8");
    }

    #[test]
    fn a_device_is_overdue_if_it_owes_replies_and_sends_none() {
        let (mut exchange, now) = (Exchange::default(), Instant::now());
        assert_eq!(exchange.deadline(), None);
        ask(&mut exchange, Request::SetVringNum, now);
        ask(&mut exchange, Request::SetVringBase, now + Duration::from_secs(1));
        let first = now + REPLY_TIMEOUT;
        assert_eq!(exchange.deadline(), Some(first));
        assert!(exchange.overdue(first - Duration::from_millis(1)).is_none());
        let error = exchange.overdue(first).unwrap();
        assert!(matches!(error, LinkError::Receive { request: Request::SetVringNum, .. }));
        let later = now + Duration::from_secs(9);
        exchange.receive(message(Request::SetVringNum).reply(&0u64), later).unwrap();
        // The device has the same time again for the next reply.
        assert_eq!(exchange.deadline(), Some(later + REPLY_TIMEOUT));
    }

    #[test]
    fn messages_beyond_the_window_wait_for_replies() {
        let (mut exchange, now) = (Exchange::default(), Instant::now());
        let request = Request::SetVringNum;
        for _ in 0..2 * WINDOW {
            exchange.push(request, Some(Purpose::Accept), message(request));
        }
        assert_eq!(send(&mut exchange, now).len(), WINDOW);
        exchange.receive(message(request).reply(&0u64), now).unwrap();
        assert_eq!(send(&mut exchange, now).len(), 1);
        assert!(exchange.owed().is_some() && exchange.overdue(now).is_none());
        for _ in 0..MAX_QUEUED {
            exchange.push(request, Some(Purpose::Accept), message(request));
        }
        assert!(matches!(exchange.overdue(now), Some(LinkError::Behind { .. })));
    }

    #[test]
    fn a_device_without_acknowledgements_is_asked_for_its_features_in_between() {
        let (mut exchange, now) = (Exchange::default(), Instant::now());
        for _ in 0..WINDOW + 2 {
            exchange.push(Request::SetVringNum, None, message(Request::SetVringNum));
        }
        let sent = send(&mut exchange, now);
        assert_eq!((sent.len(), sent.last()), (WINDOW + 1, Some(&(Request::GetFeatures as u32))));
        let answered = exchange.receive(message(Request::GetFeatures).reply(&1u64), now).unwrap();
        assert_eq!(answered.purpose, Purpose::Barrier);
        assert_eq!(send(&mut exchange, now).len(), 2);
        assert!(exchange.owed().is_none());
        let error = exchange.receive(message(Request::GetFeatures).reply(&1u64), now).unwrap_err();
        assert!(matches!(error, LinkError::Unasked { number: 1 }));
    }
}
