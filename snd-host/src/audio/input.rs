//! The host's side of a take that records.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::host_audio::HostAudio;
use super::level::Level;
use super::take_handle::TakeHandle;
use crate::pcm::Params;
use crate::wire::{CaptureReader, Counts, Direction, Mode};

/// The host's side of a take that records. No method blocks.
#[derive(Debug)]
pub(crate) struct Input {
    params: Params,
    level: Option<Arc<Level>>,
    take: TakeHandle,
    /// `None` if there is no source, or no memory for a ring. The guest records silence then.
    ring: Option<CaptureReader>,
    /// Number of frames that silence replaced without a ring.
    silent: u64,
}

impl Input {
    /// Creates an input for stream number `stream`, with a `level` if the guest can change it.
    pub(crate) fn new(
        audio: &Arc<HostAudio>,
        stream: usize,
        params: Params,
        level: Option<Arc<Level>>,
    ) -> Self {
        let take = TakeHandle::new(audio, Direction::Record, stream, params, level.is_some());
        let failed = |error: &_| warn!(stream, "no memory for a recording, which is silent: {error}");
        let create = || CaptureReader::create(&params).inspect_err(failed).ok();
        let ring = audio.has_source().then(create).flatten();
        Self { params, level, take, ring, silent: 0 }
    }

    /// Opens the source, unless it was opened before or there is none.
    pub(crate) fn open(&mut self) {
        if let Some(ring) = &self.ring {
            self.take.open(ring.file());
        }
    }

    /// Starts or resumes recording.
    pub(crate) fn start(&mut self) {
        self.open();
        self.set_mode(Mode::Run);
    }

    /// Pauses recording.
    pub(crate) fn pause(&mut self) {
        self.set_mode(Mode::Pause);
    }

    fn set_mode(&mut self, mode: Mode) {
        if let Some(ring) = &self.ring {
            ring.set_mode(mode);
            self.take.wake();
        }
    }

    /// Returns the number of frames that a live source has delivered in all; `None` without a live
    /// source.
    pub(crate) fn recorded(&mut self) -> Option<u64> {
        let ring = self.ring.as_mut()?;
        if let Some(level) = &self.level
            && ring.set_gain(level.gain())
        {
            self.take.wake();
        }
        ring.recorded()
    }

    /// Takes `bytes` bytes of whole frames. Silence replaces missing frames.
    pub(crate) fn pull(&mut self, bytes: u32) -> Vec<u8> {
        let Some(ring) = &mut self.ring else {
            let frames = self.params.frames(bytes.into());
            self.silent += frames;
            return self.params.silence().repeat(usize::try_from(frames).unwrap_or(0));
        };
        let audio = ring.pull(bytes);
        if ring.needs_wake() {
            self.take.wake();
        }
        audio
    }

    /// Returns the number of recorded bytes that were not taken.
    pub(crate) fn available(&self) -> u32 {
        self.ring.as_ref().map_or(0, CaptureReader::available)
    }

    /// Returns the numbers of dropped and missing frames.
    pub(crate) fn counts(&self) -> Counts {
        let silent = Counts { dropped: 0, silent: self.silent };
        self.ring.as_ref().map_or(silent, CaptureReader::counts)
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(ring) = &self.ring {
            ring.set_mode(Mode::Cut);
            self.take.end(Duration::ZERO);
        }
    }
}
