//! The output of a playback: the buffer, and a player with a simulated sink.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;

use super::sink::Plan;
use crate::audio::{AudioOutput, Ending, Fed, Heard, Mode, PlaybackBuffer, Timeline, feed, low};
use crate::pcm::Params;

/// An open sink.
#[derive(Debug)]
struct Sink {
    timeline: Timeline,
    /// The running time, once the sink plays.
    running: Option<Duration>,
    /// Milliseconds until the sink plays.
    plays_in: u64,
    /// What was scheduled: the running time, the first frame, and the number of frames.
    pieces: Vec<(Duration, u64, u64)>,
    /// How many pieces the sink was given.
    fed: u32,
}

impl Fed for Sink {
    fn ahead(&self) -> Duration {
        self.timeline.ahead(self.running)
    }

    fn queued(&self) -> Duration {
        Duration::ZERO
    }

    fn push(&mut self, first: u64, bytes: BytesMut) {
        let slot = self.timeline.schedule(first, bytes.len() as u64, self.running);
        self.pieces.push((slot.start, first, bytes.len() as u64));
        self.fed += 1;
    }
}

/// The host's side of a take.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) buffer: PlaybackBuffer,
    params: Params,
    latency: Duration,
    plan: Plan,
    sink: Option<Sink>,
    lost: bool,
}

/// The output that the playback uses.
#[derive(Clone, Debug)]
pub(super) struct Output(pub(super) Rc<RefCell<Host>>);

impl Host {
    pub(super) fn new(params: &Params, latency: Duration, plan: Plan) -> Self {
        Self { buffer: PlaybackBuffer::new(params), params: *params, latency, plan, sink: None, lost: false }
    }

    /// Lets the sink's clock run for a millisecond.
    pub(super) fn tick(&mut self, now: u64) {
        let Some(sink) = &mut self.sink else { return };
        if !self.plan.exists(now) || self.buffer.mode != Mode::Run && sink.running.is_none() {
            return;
        }
        if sink.plays_in > 0 {
            sink.plays_in -= 1;
        } else {
            *sink.running.get_or_insert_default() += Duration::from_nanos(self.plan.moves(now));
        }
    }

    /// Does what the thread of the take does. Returns whether it wakes the event loop.
    pub(super) fn play(&mut self, now: u64) -> bool {
        if self.sink.is_some() && !self.plan.exists(now) {
            (self.sink, self.lost) = (None, true);
        }
        if self.sink.is_some() || !self.plan.exists(now) || self.buffer.end() == 0 {
            return false;
        }
        if self.lost {
            self.buffer.drop_played();
        }
        let timeline = Timeline::new(self.params, self.buffer.first());
        let plays_in = self.plan.plays;
        self.sink = Some(Sink { timeline, running: None, plays_in, pieces: Vec::new(), fed: 0 });
        true
    }

    /// Returns how many pieces the sink was given.
    pub(super) fn fed(&self) -> u32 {
        self.sink.as_ref().map_or(0, |sink| sink.fed)
    }

    /// Returns whether the sink plays now.
    pub(super) fn plays(&self, now: u64) -> bool {
        self.plan.exists(now)
            && self.plan.moves(now) > 0
            && self.sink.as_ref().is_some_and(|sink| sink.running.is_some())
    }

    /// Returns the frame that the sink makes audible now; `None` if it has nothing to play.
    pub(super) fn audible(&mut self) -> Option<u64> {
        let sink = self.sink.as_mut()?;
        let running = sink.running?;
        let past = |(at, first, frames): &(Duration, u64, u64)| {
            let passed = self.params.frames_in(running.checked_sub(*at)?);
            (passed < *frames).then_some(first + passed)
        };
        let heard = sink.pieces.iter().find_map(past);
        sink.pieces.retain(|(at, _, frames)| *at + self.params.duration(*frames) > running);
        heard
    }
}

impl AudioOutput for Output {
    fn write(&mut self, bytes: usize, read: impl FnMut(&mut [u8]) -> bool) -> bool {
        self.0.borrow_mut().buffer.push(bytes, read)
    }

    fn feed(&mut self, next_wake: Option<Duration>) -> Option<Duration> {
        let Host { buffer, sink, latency, .. } = &mut *self.0.borrow_mut();
        sink.as_mut().and_then(|sink| feed(buffer, sink, *latency, next_wake))
    }

    fn low(&self) -> Duration {
        low(self.0.borrow().latency)
    }

    fn start(&self) {
        self.0.borrow_mut().buffer.mode = Mode::Run;
    }

    fn pause(&self) {
        self.0.borrow_mut().buffer.mode = Mode::Pause;
    }

    fn heard(&self) -> Heard {
        let host = self.0.borrow();
        match &host.sink {
            Some(sink) => Heard { frame: sink.timeline.heard(sink.running), live: true },
            None if host.lost => Heard { frame: host.buffer.first_unplayed(), live: false },
            None => Heard { frame: host.buffer.first(), live: false },
        }
    }

    fn set_played(&self, frames: u64) {
        self.0.borrow_mut().buffer.played = frames;
    }

    fn dropped(&self) -> u64 {
        self.0.borrow().buffer.dropped
    }

    fn end(self, _ending: Ending) {}
}
