//! The host's side of a take that records.

use std::sync::Arc;

use bytes::BytesMut;
use vhost_ring::Waker;

use super::capture_buffer::{CaptureBuffer, Counts};
use super::host_audio::HostAudio;
use super::level::Level;
use super::mode::Mode;
use super::pipeline_config::PipelineConfig;
use super::recorder::{self, Recorder};
use crate::pcm::Params;

/// The host's side of a take that records. No method blocks.
#[derive(Debug)]
pub(crate) struct Input {
    audio: Arc<HostAudio>,
    stream: usize,
    params: Params,
    level: Option<Arc<Level>>,
    buffer: CaptureBuffer,
    recorder: Arc<Recorder>,
    /// Wakes the event loop when there is more audio.
    waker: Waker,
    opened: bool,
    running: bool,
}

impl Input {
    /// Creates an input for stream number `stream`, with a `level` if the guest can change it.
    pub(crate) fn new(
        audio: &Arc<HostAudio>,
        waker: &Waker,
        stream: usize,
        params: Params,
        level: Option<Arc<Level>>,
    ) -> Self {
        Self {
            audio: audio.clone(),
            stream,
            params,
            level,
            buffer: CaptureBuffer::new(&params),
            recorder: Arc::default(),
            waker: waker.clone(),
            opened: false,
            running: false,
        }
    }

    /// Starts the recorder, unless it was started before or there is no source.
    pub(crate) fn open(&mut self) {
        if !self.opened && self.audio.has_source() {
            self.opened = true;
            let (recorder, waker) = (self.recorder.clone(), self.waker.clone());
            let (params, level) = (self.params, self.level.clone());
            let (label, realtime) = (self.audio.label(self.stream), self.audio.realtime());
            let (latency, retry) = (self.audio.latency(), self.audio.source_retry().clone());
            self.audio.spawn(self.stream, move |permit, descriptions| {
                let Some(description) = descriptions.source else { return };
                let config = PipelineConfig { description, latency, params, level, label, realtime };
                recorder::run(&recorder, &waker, permit, &retry, &config);
            });
        }
    }

    /// Starts or resumes recording.
    pub(crate) fn start(&mut self) {
        self.open();
        self.running = true;
        self.recorder.set_mode(Mode::Run);
    }

    /// Pauses recording.
    pub(crate) fn pause(&mut self) {
        self.running = false;
        self.recorder.set_mode(Mode::Pause);
    }

    /// Takes what the source has delivered. Returns the number of frames that a live source has
    /// delivered in all; `None` without a live source.
    pub(crate) fn recorded(&mut self) -> Option<u64> {
        if let Some(tap) = self.recorder.tap().filter(|_| self.running) {
            self.buffer.live = tap.is_live();
            while tap.is_live() || self.buffer.has_room() {
                let Some(frames) = tap.pull() else { break };
                self.buffer.push(&frames, |part| tap.to_guest(part));
            }
        }
        self.buffer.recorded()
    }

    /// Takes `bytes` bytes of whole frames out, in pieces. Silence replaces missing frames.
    pub(crate) fn pull(&mut self, bytes: u32) -> Vec<BytesMut> {
        self.buffer.pull(bytes)
    }

    /// Returns the number of recorded bytes that were not taken out.
    pub(crate) fn available(&self) -> u32 {
        u32::try_from(self.buffer.available()).unwrap_or(u32::MAX)
    }

    /// Returns the numbers of dropped and missing frames.
    pub(crate) const fn counts(&self) -> Counts {
        self.buffer.counts()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.recorder.set_mode(Mode::End);
    }
}
