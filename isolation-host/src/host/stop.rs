//! How a queue is stopped: what is in flight is finished first, as far as its type asks for it.

use std::time::{Duration, Instant};

use super::requests::{Answer, RequestError};
use super::vmm::Stopping;
use super::{Host, Source};
use crate::causes::WithCauses;
use crate::device_link::DeviceLink;
use crate::device_type::AtStop;
use crate::protocol::Message;
use crate::protocol::payload::VringState;

/// How long a queue whose requests may never finish is waited for when nothing moves there.
pub(super) const QUIET: Duration = Duration::from_millis(250);

impl Host {
    /// Stops a queue, once nothing is in flight there.
    pub(super) fn stop_queue(&mut self, message: &mut Message) -> Result<Answer, RequestError> {
        let VringState { index, .. } = message.body()?;
        let index = self.queue_index(index.into())?;
        self.close_queue(index);
        let patience = self.patience(index);
        if patience.is_zero() {
            let state = VringState { index: u32::try_from(index).unwrap_or(0), num: self.end_queue(index) };
            return Ok(Answer::Reply(message.reply(&state)));
        }
        let left = self.in_flight(index);
        tracing::debug!("queue {index} stops when {left} requests are done");
        let deadline = Instant::now() + patience;
        let request = Message::request(message.request, &message.payload[..]);
        if let Some(session) = self.vmm.session_mut() {
            self.poller.pause(&session.channel, Source::Vmm);
            session.stopping = Some(Stopping { index, request, left, deadline });
        }
        Ok(Answer::Later)
    }

    /// Answers the VMM that waits for a queue to stop, if that has come about.
    pub(super) fn finish_stops(&mut self) {
        let stopping = self.vmm.session().and_then(|session| session.stopping.as_ref());
        let Some(&Stopping { index, deadline, left: before, .. }) = stopping else { return };
        self.give_back_without_device(index);
        let left = self.in_flight(index);
        let (now, patience) = (Instant::now(), self.patience(index));
        let at_stop = self.options.device_type.at_stop(index);
        let Some(session) = self.vmm.session_mut() else { return };
        if let Some(stopping) = session.stopping.as_mut().filter(|_| left < before) {
            stopping.left = left;
            if at_stop == AtStop::FinishWhileBusy {
                stopping.deadline = now + patience;
            }
        }
        if left > 0 && now < deadline {
            return;
        }
        let Some(Stopping { request, .. }) = session.stopping.take() else { return };
        self.poller.go_on(&session.channel, Source::Vmm);
        let state = VringState { index: u32::try_from(index).unwrap_or(0), num: self.end_queue(index) };
        self.reply(&request.reply(&state));
    }

    /// Puts what no device has back into the guest's ring, where that can be done: there is no device to finish it.
    fn give_back_without_device(&self, index: usize) {
        if self.device.is_none()
            && let Some(queue) = self.queues.get(index)
            && let Some(shadow) = &mut queue.lane().shadow
        {
            shadow.give_back();
        }
    }

    /// Stops all of them at once.
    pub(super) fn end_all_queues(&mut self) {
        for index in 0..self.queues.len() {
            self.end_queue(index);
        }
    }

    /// Stops all queues, and has the device forget what came of them.
    pub(super) fn reset_device(&mut self) {
        self.end_all_queues();
        self.queues.iter_mut().for_each(|queue| queue.enabled = false);
        if let Some(Err(error)) = self.device.as_mut().map(DeviceLink::reset) {
            self.lose_device(&WithCauses(&error).to_string());
        }
    }

    /// How long to wait for what is in flight on a queue that is stopped now.
    pub(super) fn patience(&self, index: usize) -> Duration {
        match self.options.device_type.at_stop(index) {
            _ if self.in_flight(index) == 0 => Duration::ZERO,
            AtStop::Finish => self.options.drain,
            AtStop::FinishWhileBusy => QUIET.min(self.options.drain),
            AtStop::HandBack => Duration::ZERO,
        }
    }
}
