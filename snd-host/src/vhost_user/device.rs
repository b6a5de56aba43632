//! The device: four queues, a card, and a timer, all moved forward by one function.
//!
//! Whatever happens, a kick or the timer, [`Device::wake`] looks at everything: it takes up queues that may
//! run by now, takes messages, answers requests, and returns what is played. It never waits for anything.

use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ring_core::memory::Memory;
use ring_core::{Arm, Chain, Features, Position, Reader, Segment, Writer};
use tracing::{debug, error, warn};

use super::queue::{self, GuestMemory, Queue};
use super::timer::Timer;
use super::vring::Vring;
use crate::audio::Audio;
use crate::card::{Answer, Card, MAX_REQUEST, STATUS_BYTES, Topology};
use crate::limits::MAX_SEGMENTS;
use crate::spec::{EVENT_QUEUE, QUEUES, RX_QUEUE, TX_QUEUE};
use crate::stream::Direction;
use crate::waker::Waker;

/// The queues that carry audio, and which way.
const IO_QUEUES: [(usize, Direction); 2] = [(TX_QUEUE, Direction::Output), (RX_QUEUE, Direction::Input)];

/// Which way the audio goes that a queue carries, if it carries any.
fn direction(queue: usize) -> Option<Direction> {
    IO_QUEUES.into_iter().find(|(index, _)| *index == queue).map(|(_, direction)| direction)
}

/// How many chains are taken in one go. A guest that adds chains faster than they are served does not keep
/// the timer from being served.
const BUDGET: usize = 1024;

/// A sound device with its queues.
#[derive(Debug)]
pub(crate) struct Device {
    memory: Option<GuestMemory>,
    features: Features,
    queues: [State; QUEUES],
    /// Where each queue was stopped that has not been taken up since.
    left: [Option<Position>; QUEUES],
    card: Card,
    /// Where chains put their segments while they are worked on.
    segments: Box<[Segment]>,
    timer: Timer,
    /// For those who have news from outside.
    waker: Arc<Waker>,
}

/// Whether a queue runs.
#[derive(Debug, Default)]
enum State {
    #[default]
    Stopped,
    Running(Box<Queue>),
    /// It could not be taken up as it was set up. There is no use in trying again until that changes.
    Unusable,
}

impl State {
    /// The queue, if it may be worked on now.
    fn live(&mut self) -> Option<&mut Queue> {
        match self {
            Self::Running(queue) if queue.is_live() => Some(queue),
            _ => None,
        }
    }
}

/// What the front-end tells.
impl Device {
    pub(crate) fn new(audio: Arc<Audio>, topology: Topology) -> io::Result<Self> {
        let waker = Arc::new(Waker::new()?);
        Ok(Self {
            memory: None,
            features: Features::empty(),
            queues: Default::default(),
            left: Default::default(),
            card: Card::new(audio, waker.clone(), topology),
            segments: vec![Segment::default(); MAX_SEGMENTS].into_boxed_slice(),
            timer: Timer::new()?,
            waker,
        })
    }

    /// Files of which one becomes readable when the device is to be woken.
    pub(crate) fn wakers(&self) -> [RawFd; 2] {
        [self.timer.as_raw_fd(), self.waker.as_raw_fd()]
    }

    /// How each stream is.
    pub(crate) fn report(&self) -> Vec<String> {
        self.card.report()
    }

    pub(crate) fn set_features(&mut self, features: Features) {
        self.features = features;
        self.card.set_features(features.bits());
    }

    /// Changes the memory under the queues that run: they are taken up anew where they are.
    pub(crate) fn set_memory(&mut self, memory: GuestMemory, now: Instant) {
        self.memory = Some(memory);
        for index in 0..QUEUES {
            if let Some(vring) = self.stop(index, now) {
                self.start(index, &vring, now);
            }
        }
        // What was given back is there to be taken.
        self.waker.wake();
    }

    /// Stops a queue, and leaves its position where the front-end finds it.
    ///
    /// What is in flight is given back, to be taken again when the queue goes on. Linux would not notice if all of
    /// it were returned at once: where it is in its buffer is the same after that. Only what came before something
    /// that has been returned cannot be given back, and is returned.
    pub(crate) fn stop(&mut self, index: usize, now: Instant) -> Option<Vring> {
        let State::Running(mut queue) = self.queues.get_mut(index).map(std::mem::take)? else {
            return None;
        };
        if let Some(direction) = direction(index) {
            self.card.suspend(direction, now, |message| queue.give_back(message));
            queue.complete_all(self.card.hand_back(direction));
        }
        let (vring, position) = queue.stop();
        self.left[index] = Some(position);
        Some(vring)
    }

    /// Takes up a queue. It is known to be set up, and not to run.
    fn start(&mut self, index: usize, vring: &Vring, now: Instant) {
        let Some(memory) = self.memory.clone() else { return };
        let state = match Queue::start(vring, memory, self.features) {
            Ok(queue) => {
                debug!(index, position = ?queue.position(), "queue taken up");
                if self.left[index].take().is_some_and(|left| left != queue.position()) {
                    // The driver begins anew, and does not know of any stream.
                    self.forget_streams();
                }
                if let Some(direction) = direction(index) {
                    self.card.resume(direction, now);
                }
                State::Running(Box::new(queue))
            }
            Err(error) => {
                error!(index, "a queue cannot be used: {error}");
                State::Unusable
            }
        };
        if let Some(place) = self.queues.get_mut(index) {
            *place = state;
        }
    }

