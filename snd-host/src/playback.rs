//! A stream that plays: its messages, from the time they are accepted until they count as played.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::info;

use crate::audio::{Audio, Ending, Output};
use crate::io::{Completion, Message};
use crate::pacing::Pacer;
use crate::pcm::Params;
use crate::stats::Stats;

/// One stretch of playback, from PREPARE to RELEASE.
#[derive(Debug)]
pub(crate) struct Playback {
    stream: usize,
    params: Params,
    output: Output,
    pacer: Pacer,
    /// Messages that are not played yet, in order; never more than the queue has descriptors.
    pending: VecDeque<Pending>,
    /// Bytes of audio in `pending`; at most the size of the guest's buffer.
    pending_bytes: u32,
    /// Frames accepted.
    written: u64,
    stats: Stats,
}

impl fmt::Display for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { params, output, stats, pending, pending_bytes, written, .. } = self;
        let sink = if output.heard().live { "open" } else { "not open" };
        write!(f, "{params}, {written} frames, {stats}, {} frames dropped, ", output.dropped())?;
        write!(f, "{} messages with {pending_bytes} bytes waiting, sink {sink}", pending.len())
    }
}

#[derive(Debug)]
struct Pending {
    message: Message,
    bytes: u32,
    /// Frames accepted up to and including this message.
    end: u64,
}

impl Playback {
    pub(crate) fn new(audio: &Arc<Audio>, stream: usize, params: Params) -> Self {
        Self {
            stream,
            params,
            output: Output::new(audio, stream, params),
            pacer: Pacer::default(),
            pending: VecDeque::new(),
            pending_bytes: 0,
            written: 0,
            stats: Stats::default(),
        }
    }

    /// How many bytes of audio may be accepted now.
    pub(crate) const fn room(&self) -> u32 {
        self.params.buffer_bytes.saturating_sub(self.pending_bytes)
    }

    /// Accepts a message of whole frames; hands it back if it has none, or parts of one, or too many.
    pub(crate) fn accept(&mut self, message: Message, audio: &[u8], now: Instant) -> Result<(), Message> {
        let bytes = match u32::try_from(audio.len()) {
            Ok(bytes @ 1..) if bytes <= self.room() && bytes.is_multiple_of(self.params.frame_bytes()) => {
                bytes
            }
            _ => return Err(message),
        };
        // Time up to now must not count for audio that was not there.
        self.advance(now);
        if self.pacer.runs() && self.pending.is_empty() && self.written > 0 {
            self.stats.xruns += 1;
        }
        self.output.write(audio);
        self.written += self.params.frames(bytes.into());
        self.pending_bytes += bytes;
        self.pending.push_back(Pending { message, bytes, end: self.written });
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
        self.pacer.advance(now, heard, self.params.duration(self.written))
    }

    /// Takes out the messages that are played by now.
    pub(crate) fn played(&mut self, now: Instant) -> Vec<Completion> {
        let position = self.advance(now);
        let position = self.params.frames_in(position);
        let count = self.pending.iter().take_while(|pending| pending.end <= position).count();
        if count == 0 {
            return Vec::new();
        }
        self.output.set_played(position);
        let heard = self.output.heard().frame;
        let frame_bytes = u64::from(self.params.frame_bytes());
        let played = self.pending.drain(..count).map(|pending| {
            self.pending_bytes -= pending.bytes;
            let latency = pending.end.saturating_sub(heard);
            self.stats.add_latency(self.params.duration(latency));
            let latency = latency.saturating_mul(frame_bytes);
            pending.message.played(u32::try_from(latency).unwrap_or(u32::MAX))
        });
        played.collect()
    }

    /// How long it takes until the next message is played, if things go their way.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.pending.front().and_then(|next| self.pacer.until(self.params.duration(next.end)))
    }

    /// Hands all messages back, as if they were played. Their audio stays.
    pub(crate) fn hand_back(&mut self) -> Vec<Completion> {
        self.pending_bytes = 0;
        self.pending.drain(..).map(|pending| pending.message.played(0)).collect()
    }

    /// Ends: what has not counted as played is dropped, what has is still heard.
    pub(crate) fn end(mut self) -> Vec<Completion> {
        let ending = if self.pending.is_empty() { Ending::Drain } else { Ending::Cut };
        if self.written > 0 {
            let (stream, frames, dropped) = (self.stream, self.written, self.output.dropped());
            info!(stream, frames, dropped, ?ending, "released: {}", self.stats);
        }
        let pending = self.hand_back();
        self.output.end(ending);
        pending
    }
}
