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
use ring_core::{Arm, Chain, Features, Position, Reader, Segment, Writer};
use tracing::{debug, error, warn};

use super::queue::{GuestMemory, Queue};
use super::timer::Timer;
use super::vring::Vring;
use crate::audio::HostAudio;
use crate::card::{Answer, Card, ControlRequest, MAX_REQUEST, STATUS_BYTES, Topology};
use crate::limits::MAX_SEGMENTS;
use crate::spec::{EVENT_QUEUE, QUEUES, RX_QUEUE, TX_QUEUE};
use crate::stream::Direction;
use crate::waker::Waker;

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
    memory: Option<GuestMemory>,
    features: Features,
    queues: [QueueState; QUEUES],
    /// The position of each queue that was stopped and not started since.
    stopped_at: [Option<Position>; QUEUES],
    card: Card,
    /// Storage for the segments of the chain that is being served.
    segments: Box<[Segment]>,
    timer: Timer,
    /// Wakes the event loop from other threads.
    waker: Arc<Waker>,
}

/// The state of a queue.
#[derive(Debug, Default)]
enum QueueState {
    #[default]
    Stopped,
    Running(Box<Queue>),
    /// The queue cannot be started with its settings. They have to change first.
    Unusable,
}

impl QueueState {
    /// Returns the queue, if it is running and the front-end lets it run.
    fn live(&mut self) -> Option<&mut Queue> {
        match self {
            Self::Running(queue) if queue.is_live() => Some(queue),
            Self::Running(_) | Self::Stopped | Self::Unusable => None,
        }
    }
}

/// Events from the front-end.
impl Device {
    pub(crate) fn new(audio: Arc<HostAudio>, topology: Topology) -> io::Result<Self> {
        let waker = Arc::new(Waker::new()?);
        Ok(Self {
            memory: None,
            features: Features::empty(),
            queues: Default::default(),
            stopped_at: Default::default(),
            card: Card::new(audio, waker.clone(), topology),
            segments: vec![Segment::default(); MAX_SEGMENTS].into_boxed_slice(),
            timer: Timer::new()?,
            waker,
        })
    }

    /// Returns the file descriptors that become readable when the device needs service.
    pub(crate) fn wakers(&self) -> [RawFd; 2] {
        [self.timer.as_raw_fd(), self.waker.as_raw_fd()]
    }

    /// Describes the state of each stream in a line of text.
    pub(crate) fn report(&self) -> Vec<String> {
        self.card.report()
    }

    pub(crate) fn set_features(&mut self, features: Features) {
        self.features = features;
        self.card.set_features(features.bits());
    }

    /// Replaces the memory. Running queues are restarted at their positions.
    pub(crate) fn set_memory(&mut self, memory: GuestMemory, now: Instant) {
        self.memory = Some(memory);
        for index in 0..QUEUES {
            if let Some(vring) = self.stop(index, now) {
                self.start(index, &vring, now);
            }
        }
        // The messages that the restart has unpopped can be popped again.
        self.waker.wake();
    }

    /// Stops a queue, and saves its position for the front-end.
    ///
    /// Messages in flight are unpopped, and popped again when the queue is restarted. They are not
    /// returned early: if a whole buffer is returned at once, Linux sees no progress, because its
    /// position in the buffer is the same. Only messages that were popped before a message that has
    /// been returned cannot be unpopped; they are returned.
    pub(crate) fn stop(&mut self, index: usize, now: Instant) -> Option<Vring> {
        let QueueState::Running(mut queue) = self.queues.get_mut(index).map(std::mem::take)? else {
            return None;
        };
        if let Some(direction) = direction(index) {
            self.card.suspend(direction, now, |message| queue.unpop(message));
            queue.complete_all(self.card.flush(direction));
        }
        let (vring, position) = queue.stop();
        self.stopped_at[index] = Some(position);
        Some(vring)
    }

    /// Starts a queue that is set up and stopped.
    fn start(&mut self, index: usize, vring: &Vring, now: Instant) {
        let Some(memory) = self.memory.clone() else { return };
        let state = match Queue::start(vring, memory, self.features) {
            Ok(queue) => {
                debug!(index, position = ?queue.position(), "queue started");
                if self.stopped_at[index].take().is_some_and(|position| position != queue.position()) {
                    // A driver that resumes a queue at another position has been reset, and does
                    // not know any stream.
                    self.forget_streams();
                }
                if let Some(direction) = direction(index) {
                    self.card.resume(direction, now);
                }
                QueueState::Running(Box::new(queue))
            }
            Err(error) => {
                error!(index, "cannot start a queue: {error}");
                QueueState::Unusable
            }
        };
        if let Some(queue) = self.queues.get_mut(index) {
            *queue = state;
        }
    }

    /// Resets the device. Chains in flight are not returned.
    pub(crate) fn reset(&mut self) {
        self.queues = Default::default();
        self.stopped_at = Default::default();
        self.card.reset();
    }

