//! Stopping a queue: requests in flight are finished first, as far as the device type requires.

use std::time::{Duration, Instant};

use super::Host;
use super::answer::{Answer, RequestError};
use super::event::Event;
use super::queue::number;
use crate::device_link::DeviceLink;
use crate::device_type::AtStop;
use crate::error_chain::ErrorChain;
use crate::forward::signal;
use crate::protocol::Message;
use crate::protocol::payload::VringState;

/// How long to wait without progress for a queue whose requests may never finish.
pub(super) const QUIET_TIMEOUT: Duration = Duration::from_millis(250);

/// A queue that is being stopped.
#[derive(Debug)]
pub(super) struct Stopping {
    index: usize,
    /// The request that waits for a reply.
    request: Message,
    /// The requests in flight when last counted.
    left: usize,
    /// When the queue is stopped with requests unfinished.
    deadline: Instant,
}

impl Stopping {
    pub(super) const fn deadline(&self) -> Instant {
        self.deadline
    }
}

impl Host {
    /// Stops a queue now, or begins to wait for its requests in flight.
    pub(super) fn stop_queue(&mut self, message: &mut Message) -> Result<Answer, RequestError> {
        let VringState { index, .. } = message.body()?;
        let index = self.queue_index(index.into())?;
        self.begin_drain(index);
        let timeout = self.drain_timeout(index);
        if timeout.is_zero() {
            let state = VringState { index: number(index).into(), num: self.finish_queue(index) };
            return Ok(Answer::to(message, &state));
        }
        let left = self.in_flight(index);
        tracing::debug!("queue {index} stops when {left} requests are done");
        let deadline = Instant::now() + timeout;
        let request = Message::request(message.request, &message.payload[..]);
        if let Some(session) = self.vmm.session_mut() {
            self.poller.pause(&session.channel, Event::Vmm);
            session.stopping = Some(Stopping { index, request, left, deadline });
        }
        Ok(Answer::Later)
    }

    /// Finishes the queue that is being stopped, and replies to the VMM.
    ///
    /// Does nothing as long as requests are in flight and the deadline has not passed.
    pub(super) fn poll_stop(&mut self) {
        let stopping = self.vmm.session().and_then(|session| session.stopping.as_ref());
        let Some(&Stopping { index, deadline, left: before, .. }) = stopping else { return };
        self.unpop_without_device(index);
        let left = self.in_flight(index);
        let (now, timeout) = (Instant::now(), self.drain_timeout(index));
        let at_stop = self.options.device_type.at_stop(index);
        let Some(session) = self.vmm.session_mut() else { return };
        if let Some(stopping) = session.stopping.as_mut().filter(|_| left < before) {
            stopping.left = left;
            if at_stop == AtStop::FinishWhileBusy {
                stopping.deadline = now + timeout;
            }
        }
        if left > 0 && now < deadline {
            return;
        }
        let Some(Stopping { request, .. }) = session.stopping.take() else { return };
        self.poller.resume(&session.channel, Event::Vmm);
        let state = VringState { index: number(index).into(), num: self.finish_queue(index) };
        self.reply(&request.reply(&state));
    }

    /// Puts requests back into the guest's ring if there is no device that could finish them.
    fn unpop_without_device(&self, index: usize) {
        if self.device.is_some() {
            return;
        }
        let Some(queue) = self.queues.get(index) else { return };
        if let Some(forwarded) = &mut queue.lock().queue {
            forwarded.unpop();
        }
    }

    /// Takes no more requests from the guest on this queue, and has the worker report its progress.
    pub(super) fn begin_drain(&mut self, index: usize) {
        if let Some(queue) = self.queues.get_mut(index) {
            if let Some(kick) = queue.kick.take() {
                self.workers.ignore(index, &kick);
            }
            let mut active = queue.lock();
            active.watched = true;
            if let Some(forwarded) = &mut active.queue {
                forwarded.accept(false);
            }
        }
    }

    /// Returns how long to wait for the requests in flight on a queue that is being stopped.
    pub(super) fn drain_timeout(&self, index: usize) -> Duration {
        if self.in_flight(index) == 0 {
            return Duration::ZERO;
        }
        match self.options.device_type.at_stop(index) {
            AtStop::Finish => self.options.drain_timeout,
            AtStop::FinishWhileBusy => QUIET_TIMEOUT.min(self.options.drain_timeout),
            AtStop::Unpop => Duration::ZERO,
        }
    }

    /// Ends a queue immediately. Returns its vring base.
    pub(super) fn finish_queue(&mut self, index: usize) -> u32 {
        self.begin_drain(index);
        let Some(queue) = self.queues.get_mut(index) else { return 0 };
        if !queue.is_started() {
            return queue.base;
        }
        self.workers.ignore(index, queue.device_call());
        let stopped = self.device.as_mut().map(|link| link.stop_queue(number(index).into()));
        let (forwarded, call) = {
            let mut active = queue.lock();
            active.watched = false;
            (active.queue.take(), active.call.take())
        };
        let Some(mut forwarded) = forwarded else { return queue.base };
        let (notify, unfinished) = forwarded.finish();
        signal(call.as_ref(), notify);
        queue.lock().call = call;
        let base = forwarded.vring_base();
        (queue.base, queue.stopped_at) = (base, Some(base));
        tracing::debug!("queue {index} ends at {base:#x}: {}", forwarded.statistics);
        match stopped {
            Some(Err(error)) => self.lose_device(&ErrorChain(&error).to_string()),
            // The device may still be working on requests that the guest will submit again. They
            // must not be executed twice in an arbitrary order, and only a disconnected device
            // stops for certain.
            Some(Ok(_)) if unfinished > 0 && self.options.device_type.at_stop(index) == AtStop::Finish => {
                self.lose_device(&format!("queue {index} was stopped with {unfinished} requests unfinished"));
            }
            Some(Ok(_)) | None => {}
        }
        base
    }

    /// Ends all queues immediately.
    pub(super) fn finish_all_queues(&mut self) {
        for index in 0..self.queues.len() {
            self.finish_queue(index);
        }
    }

    /// Ends all queues and resets the device.
    pub(super) fn reset_device(&mut self) {
        self.finish_all_queues();
        for queue in &mut self.queues {
            (queue.enabled, queue.stopped_at) = (false, None);
        }
        if let Some(Err(error)) = self.device.as_mut().map(DeviceLink::reset) {
            self.lose_device(&ErrorChain(&error).to_string());
        }
    }
}
