//! What a stream plays or records from PREPARE to RELEASE.

use std::fmt;
use std::time::{Duration, Instant};

use ring_core::memory::Memory;
use ring_core::{Chain, Reader};

use super::capture::Capture;
use super::lifecycle::Direction;
use super::message::{Completion, Message};
use super::playback::Playback;
use crate::audio::{Input, Output};
use crate::pcm::Params;

/// A take of either direction.
#[derive(Debug)]
pub(crate) enum Take {
    Playback(Playback),
    Capture(Capture),
}

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Playback(playback) => playback.fmt(f),
            Self::Capture(capture) => capture.fmt(f),
        }
    }
}

impl Take {
    /// Creates a take of stream number `stream` that plays through `output`.
    pub(crate) fn play(stream: usize, params: Params, output: Output) -> Self {
        Self::Playback(Playback::new(stream, params, output))
    }

    /// Creates a take of stream number `stream` that records from `input`.
    pub(crate) fn record(stream: usize, params: Params, input: Input) -> Self {
        Self::Capture(Capture::new(stream, params, input))
    }

    pub(crate) const fn direction(&self) -> Direction {
        match self {
            Self::Playback(_) => Direction::Output,
            Self::Capture(_) => Direction::Input,
        }
    }

    /// Accepts a message, whose audio to play is what `reader` has left.
    ///
    /// Refuses the message if its audio is not a positive number of whole frames, or does not fit
    /// into the guest's buffer together with the pending messages.
    pub(crate) fn accept(
        &mut self,
        reader: &mut Reader<'_, impl Memory>,
        chain: Chain<'_>,
        now: Instant,
    ) -> Result<(), Message> {
        match self {
            Self::Playback(playback) => {
                let audio = reader.remaining();
                playback.accept(Message::to_play(chain), audio, now, |part| reader.read(part).is_ok())
            }
            Self::Capture(capture) => capture.accept(Message::new(chain), now),
        }
    }

    pub(crate) fn start(&mut self, now: Instant) {
        match self {
            Self::Playback(playback) => playback.start(now),
            Self::Capture(capture) => capture.start(now),
        }
    }

    pub(crate) fn stop(&mut self, now: Instant) {
        match self {
            Self::Playback(playback) => playback.stop(now),
            Self::Capture(capture) => capture.stop(now),
        }
    }

    /// Completes the messages that are due.
    pub(crate) fn complete_due(&mut self, now: Instant) -> Vec<Completion> {
        match self {
            Self::Playback(playback) => played(playback.take_due(now)),
            Self::Capture(capture) => capture.complete_due(now),
        }
    }

    /// Returns the estimated time until the take needs service; `None` if it needs none.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        match self {
            Self::Playback(playback) => playback.next_due(),
            Self::Capture(capture) => capture.next_due(),
        }
    }

    /// Returns whether the take needs no further message before the next wake.
    pub(crate) fn is_supplied(&self) -> bool {
        match self {
            Self::Playback(playback) => playback.is_supplied(),
            Self::Capture(capture) => capture.is_supplied(),
        }
    }

    /// Undoes the acceptance of the newest message. Returns whether `unpop` took a message.
    pub(crate) fn unpop(&mut self, unpop: impl FnOnce(Message) -> Result<(), Message>) -> bool {
        match self {
            Self::Playback(playback) => playback.unpop(unpop),
            Self::Capture(capture) => capture.unpop(unpop),
        }
    }

    /// Completes all messages at once, as if all were due. Audio to play stays and is played.
    pub(crate) fn flush(&mut self) -> Vec<Completion> {
        match self {
            Self::Playback(playback) => played(playback.flush()),
            Self::Capture(capture) => capture.flush(),
        }
    }

    /// Returns whether there was an underrun or an overrun since the last call.
    pub(crate) fn has_xrun(&mut self) -> bool {
        match self {
            Self::Playback(playback) => playback.has_xrun(),
            Self::Capture(capture) => capture.has_xrun(),
        }
    }

    /// Ends the take, and completes all messages.
    pub(crate) fn end(self) -> Vec<Completion> {
        match self {
            Self::Playback(playback) => played(playback.end()),
            Self::Capture(capture) => capture.end(),
        }
    }
}

/// Completes messages whose audio was played.
fn played(messages: Vec<(Message, u32)>) -> Vec<Completion> {
    messages.into_iter().map(|(message, latency_bytes)| message.played(latency_bytes)).collect()
}