    /// Resets the device at the end of a session, and wakes the event loop.
    pub(crate) fn end(&mut self) {
        self.reset();
        self.waker.wake();
    }

    /// Returns whether any queue is running.
    #[cfg(test)]
    pub(crate) fn runs(&self) -> bool {
        self.queues.iter().any(|queue| matches!(queue, QueueState::Running(_)))
    }

    fn forget_streams(&mut self) {
        for (index, direction) in IO_QUEUES {
            let completions = self.card.flush(direction);
            if let QueueState::Running(queue) = &mut self.queues[index] {
                queue.complete_all(completions);
            }
        }
        self.card.reset();
    }
}

/// Requests and messages from the driver.
impl Device {
    /// Serves everything that needs service, and sets the timer.
    pub(crate) fn wake(&mut self, vrings: &[Vring], now: Instant) {
        self.waker.clear();
        for (index, vring) in vrings.iter().enumerate().take(QUEUES) {
            if matches!(self.queues[index], QueueState::Stopped) && vring.is_live() {
                self.start(index, vring, now);
            }
        }
        let all_served = self.serve(now);
        let next = if all_served { self.next_due() } else { Some(Duration::ZERO) };
        if let Err(error) = self.timer.set(next) {
            warn!("cannot set the timer: {error}");
        }
    }

    /// Returns the estimated time until a message can be returned.
    fn next_due(&mut self) -> Option<Duration> {
        let due = IO_QUEUES.into_iter().filter_map(|(index, direction)| {
            // A queue that is not live returns nothing. Its activation wakes the device.
            self.queues[index].live()?;
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
                if let Some(queue) = self.queues[index].live() {
                    queue.complete_all(self.card.complete_due(direction, now));
                }
            }
            let all_sent = self.send_events();
            let mut pending = false;
            for (index, queue) in self.queues.iter_mut().enumerate() {
                let Some(queue) = queue.live() else { continue };
                queue.publish();
                // The buffers of the event queue stay there unless an event waits.
                pending |= (index != EVENT_QUEUE || !all_sent) && queue.arm() == Arm::Pending;
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
        let Some(queue) = self.queues[EVENT_QUEUE].live() else { return true };
        while !events.is_empty() {
            let Some(chain) = queue.pop(&mut self.segments) else { return false };
            let Some(event) = events.pop() else { return true };
            let mut writer = Writer::new(queue.memory(), chain.writable());
            if let Err(error) = writer.write(&event) {
                debug!("cannot write an event: {error}");
            }
            let written = writer.written();
            queue.complete(chain.into_token(), written);
        }
        true
    }

    /// Pops and serves an I/O message. Returns whether there was one.
    fn serve_io(&mut self, (index, direction): (usize, Direction), now: Instant) -> bool {
        let Some(queue) = self.queues[index].live() else { return false };
        let Some(chain) = queue.pop(&mut self.segments) else { return false };
        if let Err(refused) = self.card.accept(direction, queue.memory(), chain, now) {
            queue.complete_all(vec![refused]);
        }
        true
    }

    /// Pops and executes a control request. Returns whether there was one.
    fn serve_control(&mut self, now: Instant) -> bool {
        let [control, _, tx, rx] = &mut self.queues;
        let Some(control) = control.live() else { return false };
        let Some(chain) = control.pop(&mut self.segments) else { return false };
        let memory = control.memory().clone();
        let mut writer = Writer::new(&memory, chain.writable());
        if writer.remaining() >= STATUS_BYTES {
            let bytes = read_request(&memory, &chain);
            let request = ControlRequest { bytes: &bytes, room: writer.remaining() };
            let (Answer { status, payload, .. }, completions) = self.card.execute(request, now);
            // Messages are returned before the request that ends their stream (VIRTIO 1.4, 5.14.6.6
            // "PCM Control Messages").
            for (queue, completions) in [(tx, completions.tx), (rx, completions.rx)] {
                if let QueueState::Running(queue) = queue {
                    queue.complete_all(completions);
                    queue.publish();
                }
            }
            let written = writer.write_value(&status.code()).and_then(|()| writer.write(&payload));
            if let Err(error) = written {
                debug!("cannot write an answer: {error}");
            }
        }
        let written = writer.written();
        control.complete(chain.into_token(), written);
        true
    }
}

/// Reads the meaningful bytes of a request. Returns none if they are not in shared memory.
fn read_request(memory: &impl Memory, chain: &Chain<'_>) -> Vec<u8> {
    let mut reader = Reader::new(memory, chain.readable());
    let len = usize::try_from(reader.remaining()).unwrap_or(usize::MAX).min(MAX_REQUEST);
    let mut request = vec![0; len];
    match reader.read(&mut request) {
        Ok(()) => request,
        Err(error) => {
            debug!("cannot read a request: {error}");
            Vec::new()
        }
    }
}
