//! The output of a playback: the ring, and an audio process with a simulated sink.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::BytesMut;

use super::sink::Plan;
use crate::audio::{AudioOutput, Ending, Heard};
use crate::pcm::Params;
use crate::playout::{Ahead, Fed, PlaybackBuffer, feed, low};
use crate::timeline::Timeline;
use crate::wire::{Mode, PlaybackReader, PlaybackWriter, Progress, SinkProgress};

/// How long the sink is assumed to play on after it was looked at.
const MAX_STALE: Duration = Duration::from_millis(100);

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
    fn ahead(&self) -> Ahead {
        Ahead { duration: self.timeline.ahead(self.running), plays: self.running.is_some() }
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

/// Both processes' sides of a take.
#[derive(Debug)]
pub(super) struct Host {
    writer: PlaybackWriter,
    pub(super) buffer: PlaybackBuffer,
    params: Params,
    latency: Duration,
    plan: Plan,
    sink: Option<Sink>,
    lost: bool,
    played: u64,
    /// When the thread of the take wakes next; `None` if only the card wakes it.
    wakes: Option<u64>,
    /// How often that thread has woken.
    pub(super) woken: u32,
    /// The current time in milliseconds.
    now: u64,
}

/// The output that the playback uses.
#[derive(Clone, Debug)]
pub(super) struct Output(pub(super) Rc<RefCell<Host>>);

impl Host {
    pub(super) fn new(params: &Params, latency: Duration, plan: Plan) -> Self {
        let writer = PlaybackWriter::create(params).unwrap();
        let reader = PlaybackReader::open(writer.file().try_clone().unwrap(), params).unwrap();
        Self {
            writer,
            buffer: PlaybackBuffer::new(reader, params, false),
            params: *params,
            latency,
            plan,
            sink: None,
            lost: false,
            played: 0,
            wakes: None,
            woken: 0,
            now: 0,
        }
    }

    /// Lets the sink's clock run for a millisecond.
    pub(super) fn tick(&mut self, now: u64) {
        self.now = now;
        let Some(sink) = &mut self.sink else { return };
        if !self.plan.exists(now) || self.buffer.mode() != Mode::Run && sink.running.is_none() {
            return;
        }
        if sink.plays_in > 0 {
            sink.plays_in -= 1;
        } else {
            *sink.running.get_or_insert_default() += Duration::from_nanos(self.plan.moves(now));
        }
    }

    /// Has the thread of the take wake now, because the card has sent a message.
    fn wake(&mut self) {
        self.wakes = Some(self.now);
    }

    /// Does what the thread of the take does, if it wakes now.
    pub(super) fn play(&mut self, now: u64, jitter: u64) {
        let changed = self.sink.is_some() != self.plan.exists(now) && self.buffer.reader().written() > 0;
        if !changed && self.wakes.is_none_or(|wakes| wakes > now) {
            return;
        }
        self.woken += 1;
        self.buffer.sync();
        self.open(now);
        let next = match &mut self.sink {
            Some(sink) => feed(&mut self.buffer, sink, self.latency),
            None => None,
        };
        self.report(now);
        self.wakes = match next {
            Some(next) => Some(now + u64::try_from(next.as_micros().div_ceil(1000)).unwrap() + jitter),
            None if self.buffer.sleeps() => None,
            None => Some(now + 1),
        };
    }

    fn open(&mut self, now: u64) {
        if self.sink.is_some() && !self.plan.exists(now) {
            (self.sink, self.lost) = (None, true);
        }
        if self.sink.is_some() || !self.plan.exists(now) || self.buffer.end() == 0 {
            return;
        }
        if self.lost {
            self.buffer.drop_played();
        }
        let timeline = Timeline::new(self.params, self.buffer.first());
        let plays_in = self.plan.plays;
        self.sink = Some(Sink { timeline, running: None, plays_in, pieces: Vec::new(), fed: 0 });
    }

    fn report(&self, now: u64) {
        let sink = match &self.sink {
            Some(sink) => SinkProgress::Open {
                sampled_at: now * 1_000_000,
                running: sink.running,
                segment: sink.timeline.segment(),
            },
            None if self.lost => SinkProgress::Lost,
            None => SinkProgress::Opening,
        };
        self.buffer.report(&Progress { generation: 1, sink });
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

    fn set_mode(&mut self, mode: Mode) {
        self.writer.set_mode(mode);
        self.wake();
    }
}

impl AudioOutput for Output {
    fn write(&mut self, bytes: usize, read: impl FnMut(&mut [u8]) -> bool) -> bool {
        let host = &mut *self.0.borrow_mut();
        let first = host.writer.written() == 0;
        let written = host.writer.write(bytes, read);
        if first || host.writer.needs_wake() {
            host.wake();
        }
        written
    }

    fn low(&self) -> Duration {
        low(self.0.borrow().latency)
    }

    fn start(&mut self) {
        self.0.borrow_mut().set_mode(Mode::Run);
    }

    fn pause(&mut self) {
        self.0.borrow_mut().set_mode(Mode::Pause);
    }

    fn heard(&self) -> Heard {
        let host = self.0.borrow();
        match host.writer.progress().map_or(SinkProgress::Opening, |progress| progress.sink) {
            SinkProgress::Opening => Heard { frame: host.writer.first(), live: false },
            SinkProgress::Lost => Heard { frame: host.writer.first().max(host.played), live: false },
            sink @ SinkProgress::Open { sampled_at, .. } => {
                let age = Duration::from_nanos(host.now * 1_000_000 - sampled_at);
                let age = age.min(host.latency + MAX_STALE);
                Heard { frame: sink.heard(&host.params, age).unwrap(), live: true }
            }
        }
    }

    fn set_played(&mut self, frames: u64) {
        let host = &mut *self.0.borrow_mut();
        host.played = frames;
        host.writer.set_played(frames);
    }

    fn dropped(&self) -> u64 {
        self.0.borrow().writer.dropped()
    }

    fn end(self, _ending: Ending) {}
}
