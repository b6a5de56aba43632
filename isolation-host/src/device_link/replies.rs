//! Waiting for the device's replies, and handling those that come late.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use zerocopy::{Immutable, IntoBytes};

use super::DeviceLink;
use super::budget::Budget;
use super::error::LinkError;
use super::exchange::{Answered, Purpose};
use super::reply::body;
use crate::area::Area;
use crate::protocol::features::protocol;
use crate::protocol::{Message, ReceiveError, Request};

/// How long a device may take to reply to `CHECK_DEVICE_STATE`.
///
/// The device may still have to read the state, and the VMM waits without limit.
const STATE_REPLY_TIMEOUT: Duration = Duration::from_secs(300);

impl DeviceLink {
    /// Receives what has arrived from the device.
    ///
    /// # Errors
    ///
    /// [`LinkError`] if the device refuses what it has to accept, sends a message unasked, or has
    /// disconnected.
    pub fn receive(&mut self) -> Result<(), LinkError> {
        while let Some(answered) = self.exchange.receive()? {
            self.take_late(answered)?;
        }
        if !self.exchange.is_settled() {
            return Ok(());
        }
        match self.exchange.unexpected() {
            Ok(None) => Ok(()),
            // To ignore the message would let the device fill the log.
            Ok(Some(number)) => Err(LinkError::Unasked { number }),
            Err(source) => Err(LinkError::Disconnected(source)),
        }
    }

    /// Returns when the device is given up, if it owes a reply.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.exchange.deadline()
    }

    /// Returns the error of a device that does not reply by the deadline.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Option<LinkError> {
        self.exchange.overdue(now)
    }

    /// Returns what is left of the budget.
    #[must_use]
    pub const fn budget(&self) -> Budget {
        self.budget
    }

    /// Allows waits of the whole budget again, because no message of the VMM is waiting.
    pub const fn refill_budget(&mut self) {
        self.budget.refill();
    }

    /// Returns a configuration that came too late for the VMM.
    pub const fn take_late_config(&mut self) -> Option<Vec<u8>> {
        self.late_config.take()
    }

    /// Sends a request and waits for the reply. Returns nothing if the budget is spent before.
    ///
    /// Does not wait for a device that owes replies already, unless the VMM needs this one.
    ///
    /// Serves the back-end channel meanwhile, because the device may wait for a reply there first.
    pub(super) fn ask(
        &mut self,
        request: Request,
        purpose: Purpose,
        message: &Message,
    ) -> Result<Option<Message>, LinkError> {
        if purpose == Purpose::Relay && self.exchange.is_full() {
            return Ok(None);
        }
        let behind = !self.exchange.is_settled();
        self.exchange.ask(request, purpose, message)?;
        let (begun, unlimited) = (Instant::now(), request == Request::CheckDeviceState);
        let wait = match purpose {
            _ if unlimited => STATE_REPLY_TIMEOUT,
            Purpose::Accept if behind => Duration::ZERO,
            Purpose::Accept | Purpose::Relay => self.budget.left(),
        };
        let answered = self.wait_for_last(begun + wait)?;
        if !unlimited {
            self.budget.spend(begun.elapsed());
        }
        match answered {
            Some(answered) => {
                answered.accepted()?;
                self.apply(&answered)?;
                Ok(Some(answered.reply))
            }
            None if unlimited => Err(LinkError::Receive { request, source: ReceiveError::Timeout }),
            None => Ok(None),
        }
    }

    /// Waits until the deadline for the reply to the newest request.
    fn wait_for_last(&mut self, deadline: Instant) -> Result<Option<Answered>, LinkError> {
        loop {
            while let Some(answered) = self.exchange.receive()? {
                if self.exchange.is_settled() {
                    return Ok(Some(answered));
                }
                self.take_late(answered)?;
            }
            self.serve_backend_channel();
            let backend = self.backend.as_ref().map(AsFd::as_fd);
            match self.exchange.wait(backend, deadline) {
                Ok(()) => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// Handles a reply for which nothing waits any more.
    fn take_late(&mut self, answered: Answered) -> Result<(), LinkError> {
        tracing::debug!("the device has answered {:?} late", answered.request);
        if answered.purpose == Purpose::Accept {
            answered.accepted()?;
        }
        self.apply(&answered)?;
        if answered.request == Request::GetConfig {
            self.late_config = Some(answered.reply.payload);
        }
        Ok(())
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

    /// Sends a request that has no reply of its own. If `REPLY_ACK` was negotiated, waits for the
    /// acknowledgement.
    pub(super) fn command(
        &mut self,
        request: Request,
        payload: &(impl IntoBytes + Immutable + ?Sized),
        fds: impl IntoIterator<Item = OwnedFd>,
    ) -> Result<(), LinkError> {
        let mut message = Message::request(request, payload);
        message.fds.extend(fds);
        if self.protocol & protocol::REPLY_ACK == 0 {
            return self.exchange.send(request, &message);
        }
        self.ask(request, Purpose::Accept, &message.needing_reply()).map(drop)
    }
}
