//! The host's side of a take that plays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::heard::{CardView, Heard};
use super::host_audio::HostAudio;
use super::level::Level;
use super::take_handle::TakeHandle;
use crate::pcm::Params;
use crate::playout::low;
use crate::wire::{Direction, Mode, PlaybackWriter, Played, SharedClock};

/// How a take that plays ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All audio is still played.
    Drain,
    /// Audio that the sink has not taken yet is dropped.
    Cut,
}

/// The host's side of a take that plays. No method blocks.
pub(crate) trait AudioOutput {
    /// Appends whole frames, `bytes` bytes in total. `read` fills the bytes in, part by part. If
    /// `read` returns false, appends nothing and returns false.
    fn write(&mut self, bytes: usize, read: impl FnMut(&mut [u8]) -> bool) -> bool;

    /// Returns how much audio the sink should not fall below.
    fn low(&self) -> Duration;

    /// Starts or resumes playback.
    fn start(&mut self);

    /// Pauses playback. Audio that the sink already has is still heard.
    fn pause(&mut self);

    /// Returns the progress at the time `now`.
    fn heard(&self, now: Instant) -> Heard;

    /// Returns whether a sink is open.
    fn is_live(&self) -> bool;

    /// Sets the number of frames that the guest considers played at the time `now`, and up to where
    /// time moves this number until the next call.
    fn set_played(&mut self, frames: u64, limit: u64, now: Instant);

    /// Returns the number of frames that were dropped because the sink did not keep up.
    fn dropped(&self) -> u64;

    /// Ends playback. The rest is played in the background.
    fn end(self, ending: Ending);
}

/// An output that the audio process plays.
#[derive(Debug)]
pub(crate) struct Output {
    params: Params,
    level: Option<Arc<Level>>,
    take: TakeHandle,
    clock: SharedClock,
    /// Created with the first audio: a guest that only probes its sound card opens no sink.
    ring: Option<PlaybackWriter>,
    mode: Mode,
    played: Played,
    /// Number of frames that were dropped because the take is not open.
    refused: u64,
}

impl Output {
    /// Creates an output for stream number `stream`, with a `level` if the guest can change it.
    pub(crate) fn new(
        audio: &Arc<HostAudio>,
        stream: usize,
        params: Params,
        level: Option<Arc<Level>>,
    ) -> Self {
        let take = TakeHandle::new(audio, Direction::Play, stream, params, level.is_some());
        let clock = SharedClock::read();
        Self {
            params,
            level,
            take,
            clock,
            ring: None,
            mode: Mode::Ready,
            played: Played::default(),
            refused: 0,
        }
    }

    /// Creates the ring, unless there is one.
    fn prepare(&mut self) {
        if self.ring.is_none() && !self.take.is_refused() {
            match PlaybackWriter::create(&self.params) {
                Ok(ring) => {
                    ring.set_played(self.played);
                    ring.set_mode(self.mode);
                    self.ring = Some(ring);
                }
                Err(error) => {
                    warn!("no memory for the audio of a take, which is dropped: {error}");
                    self.take.refuse();
                }
            }
        }
    }

    fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
        if let Some(ring) = &self.ring {
            ring.set_mode(mode);
            self.take.wake();
        }
    }

    /// Returns the progress at the time `now`, in nanoseconds of CLOCK_MONOTONIC.
    fn heard_at(&self, now: u64) -> Heard {
        let Some(ring) = &self.ring else { return Heard { frame: 0, live: false } };
        let (generation, latency) = (self.take.generation(), self.take.latency());
        CardView { params: self.params, latency, generation, played: self.played.frames }.heard(ring, now)
    }

    fn finish(&mut self, ending: Ending) {
        if self.mode.ends() {
            return;
        }
        // The position at the last look at the sink. The rest of the audio is not longer than the
        // audio after this position.
        let heard = self.heard_at(0).frame;
        self.mode = if ending == Ending::Drain { Mode::Drain } else { Mode::Cut };
        if let Some(ring) = &self.ring {
            ring.set_mode(self.mode);
            self.take.end(self.params.duration(ring.written().saturating_sub(heard)));
        }
    }
}

impl AudioOutput for Output {
    /// The first call opens the take.
    fn write(&mut self, bytes: usize, mut read: impl FnMut(&mut [u8]) -> bool) -> bool {
        self.prepare();
        let Some(ring) = self.ring.as_mut().filter(|_| !self.take.is_refused()) else {
            self.refused += self.params.frames(bytes as u64);
            return read(&mut vec![0; bytes]);
        };
        if let Some(level) = &self.level {
            ring.set_gain(level.gain());
        }
        if !ring.write(bytes, read) {
            return false;
        }
        if !self.take.is_open() {
            self.take.open(ring.file());
            if self.take.is_refused() {
                self.refused += ring.written();
            }
        } else if ring.needs_wake() {
            self.take.wake();
        }
        true
    }

    fn low(&self) -> Duration {
        low(self.take.latency())
    }

    fn start(&mut self) {
        self.set_mode(Mode::Run);
    }

    fn pause(&mut self) {
        self.set_mode(Mode::Pause);
    }

    fn heard(&self, now: Instant) -> Heard {
        self.heard_at(self.clock.nanos(now))
    }

    fn is_live(&self) -> bool {
        self.heard_at(0).live
    }

    fn set_played(&mut self, frames: u64, limit: u64, now: Instant) {
        self.played = Played { frames, limit, sampled_at: self.clock.nanos(now) };
        if let Some(ring) = &self.ring {
            ring.set_played(self.played);
        }
    }

    fn dropped(&self) -> u64 {
        self.refused + self.ring.as_ref().map_or(0, PlaybackWriter::dropped)
    }

    fn end(mut self, ending: Ending) {
        self.finish(ending);
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.finish(Ending::Cut);
    }
}