    /// Back to the beginning. Whatever was in flight is no longer ours.
    pub(crate) fn reset(&mut self) {
        self.queues = Default::default();
        self.left = Default::default();
        self.card.reset();
    }

    /// As [`reset`](Self::reset), for good. Wakes whoever waits for the device.
    pub(crate) fn end(&mut self) {
        self.reset();
        self.waker.wake();
    }

    /// Whether any queue runs.
    #[cfg(test)]
    pub(crate) fn runs(&self) -> bool {
        self.queues.iter().any(|queue| matches!(queue, State::Running(_)))
    }

    fn forget_streams(&mut self) {
        for (index, direction) in IO_QUEUES {
            let messages = self.card.hand_back(direction);
            if let State::Running(queue) = &mut self.queues[index] {
                queue.complete_all(messages);
            }
        }
        self.card.reset();
    }
}

/// What the guest does.
impl Device {
    /// Looks at everything.
    pub(crate) fn wake(&mut self, vrings: &[Vring], now: Instant) {
        self.waker.clear();
        for index in 0..QUEUES {
            match vrings.get(index) {
                Some(vring) if matches!(self.queues[index], State::Stopped) && queue::is_live(vring) => {
                    self.start(index, vring, now);
                }
                _ => {}
            }
        }
        let all_served = self.serve(now);
        let next = if all_served { self.next_due() } else { Some(Duration::ZERO) };
        if let Err(error) = self.timer.set(next) {
            warn!("the timer cannot be set: {error}");
        }
    }

    /// How long it takes until there is something to return.
    fn next_due(&mut self) -> Option<Duration> {
        let due = IO_QUEUES.into_iter().filter_map(|(index, direction)| {
            // Nothing can be returned before the front-end lets the queue run again, and wakes us.
            self.queues[index].live()?;
            self.card.next_due(direction)
        });
        due.min()
    }

    /// Serves the queues until all are empty and armed. Returns false if that was too much for once.
    fn serve(&mut self, now: Instant) -> bool {
        let mut budget = BUDGET;
        loop {
            // Messages come before requests: the guest sent them before it asked for the end.
            while budget > 0
                && (IO_QUEUES.into_iter().any(|io| self.serve_io(io, now)) || self.serve_control(now))
            {
                budget -= 1;
            }
            for (index, direction) in IO_QUEUES {
                if let Some(queue) = self.queues[index].live() {
                    queue.complete_all(self.card.over(direction, now));
                }
            }
            let told_all = self.tell();
            let mut pending = false;
            for (index, queue) in self.queues.iter_mut().enumerate() {
                let Some(queue) = queue.live() else { continue };
                queue.publish();
                // Buffers for events lie there until there is one.
                pending |= (index != EVENT_QUEUE || !told_all) && queue.arm() == Arm::Pending;
            }
            if !pending || budget == 0 {
                return !pending;
            }
            // A chain that cannot be worked on counts as well.
            budget -= 1;
        }
    }

    /// Tells the guest of events. Returns whether it knows all.
    fn tell(&mut self) -> bool {
        let events = self.card.events();
        let Some(queue) = self.queues[EVENT_QUEUE].live() else { return true };
        while !events.is_empty() {
            let Some(chain) = queue.pop(&mut self.segments) else { return false };
            let Some(event) = events.pop() else { return true };
            let mut writer = Writer::new(queue.memory(), chain.writable());
            if let Err(error) = writer.write(&event) {
                debug!("an event cannot be written: {error}");
            }
            let written = writer.written();
            queue.complete(chain.into_token(), written);
        }
        true
    }

    /// Takes a message with audio, or one that asks for some. Returns whether there was one.
    fn serve_io(&mut self, (index, direction): (usize, Direction), now: Instant) -> bool {
        let Some(queue) = self.queues[index].live() else { return false };
        let Some(chain) = queue.pop(&mut self.segments) else { return false };
        if let Err(refused) = self.card.take(direction, queue.memory(), chain, now) {
            queue.complete_all(vec![refused]);
        }
        true
    }

    /// Answers a request. Returns whether there was one.
    fn serve_control(&mut self, now: Instant) -> bool {
        let [control, _, tx, rx] = &mut self.queues;
        let Some(control) = control.live() else { return false };
        let Some(chain) = control.pop(&mut self.segments) else { return false };
        let memory = control.memory().clone();
        let mut writer = Writer::new(&memory, chain.writable());
        if writer.remaining() >= STATUS_BYTES {
            let request = read_request(&memory, &chain);
            let (Answer { status, payload, .. }, messages) =
                self.card.request(&request, writer.remaining(), now);
            // The standard wants them returned before the request that ends their stream (5.14.6.6).
            for (queue, messages) in [(tx, messages.tx), (rx, messages.rx)] {
                if let State::Running(queue) = queue {
                    queue.complete_all(messages);
                    queue.publish();
                }
            }
            let written = writer.write_value(&status.code()).and_then(|()| writer.write(&payload));
            if let Err(error) = written {
                debug!("an answer cannot be written: {error}");
            }
        }
        let written = writer.written();
        control.complete(chain.into_token(), written);
        true
    }
}

/// The bytes of a request, as far as they mean anything; none if they are not in shared memory.
fn read_request(memory: &impl Memory, chain: &Chain<'_>) -> Vec<u8> {
    let mut reader = Reader::new(memory, chain.readable());
    let len = usize::try_from(reader.remaining()).unwrap_or(usize::MAX).min(MAX_REQUEST);
    let mut request = vec![0; len];
    match reader.read(&mut request) {
        Ok(()) => request,
        Err(error) => {
            debug!("a request cannot be read: {error}");
            Vec::new()
        }
    }
}
