//! The device: four queues, a card and a timer.
//!
//! The front-end sets the queues up and stops them. [`Device::wake`] does everything else, after a
//! kick or when the timer fires: it starts queues, accepts messages, executes requests, and returns
//! the messages that are due. It never blocks.

use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::memory::Memory;
use ring_core::{Arm, Chain, Reader, Segment, Token, Violation, Writer};
use tracing::{debug, error, warn};
use vhost_ring::{MemoryError, Queue, Queues, Started, Vring};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};

use super::timer::Timer;
use crate::audio::HostAudio;
use crate::card::{Answer, Card, Completions, ControlRequest, MAX_REQUEST, STATUS_BYTES, Topology};
use crate::limits::MAX_SEGMENTS;
use crate::spec::{CONTROL_QUEUE, EVENT_QUEUE, QUEUES, RX_QUEUE, TX_QUEUE};
use crate::stream::{Completion, Direction};

/// The queues of I/O messages, and the direction of their streams.
const IO_QUEUES: [(usize, Direction); 2] = [(TX_QUEUE, Direction::Output), (RX_QUEUE, Direction::Input)];

/// Returns the direction of a queue's streams; `None` if the queue is not for I/O messages.
fn direction(queue: usize) -> Option<Direction> {
    IO_QUEUES.into_iter().find(|(index, _)| *index == queue).map(|(_, direction)| direction)
}

/// The number of chains that are popped before the event loop runs again. A driver that adds chains
/// faster than they are served cannot keep the timer from being served.
const BUDGET: usize = 1024;

/// A sound device with its queues.
#[derive(Debug)]
pub(crate) struct Device {
    queues: Queues,
    card: Card,
    /// Storage for the segments of the chain that is being served.
    segments: Box<[Segment]>,
    timer: Timer,
    /// Whether guest memory that is not shared was reported.
    reported_unshared: bool,
}

/// Events from the front-end.
impl Device {
    pub(crate) fn new(audio: Arc<HostAudio>, topology: Topology) -> io::Result<Self> {
        let queues = Queues::new(QUEUES)?;
        let card = Card::new(audio, topology);
        let segments = vec![Segment::default(); MAX_SEGMENTS].into_boxed_slice();
        Ok(Self { queues, card, segments, timer: Timer::new()?, reported_unshared: false })
    }

    /// Returns the file descriptors that become readable when the device needs service.
    pub(crate) fn wakers(&self) -> [RawFd; 2] {
        [self.timer.as_raw_fd(), self.queues.waker().as_raw_fd()]
    }

    /// Returns the event number of the [`wakers`](Self::wakers).
    pub(crate) const fn wake_event(&self) -> u64 {
        self.queues.wake_event()
    }

    /// Describes the state of each stream in a line of text.
    pub(crate) fn report(&self) -> Vec<String> {
        self.card.report()
    }

    pub(crate) fn set_features(&mut self, features: u64) {
        self.queues.set_features(features);
        self.card.set_features(features);
    }

    /// Replaces the memory. Running queues are restarted at their positions.
    pub(crate) fn set_memory(
        &mut self,
        memory: &GuestMemoryAtomic<GuestMemoryMmap>,
        now: Instant,
    ) -> Result<(), MemoryError> {
        let Self { queues, card, .. } = self;
        queues.set_memory(memory, |index, queue| give_back(card, index, queue, now))
    }

    /// Stops a queue, and saves its position for the front-end.
    pub(crate) fn stop(&mut self, index: usize, now: Instant) {
        let Self { queues, card, .. } = self;
        queues.stop(index, |queue| give_back(card, index, queue, now));
    }

    /// Starts the queues that the front-end lets run.
    fn start(&mut self, vrings: &[Vring], now: Instant) {
        for (index, vring) in vrings.iter().enumerate() {
            match self.queues.start(index, vring) {
                Ok(Started::Unchanged) => continue,
                Ok(Started::First | Started::Continued) => debug!(index, "queue started"),
                Ok(Started::DriverReset) => {
                    debug!(index, "queue started by a driver that was reset");
                    // The driver does not know any stream.
                    self.forget_streams();
                }
                Err(error) => {
                    error!(index, "cannot start a queue: {error}");
                    continue;
                }
            }
            if let Some(direction) = direction(index) {
                self.card.resume(direction, now);
            }
        }
    }

