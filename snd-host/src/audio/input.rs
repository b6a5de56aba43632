//! The host's side of a take that records.

use std::sync::Arc;

use vhost_ring::Waker;

use super::capture_buffer::{CaptureBuffer, Counts};
use super::host_audio::HostAudio;
use super::level::Level;
use super::mode::Mode;
use super::pipeline_config::PipelineConfig;
use super::recorder;
use super::shared::Shared;
use crate::pcm::Params;

/// The host's side of a take that records. No method blocks.
#[derive(Debug)]
pub(crate) struct Input {
    audio: Arc<HostAudio>,
    stream: usize,
    params: Params,
    level: Option<Arc<Level>>,
    buffer: Arc<Shared<CaptureBuffer>>,
    /// Wakes the event loop when there is more audio.
    waker: Waker,
    opened: bool,
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
        let buffer = Arc::new(Shared::new(CaptureBuffer::new(&params)));
        Self { audio: audio.clone(), stream, params, level, buffer, waker: waker.clone(), opened: false }
    }

    /// Starts the recorder, unless it was started before or there is no source.
    pub(crate) fn open(&mut self) {
        if !self.opened && self.audio.has_source() {
            self.opened = true;
            let (buffer, waker) = (self.buffer.clone(), self.waker.clone());
            let (params, level) = (self.params, self.level.clone());
            let (latency, retry) = (self.audio.latency(), self.audio.source_retry().clone());
            self.audio.spawn(self.stream, move |permit, descriptions| {
                let Some(description) = descriptions.source else { return };
                let config = PipelineConfig { description, latency, params, level };
                recorder::run(&buffer, &waker, permit, &retry, &config);
            });
        }
    }

    /// Starts or resumes recording.
    pub(crate) fn start(&mut self) {
        self.open();
        self.buffer.update(|buffer| buffer.mode = Mode::Run);
    }

    /// Pauses recording.
    pub(crate) fn pause(&self) {
        self.buffer.update(|buffer| buffer.mode = Mode::Pause);
    }

    /// Returns the number of frames that a live source has delivered; `None` without a live source.
    pub(crate) fn recorded(&self) -> Option<u64> {
        self.buffer.lock().recorded()
    }

    /// Takes `bytes` bytes of whole frames out. Silence replaces missing frames.
    pub(crate) fn pull(&self, bytes: u32) -> Vec<u8> {
        self.buffer.lock().pull(bytes)
    }

    /// Returns the number of recorded bytes that were not taken out.
    pub(crate) fn available(&self) -> u32 {
        u32::try_from(self.buffer.lock().available()).unwrap_or(u32::MAX)
    }

    /// Returns the numbers of dropped and missing frames.
    pub(crate) fn counts(&self) -> Counts {
        self.buffer.lock().counts()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.buffer.update(|buffer| buffer.mode = Mode::End);
    }
}
