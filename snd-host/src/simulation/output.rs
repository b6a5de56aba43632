//! The output of a playback: the ring, and an audio process with a simulated sink.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use super::sink::Plan;
use crate::audio::{AudioOutput, CardView, Ending, Heard};
use crate::pcm::Params;
use crate::playout::{Ahead, Fed, PlaybackBuffer, feed, low};
use crate::timeline::Timeline;
use crate::wire::{Mode, PlaybackReader, PlaybackWriter, Played, Progress, SharedClock, SinkProgress};

/// An open sink.
#[derive(Debug)]
struct Sink {
    timeline: Timeline,
    /// The running time, once the sink plays.
    running: Option<Duration>,
    /// Milliseconds until the sink plays.
    plays_in: u64,
    /// What was scheduled: the running time, the first frame, the number of frames, and the end.
    pieces: Vec<(Duration, u64, u64, Duration)>,
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
        self.pieces.retain(|(.., end)| self.running.is_none_or(|running| *end > running));
        self.pieces.push((slot.start, first, bytes.len() as u64, slot.end));
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
    /// Whether the last sink or its process has failed.
    lost: bool,
    /// How often the take was opened; `None` without an audio process.
    generation: Option<u64>,
    processes: u64,
    played: u64,
    clock: SharedClock,
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
    /// Creates both sides. The virtual time begins at `epoch`.
    pub(super) fn new(params: &Params, latency: Duration, plan: Plan, epoch: Instant) -> Self {
        let writer = PlaybackWriter::create(params).unwrap();
        Self {
            buffer: open(&writer, params, 1),
            writer,
            params: *params,
            latency,
            plan,
            sink: None,
            lost: false,
            generation: Some(1),
            processes: 1,
            played: 0,
            clock: SharedClock::new(epoch, 0),
            wakes: None,
            woken: 0,
            now: 0,
        }
    }

    /// Lets the sink's clock run until `now`. Nothing changes meanwhile.
    pub(super) fn advance(&mut self, now: u64) {
        let ms = now - std::mem::replace(&mut self.now, now);
        let Some(sink) = &mut self.sink else { return };
        // As it was since the last change.
        let before = now - 1;
        if !self.plan.exists(before) || self.buffer.mode() != Mode::Run && sink.running.is_none() {
            return;
        }
        let waits = ms.min(sink.plays_in);
        sink.plays_in -= waits;
        if sink.plays_in == 0 && self.plan.moves(before) {
            *sink.running.get_or_insert_default() += Duration::from_nanos(self.plan.nanos(ms - waits));
        }
    }

    /// Returns when something changes by itself, after the current time.
    pub(super) fn next(&self) -> Option<u64> {
        let may_play = self.buffer.mode() == Mode::Run && self.plan.exists(self.now);
        let plays = self.sink.as_ref().filter(|sink| sink.running.is_none() && may_play);
        let plays = plays.map(|sink| self.now + sink.plays_in.max(1));
        let wakes = self.wakes.map(|wakes| wakes.max(self.now + 1));
        [plays, wakes, self.plan.next_change(self.now)].into_iter().flatten().min()
    }

    /// Has the thread of the take wake now, because the card has sent a message.
    fn wake(&mut self) {
        self.wakes = Some(self.now);
    }

    /// Does what the thread of the take does, if it wakes now.
    pub(super) fn play(&mut self, now: u64, jitter: u64) {
        self.replace_process(now);
        if self.generation.is_none() {
            return;
        }
        let changed = self.sink.is_some() != self.plan.exists(now) && self.buffer.reader().written() > 0;
        if !changed && self.wakes.is_none_or(|wakes| wakes > now) {
            return;
        }
        self.woken += 1;
        self.buffer.sync();
        self.open(now);
        let next = match &mut self.sink {
            Some(sink) => feed(&mut self.buffer, sink, self.latency, nanos(now)),
            None => None,
        };
        self.report(now);
        self.wakes = match next {
            Some(next) => Some(now + u64::try_from(next.as_micros().div_ceil(1000)).unwrap() + jitter),
            None if self.buffer.sleeps() => None,
            None => Some(now + 1),
        };
    }

    /// Ends the audio process, or starts another one.
    fn replace_process(&mut self, now: u64) {
        let exists = self.plan.has_process(now);
        if exists && self.generation.is_none() {
            self.processes += 1;
            self.generation = Some(self.processes);
            self.buffer = open(&self.writer, &self.params, self.processes);
            self.wake();
        } else if !exists {
            (self.generation, self.sink, self.lost, self.wakes) = (None, None, true, None);
        }
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
                sampled_at: nanos(now),
                running: sink.running,
                segment: sink.timeline.segment(),
            },
            None if self.lost => SinkProgress::Lost,
            None => SinkProgress::Opening,
        };
        self.buffer.report(&Progress { generation: self.processes, sink });
    }

    /// Returns how many pieces the sink was given.
    pub(super) fn fed(&self) -> u32 {
        self.sink.as_ref().map_or(0, |sink| sink.fed)
    }

    /// Returns whether the sink plays now.
    pub(super) fn plays(&self, now: u64) -> bool {
        self.plan.exists(now)
            && self.plan.moves(now)
            && self.sink.as_ref().is_some_and(|sink| sink.running.is_some())
    }

    /// Returns the frame that the sink makes audible now; `None` if it has nothing to play.
    pub(super) fn audible(&self) -> Option<u64> {
        let sink = self.sink.as_ref()?;
        let running = sink.running?;
        let past = |(at, first, frames, _): &(Duration, u64, u64, Duration)| {
            let passed = self.params.frames_in(running.checked_sub(*at)?);
            (passed < *frames).then_some(first + passed)
        };
        sink.pieces.iter().find_map(past)
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

    fn heard(&self, now: Instant) -> Heard {
        let host = self.0.borrow();
        let Host { params, latency, generation, played, .. } = *host;
        CardView { params, latency, generation, played }.heard(&host.writer, host.clock.nanos(now))
    }

    fn is_live(&self) -> bool {
        self.0.borrow().sink.is_some()
    }

    fn set_played(&mut self, frames: u64, limit: u64, now: Instant) {
        let host = &mut *self.0.borrow_mut();
        host.played = frames;
        host.writer.set_played(Played { frames, limit, sampled_at: host.clock.nanos(now) });
    }

    fn dropped(&self) -> u64 {
        self.0.borrow().writer.dropped()
    }

    fn end(self, _ending: Ending) {}
}

/// Returns what the clock that both processes read says at a time in milliseconds.
const fn nanos(now: u64) -> u64 {
    now * 1_000_000
}

/// Opens the ring as audio process number `process` does.
fn open(writer: &PlaybackWriter, params: &Params, process: u64) -> PlaybackBuffer {
    let reader = PlaybackReader::open(writer.file().try_clone().unwrap(), params).unwrap();
    PlaybackBuffer::new(reader, params, process > 1)
}