    /// Resets the device. Chains in flight are not returned.
    pub(crate) fn reset(&mut self) {
        self.queues.reset();
        self.card.reset();
    }

    /// Resets the device at the end of a session, and wakes the event loop.
    pub(crate) fn end(&mut self) {
        self.reset();
        self.queues.waker().wake();
    }

    /// Returns whether any queue is running.
    #[cfg(test)]
    pub(crate) fn runs(&mut self) -> bool {
        (0..QUEUES).any(|index| self.queues.running(index).is_some())
    }

    fn forget_streams(&mut self) {
        for (index, direction) in IO_QUEUES {
            let completions = self.card.flush(direction);
            if let Some(queue) = self.queues.running(index) {
                complete_all(queue, completions);
            }
        }
        self.card.reset();
    }
}

/// Gives the messages in flight back to the driver, because their queue stops.
///
/// Messages in flight are unpopped, and popped again when the queue is restarted. They are not
/// returned early: if a whole buffer is returned at once, Linux sees no progress, because its
/// position in the buffer is the same. Only messages that were popped before a message that has
/// been returned cannot be unpopped; they are returned.
fn give_back(card: &mut Card, index: usize, queue: &mut Queue, now: Instant) {
    if let Some(direction) = direction(index) {
        card.suspend(direction, now, |message| message.unpop(|token| queue.unpop(token)));
        complete_all(queue, card.flush(direction));
    }
}

/// Writes the results of messages and returns their chains to the driver.
fn complete_all(queue: &mut Queue, completions: Vec<Completion>) {
    for completion in completions {
        let (token, written) = completion.write(queue.memory());
        complete(queue, token, written);
    }
}

/// Returns a chain to the driver.
fn complete(queue: &mut Queue, token: Token, written: u32) {
    if let Err(error) = queue.complete(token, written) {
        debug!("cannot return a buffer: {error}");
    }
}

/// Pops the next chain of a queue, if the queue is live.
fn pop<'s>(queues: &mut Queues, index: usize, segments: &'s mut [Segment]) -> Option<Chain<'s>> {
    let popped = queues.get_mut(index)?.pop(segments);
    popped.inspect_err(|violation| warn_broken(index, violation)).ok().flatten()
}

fn warn_broken(index: usize, violation: &Violation) {
    warn!(index, "the driver has broken a queue: {violation}");
}

/// Requests and messages from the driver.
impl Device {
    /// Serves everything that needs service, and sets the timer.
    pub(crate) fn wake(&mut self, vrings: &[Vring], now: Instant) {
        self.queues.waker().clear();
        self.start(vrings, now);
        let all_served = self.serve(now);
        self.report_unshared_memory();
        let next = self.next_wake();
        let next = if all_served { next } else { Some(Duration::ZERO) };
        if let Err(error) = self.timer.set(next) {
            warn!("cannot set the timer: {error}");
        }
    }

    /// Logs once if the driver kicks the control queue although the queue has never had a request.
    fn report_unshared_memory(&mut self) {
        let control = self.queues.get_mut(CONTROL_QUEUE);
        if !self.reported_unshared && control.is_some_and(|queue| queue.is_kicked_in_vain()) {
            self.reported_unshared = true;
            warn!(
                "the driver has sent a request that guest memory does not contain; if the guest has no sound, \
                 add share=on to the memory backend of the virtual machine"
            );
        }
    }

    /// Returns the estimated time until the device needs service.
    fn next_wake(&mut self) -> Option<Duration> {
        let due = IO_QUEUES.into_iter().filter_map(|(index, direction)| {
            // A queue that is not live returns nothing. Its activation wakes the device.
            self.queues.get_mut(index)?;
            self.card.next_due(direction)
        });
        due.min()
    }

