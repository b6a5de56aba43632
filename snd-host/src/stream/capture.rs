//! A stream that records: its messages, from the time they are accepted until they are full.

use std::fmt;
use std::time::{Duration, Instant};

use tracing::info;

use super::message::{Completion, Message};
use super::pacer::Pacer;
use super::pending::{Backlog, Tally};
use super::stats::Stats;
use crate::audio::{Counts, Input};
use crate::pcm::Params;

/// One stretch of recording, from PREPARE to RELEASE.
///
/// A message comes back when it can be filled whole. Time decides in the last resort: what the source has not
/// given when it is due is silence, and what it gives too early waits. A source that has no pace of its own,
/// such as a file, follows time alone.
#[derive(Debug)]
pub(crate) struct Capture {
    stream: usize,
    params: Params,
    input: Input,
    pacer: Pacer,
    /// Whether the source sets the pace.
    led: bool,
    pending: Backlog,
    /// Frames given to the guest.
    recorded: u64,
    stats: Stats,
    xruns: Tally,
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
    /// A stretch of stream number `stream`, which comes from `input`.
    pub(crate) fn new(stream: usize, params: Params, input: Input) -> Self {
        Self {
            stream,
            params,
            input,
            pacer: Pacer::default(),
            led: false,
            pending: Backlog::new(params),
            recorded: 0,
            stats: Stats::default(),
            xruns: Tally::default(),
        }
    }

    /// Accepts a message with room for whole frames; hands it back if it has none, or for parts of one, or
    /// for too many.
    pub(crate) fn accept(&mut self, message: Message, now: Instant) -> Result<(), Message> {
        // Time up to now must not count for a message that was not there.
        self.advance(now);
        let room = message.room();
        self.pending.accept(message, room)?;
        self.input.open();
        Ok(())
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.pacer.start(now);
        self.input.start();
    }

    pub(crate) fn stop(&mut self, now: Instant) {
        self.advance(now);
        self.pacer.stop();
        self.input.pause();
    }

    /// Moves the position.
    fn advance(&mut self, now: Instant) -> Duration {
        let recorded = self.input.recorded().map(|frames| self.params.duration(frames));
        if recorded.is_some() && !self.led {
            self.pacer.begin_anew();
        }
        self.led = recorded.is_some();
        self.pacer.advance(now, recorded, self.params.duration(self.pending.end()))
    }

    /// Fills the messages that are due by now, and takes them out.
    pub(crate) fn recorded(&mut self, now: Instant) -> Vec<Completion> {
        let position = self.advance(now);
        let position = self.params.frames_in(position);
        std::iter::from_fn(|| self.fill(position)).collect()
    }

    /// Fills the next message if it is due at `position`.
    fn fill(&mut self, position: u64) -> Option<Completion> {
        let next = self.pending.pop(position)?;
        self.recorded = next.end;
        let audio = self.input.take(next.bytes);
        let behind = self.input.available();
        self.stats.add_latency(self.params.duration(self.params.frames(behind.into())));
        Some(next.message.recorded(audio, behind))
    }

    /// Whether audio has been lost since this was last asked.
    pub(crate) fn has_xrun(&mut self) -> bool {
        let lost = self.xruns.has_grown(self.input.counts().dropped);
        self.stats.xruns += u64::from(lost);
        lost
    }

    /// How long it takes at most until the next message is due.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.pending.next_end().and_then(|end| self.pacer.until(end))
    }

    /// Gives back the newest message, as if it had not been accepted, if `give` takes it.
    pub(crate) fn give_back(&mut self, give: impl FnOnce(Message) -> Result<(), Message>) -> bool {
        self.pending.give_back(give)
    }

    /// Fills all messages and hands them back: with what there is, and with silence.
    pub(crate) fn hand_back(&mut self) -> Vec<Completion> {
        self.pacer.skip_to(self.params.duration(self.pending.end_here()));
        std::iter::from_fn(|| self.fill(u64::MAX)).collect()
    }

    /// Ends: messages come back empty.
    pub(crate) fn end(mut self) -> Vec<Completion> {
        if self.recorded > 0 {
            let (stream, frames, Counts { dropped, silent }) =
                (self.stream, self.recorded, self.input.counts());
            info!(stream, frames, dropped, silent, "released: {}", self.stats);
        }
        std::iter::from_fn(|| self.pending.pop(u64::MAX))
            .map(|next| next.message.recorded(Vec::new(), 0))
            .collect()
    }
}
