//! A stream that plays: its messages, from the time they are accepted until they count as played.

use std::fmt;
use std::time::{Duration, Instant};

use tracing::info;

use super::message::{Completion, Message};
use super::pacer::Pacer;
use super::pending::{Backlog, Tally};
use super::stats::Stats;
use crate::audio::{Ending, Output};
use crate::pcm::Params;

/// One stretch of playback, from PREPARE to RELEASE.
#[derive(Debug)]
pub(crate) struct Playback {
    stream: usize,
    params: Params,
    output: Output,
    pacer: Pacer,
    pending: Backlog,
    stats: Stats,
    xruns: Tally,
}

impl fmt::Display for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { params, output, stats, pending, .. } = self;
        let sink = if output.heard().live { "open" } else { "not open" };
        write!(f, "{params}, {} frames, {stats}, {} frames dropped, ", pending.end(), output.dropped())?;
        write!(f, "{pending}, sink {sink}")
    }
}

impl Playback {
    /// A stretch of stream number `stream`, which goes to `output`.
    pub(crate) fn new(stream: usize, params: Params, output: Output) -> Self {
        Self {
            stream,
            params,
            output,
            pacer: Pacer::default(),
            pending: Backlog::new(params),
            stats: Stats::default(),
            xruns: Tally::default(),
        }
    }

    /// How many bytes of audio may be accepted now.
    pub(crate) const fn room(&self) -> u32 {
        self.pending.room()
    }

    /// Accepts a message of whole frames; hands it back if it has none, or parts of one, or too many.
    pub(crate) fn accept(&mut self, message: Message, audio: &[u8], now: Instant) -> Result<(), Message> {
        // Time up to now must not count for audio that was not there.
        self.advance(now);
        // That the audio ran out is known only now that there is more: otherwise it was the end.
        let ran_dry = self.pacer.runs() && self.pending.is_empty() && self.pending.end() > 0;
        let known = self.pending.accept(message, audio.len() as u64)?;
        self.stats.xruns += u64::from(ran_dry);
        if let Some(audio @ [_, ..]) = audio.get(known as usize..) {
            self.output.write(audio);
        }
        Ok(())
    }

    pub(crate) fn start(&mut self, now: Instant) {
        self.pacer.start(now);
        self.output.start();
    }

    pub(crate) fn stop(&mut self, now: Instant) {
        self.advance(now);
        self.pacer.stop();
        self.output.pause();
    }

    /// Moves the position.
    fn advance(&mut self, now: Instant) -> Duration {
        let heard = self.output.heard();
        let heard = heard.live.then(|| self.params.duration(heard.frame));
        self.pacer.advance(now, heard, self.params.duration(self.pending.end()))
    }

    /// Takes out the messages that are played by now.
    pub(crate) fn played(&mut self, now: Instant) -> Vec<Completion> {
        let position = self.advance(now);
        let position = self.params.frames_in(position);
        let mut played = std::iter::from_fn(|| self.pending.pop(position)).peekable();
        if played.peek().is_none() {
            return Vec::new();
        }
        self.output.set_played(position);
        let heard = self.output.heard().frame;
        let frame_bytes = u64::from(self.params.frame_bytes());
        let played = played.map(|next| {
            let latency = next.end.saturating_sub(heard);
            self.stats.add_latency(self.params.duration(latency));
            let latency = latency.saturating_mul(frame_bytes);
            next.message.played(u32::try_from(latency).unwrap_or(u32::MAX))
        });
        played.collect()
    }

    /// Whether audio has been missing or lost since this was last asked.
    pub(crate) fn has_xrun(&mut self) -> bool {
        self.xruns.has_grown(self.stats.xruns + self.output.dropped())
    }

    /// How long it takes until the next message is played, if things go their way.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.pending.next_end().and_then(|end| self.pacer.until(end))
    }

    /// Gives back the newest message, as if it had not been accepted, if `give` takes it. Its audio stays, and is
    /// not played again when the message comes again.
    pub(crate) fn give_back(&mut self, give: impl FnOnce(Message) -> Result<(), Message>) -> bool {
        self.pending.give_back(give)
    }

    /// Hands all messages back, as if they were played. Their audio stays.
    pub(crate) fn hand_back(&mut self) -> Vec<Completion> {
        self.pacer.skip_to(self.params.duration(self.pending.end_here()));
        std::iter::from_fn(|| self.pending.pop(u64::MAX)).map(|next| next.message.played(0)).collect()
    }

    /// Ends: what has not counted as played is dropped, what has is still heard.
    pub(crate) fn end(mut self) -> Vec<Completion> {
        let ending = if self.pending.is_empty() { Ending::Drain } else { Ending::Cut };
        if self.pending.end() > 0 {
            let (stream, frames, dropped) = (self.stream, self.pending.end(), self.output.dropped());
            info!(stream, frames, dropped, ?ending, "released: {}", self.stats);
        }
        let pending = self.hand_back();
        self.output.end(ending);
        pending
    }
}
