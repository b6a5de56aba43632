//! Stopping a queue: requests in flight are finished first, as far as the device type requires, and
//! then the device stops the queue.

use std::time::{Duration, Instant};

use super::Control;
use super::answer::{Answer, RequestError};
use super::drain::Drain;
use super::event::Action;
use super::pending::{AfterStop, Pending, Wait};
use super::queue::number;
use crate::device_link::DeviceLink;
use crate::device_type::AtStop;
use crate::forward::signal;
use crate::protocol::Message;
use crate::protocol::payload::VringState;

/// How long to wait without progress for a queue whose requests may never finish.
pub(super) const QUIET_TIMEOUT: Duration = Duration::from_millis(250);

impl Control {
    /// Begins to stop a queue.
    pub(super) fn stop_queue(&mut self, message: &Message, now: Instant) -> Result<Answer, RequestError> {
        let VringState { index, .. } = message.body()?;
        let index = self.queue_index(index.into())?;
        self.begin_drain(index);
        let timeout = self.drain_timeout(index);
        if timeout.is_zero() {
            return Ok(self.stop_on_device(index, now));
        }
        let left = self.in_flight(index);
        tracing::debug!("queue {index} stops when {left} requests are done");
        let drain = Drain::begin(index, left, timeout, self.options.drain_timeout, now);
        Ok(Answer::Later(Pending::Drain(drain)))
    }

    /// Continues to wait as long as requests are in flight and the deadline has not passed.
    pub(super) fn continue_drain(&mut self, mut drain: Drain, now: Instant) -> Answer {
        let index = drain.index;
        self.unpop_without_device(index);
        let prolongs = self.options.device_type.at_stop(index) == AtStop::FinishWhileBusy;
        drain.count(self.in_flight(index), prolongs.then(|| self.drain_timeout(index)), now);
        if drain.is_over(now) {
            return self.stop_on_device(index, now);
        }
        Answer::Later(Pending::Drain(drain))
    }

    /// Puts requests back into the guest's ring if there is no device that could finish them.
    fn unpop_without_device(&self, index: usize) {
        if self.has_device() {
            return;
        }
        let Some(queue) = self.queues.get(index) else { return };
        if let Some(forwarded) = &mut queue.lock().queue {
            forwarded.unpop();
        }
    }

    /// Tells the device to stop a queue. The requests that the device finishes before it stops are
    /// returned.
    fn stop_on_device(&mut self, index: usize, now: Instant) -> Answer {
        self.ask_to_stop(index);
        let wait = self.begin_wait(now);
        self.continue_stop(index, wait, now)
    }

    fn ask_to_stop(&mut self, index: usize) {
        let attached = self.queues.get(index).is_some_and(|queue| queue.lock().is_attached());
        if let Some(link) = self.device.link_mut().filter(|_| attached) {
            link.stop_queue(number(index).into());
        }
    }

    /// Returns whether the device has not finished stopping its queues or its reset, and there is
    /// time left.
    fn is_device_stopping(&self, wait: Wait, now: Instant) -> bool {
        self.device.link().is_some_and(DeviceLink::is_stopping) && !wait.is_over(now)
    }

    /// Finishes a queue that the device has stopped, or was too slow to stop.
    pub(super) fn continue_stop(&mut self, index: usize, wait: Wait, now: Instant) -> Answer {
        if self.is_device_stopping(wait, now) {
            return Answer::Later(Pending::Stop { index, wait });
        }
        self.end_wait(wait, now);
        let state = VringState { index: number(index).into(), num: self.finish_queue(index, now) };
        Answer::with(&state)
    }

    /// Takes no more requests from the guest on this queue, and has the worker report its progress.
    pub(super) fn begin_drain(&mut self, index: usize) {
        if let Some(queue) = self.queues.get_mut(index) {
            if let Some(fd) = queue.kick.take() {
                self.actions.push(Action::Ignore { index, fd });
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

    /// Ends a queue. Returns its vring base.
    fn finish_queue(&mut self, index: usize, now: Instant) -> u32 {
        let had_device = self.has_device();
        let Some(queue) = self.queues.get_mut(index) else { return 0 };
        if !queue.is_started() {
            return queue.base;
        }
        self.actions.push(Action::Ignore { index, fd: queue.device_call() });
        let (forwarded, call) = {
            let mut active = queue.lock();
            active.watched = false;
            (active.queue.take(), active.call.take())
        };
        let Some(mut forwarded) = forwarded else { return queue.base };
        let (notify, unfinished) = forwarded.finish();
        signal(call.as_ref(), notify);
        queue.lock().call = call;
        queue.counters.hold_nothing();
        let base = forwarded.vring_base();
        (queue.base, queue.stopped_at) = (base, Some(base));
        tracing::debug!("queue {index} ends at {base:#x}: {}", forwarded.counters);
        // The device may still be working on requests that the guest will submit again. These
        // requests must not be executed twice in an arbitrary order, and only a disconnected device
        // is certain to stop.
        if had_device && unfinished > 0 && self.options.device_type.at_stop(index) == AtStop::Finish {
            self.lose_device(
                &format!("queue {index} was stopped with {unfinished} requests unfinished"),
                now,
            );
        }
        base
    }

    /// Begins to stop all queues.
    pub(super) fn stop_all(&mut self, then: AfterStop, now: Instant) -> Answer {
        for index in 0..self.queues.len() {
            self.begin_drain(index);
            self.ask_to_stop(index);
        }
        let wait = self.begin_wait(now);
        self.continue_stop_all(then, wait, now)
    }

    /// Finishes all queues when the device has stopped them, or was too slow to stop them.
    pub(super) fn continue_stop_all(&mut self, then: AfterStop, wait: Wait, now: Instant) -> Answer {
        if self.is_device_stopping(wait, now) {
            return Answer::Later(Pending::StopAll { then, wait });
        }
        for index in 0..self.queues.len() {
            self.finish_queue(index, now);
        }
        if then == AfterStop::Reset {
            for queue in &mut self.queues {
                (queue.enabled, queue.stopped_at) = (false, None);
            }
            if let Some(link) = self.device.link_mut() {
                link.reset();
            }
        }
        self.continue_reset(wait, now)
    }

    /// Waits until the device is reset.
    pub(super) fn continue_reset(&mut self, wait: Wait, now: Instant) -> Answer {
        if self.is_device_stopping(wait, now) {
            return Answer::Later(Pending::Reset { wait });
        }
        self.end_wait(wait, now);
        Answer::Done
    }
}
