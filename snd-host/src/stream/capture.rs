//! A take that records.

use std::fmt;
use std::time::{Duration, Instant};

use tracing::info;

use super::high_water::HighWater;
use super::message::{Completion, Message};
use super::pacer::{MAX_UNNOTIFIED, Pacer, SLACK};
use super::pending::Pending;
use super::stats::Stats;
use crate::audio::Input;
use crate::pcm::Params;
use crate::wire::Counts;

/// A take that records. A message is completed when its buffer is full.
///
/// A buffer is full when the position of the stream has passed its last frame. The position follows
/// a live source. Any other source, such as a file, is read at the pace of the position. Audio that
/// arrives early waits, and silence replaces audio that the source has not delivered when it is
/// due.
#[derive(Debug)]
pub(crate) struct Capture {
    stream: usize,
    params: Params,
    input: Input,
    pacer: Pacer,
    /// Whether the position follows the source.
    follows_source: bool,
    pending: Pending,
    /// Frames given to the guest.
    recorded: u64,
    stats: Stats,
    xruns: HighWater,
}

impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { params, input, stats, pending, recorded, .. } = self;
        let Counts { dropped, silent } = input.counts();
        write!(
            f,
            "{params}, {recorded} frames, {stats}, {dropped} frames dropped, {silent} silent, {pending}"
        )
    }
}

impl Capture {
    /// Creates a take of stream number `stream` that records from `input`.
    pub(super) fn new(stream: usize, params: Params, input: Input) -> Self {
        Self {
            stream,
            params,
            input,
            pacer: Pacer::new(&params),
            follows_source: false,
            pending: Pending::new(params),
            recorded: 0,
            stats: Stats::default(),
            xruns: HighWater::default(),
        }
    }

    /// Accepts a message. Refuses it if its room is not a positive number of whole frames, or
    /// exceeds the guest's buffer together with the pending messages.
    pub(super) fn accept(&mut self, message: Message, now: Instant) -> Result<(), Message> {
        // The time up to now must not count for a message that arrives only now.
        self.advance(now);
        let room = message.room();
        self.pending.accept(message, room)?;
        self.input.open();
        Ok(())
    }

    pub(super) fn start(&mut self, now: Instant) {
        self.pacer.start(now);
        self.input.start();
    }

    pub(super) fn stop(&mut self, now: Instant) {
        self.advance(now);
        self.pacer.stop();
        self.input.pause();
    }

    /// Updates the position and returns it.
    fn advance(&mut self, now: Instant) -> Duration {
        let recorded = self.input.recorded().map(|frames| self.params.duration(frames));
        if recorded.is_some() && !self.follows_source {
            self.pacer.rebase();
        }
        self.follows_source = recorded.is_some();
        self.pacer.advance(now, recorded, self.pending.given())
    }

    /// Fills and completes the messages that are due.
    pub(super) fn complete_due(&mut self, now: Instant) -> Vec<Completion> {
        let position = self.advance(now);
        let position = self.params.frames_in(position);
        std::iter::from_fn(|| self.fill(position)).collect()
    }

    /// Fills and completes the next message if it is due at `position`.
    fn fill(&mut self, position: u64) -> Option<Completion> {
        let next = self.pending.pop_due(position)?;
        self.recorded = next.end;
        let audio = self.input.pull(next.bytes);
        let latency = self.input.available();
        self.stats.add_latency(self.params.duration(self.params.frames(latency.into())));
        Some(next.message.recorded(audio, latency))
    }

    /// Returns whether audio was dropped since the last call.
    pub(super) fn has_xrun(&mut self) -> bool {
        let overrun = self.xruns.has_grown(self.input.counts().dropped);
        self.stats.xruns += u64::from(overrun);
        overrun
    }

    /// Returns the time until the next message is due. If the source delivers its audio earlier,
    /// the event loop is woken.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.pending.next_due().and_then(|position| self.pacer.time_until_at_most(position))
    }

    /// Returns whether the pending messages suffice, even if the driver's next messages are looked
    /// at only when the next message is due.
    pub(super) fn is_supplied(&self) -> bool {
        self.next_due().is_some_and(|due| due <= MAX_UNNOTIFIED && self.pending.after_next() >= SLACK * 2)
    }

    /// Undoes the acceptance of the newest message. Returns whether `unpop` took a message.
    pub(super) fn unpop(&mut self, unpop: impl FnOnce(Message) -> Result<(), Message>) -> bool {
        self.pending.unpop(unpop)
    }

    /// Fills and completes all messages with the audio that there is, and then with silence.
    pub(super) fn flush(&mut self) -> Vec<Completion> {
        self.pacer.skip_to(self.params.duration(self.pending.pending_end()));
        std::iter::from_fn(|| self.fill(u64::MAX)).collect()
    }

    /// Ends the take. The pending messages are completed without audio.
    pub(super) fn end(mut self) -> Vec<Completion> {
        if self.recorded > 0 {
            let (stream, frames, Counts { dropped, silent }) =
                (self.stream, self.recorded, self.input.counts());
            info!(stream, frames, dropped, silent, "released: {}", self.stats);
        }
        let pending = std::iter::from_fn(|| self.pending.pop());
        pending.map(|next| next.message.recorded(Vec::new(), 0)).collect()
    }
}