    /// Serves the queues until all are empty and armed. Returns false if the budget was exhausted.
    fn serve(&mut self, now: Instant) -> bool {
        let mut budget = BUDGET;
        loop {
            // Messages come before requests: the driver sent them before it ended the stream.
            while budget > 0
                && (IO_QUEUES.into_iter().any(|io| self.serve_io(io, now)) || self.serve_control(now))
            {
                budget -= 1;
            }
            for (index, direction) in IO_QUEUES {
                if let Some(queue) = self.queues.get_mut(index) {
                    complete_all(queue, self.card.complete_due(direction, now));
                }
            }
            let all_sent = self.send_events();
            let mut pending = false;
            for index in 0..QUEUES {
                let Some(queue) = self.queues.get_mut(index) else { continue };
                queue.publish();
                let needed = match direction(index) {
                    Some(direction) => !self.card.is_supplied(direction),
                    // The buffers of the event queue stay there unless an event waits.
                    None => index != EVENT_QUEUE || !all_sent,
                };
                pending |= needed && queue.arm() == Arm::Pending;
            }
            if !pending || budget == 0 {
                return !pending;
            }
            // A chain that cannot be popped counts as well.
            budget -= 1;
        }
    }

    /// Sends the waiting events. Returns whether none is left.
    fn send_events(&mut self) -> bool {
        let events = self.card.events();
        if self.queues.get_mut(EVENT_QUEUE).is_none() {
            return true;
        }
        while !events.is_empty() {
            let Some(chain) = pop(&mut self.queues, EVENT_QUEUE, &mut self.segments) else { return false };
            let Some(queue) = self.queues.get_mut(EVENT_QUEUE) else { return false };
            let Some(event) = events.pop() else { return true };
            let mut writer = Writer::new(queue.memory(), chain.writable());
            if let Err(error) = writer.write(&event) {
                debug!("cannot write an event: {error}");
            }
            let written = writer.written();
            complete(queue, chain.into_token(), written);
        }
        true
    }

    /// Pops and serves an I/O message. Returns whether there was one.
    fn serve_io(&mut self, (index, direction): (usize, Direction), now: Instant) -> bool {
        let Self { queues, card, segments, .. } = self;
        let Some(chain) = pop(queues, index, segments) else { return false };
        let Some(queue) = queues.running(index) else { return false };
        if let Err(refused) = card.accept(direction, queue.memory(), chain, now) {
            complete_all(queue, vec![refused]);
        }
        true
    }

    /// Answers a control request. Returns whether there was one.
    ///
    /// One request at a time, because messages that arrive meanwhile come before the next request.
    fn serve_control(&mut self, now: Instant) -> bool {
        let Self { queues, card, segments, .. } = self;
        let Some(control) = queues.get_mut(CONTROL_QUEUE) else { return false };
        let mut ended = Completions::default();
        let answered = control.answer(segments, 1, |request, response| {
            ended = execute(card, request, response, now);
        });
        // Messages are returned before the request that ends their stream (VIRTIO 1.4, 5.14.6.6
        // "PCM Control Messages"): the answer is only staged yet.
        for (index, completions) in [(TX_QUEUE, ended.tx), (RX_QUEUE, ended.rx)] {
            if let Some(queue) = queues.running(index) {
                complete_all(queue, completions);
                queue.publish();
            }
        }
        let answered = answered.inspect_err(|violation| warn_broken(CONTROL_QUEUE, violation));
        answered.is_ok_and(|count| count > 0)
    }
}

/// Executes a request and writes its answer. Returns the messages of a stream that ends.
fn execute<M: Memory>(
    card: &mut Card,
    request: Reader<'_, M>,
    response: &mut Writer<'_, M>,
    now: Instant,
) -> Completions {
    if response.remaining() < STATUS_BYTES {
        return Completions::default();
    }
    let bytes = read_request(request);
    let request = ControlRequest { bytes: &bytes, room: response.remaining() };
    let (Answer { status, payload, .. }, completions) = card.execute(request, now);
    let written = response.write_value(&status.code()).and_then(|()| response.write(&payload));
    if let Err(error) = written {
        debug!("cannot write an answer: {error}");
    }
    completions
}

/// Reads the meaningful bytes of a request. Returns no bytes if the request is not in shared
/// memory.
fn read_request(mut request: Reader<'_, impl Memory>) -> Vec<u8> {
    let len = usize::try_from(request.remaining()).unwrap_or(usize::MAX).min(MAX_REQUEST);
    let mut bytes = vec![0; len];
    match request.read(&mut bytes) {
        Ok(()) => bytes,
        Err(error) => {
            debug!("cannot read a request: {error}");
            Vec::new()
        }
    }
}
