//! One stretch of recording, as the event loop sees it.

use std::sync::Arc;

use super::capture_buffer::{CaptureBuffer, Counts};
use super::shared::Shared;
use super::{Audio, Level, Mode, Port, recorder};
use crate::pcm::Params;
use crate::waker::Waker;

/// One stretch of recording.
#[derive(Debug)]
pub(crate) struct Input {
    audio: Arc<Audio>,
    stream: usize,
    params: Params,
    level: Option<Arc<Level>>,
    store: Arc<Shared<CaptureBuffer>>,
    /// Told when there is more.
    waker: Arc<Waker>,
    begun: bool,
}

impl Input {
    /// Prepares to record audio of the form that `params` says, for stream number `stream`, at a `level` if
    /// that can change.
    pub(crate) fn new(
        audio: &Arc<Audio>,
        waker: &Arc<Waker>,
        stream: usize,
        params: Params,
        level: Option<Arc<Level>>,
    ) -> Self {
        let store = Arc::new(Shared::new(CaptureBuffer::new(&params)));
        Self { audio: audio.clone(), stream, params, level, store, waker: waker.clone(), begun: false }
    }

    /// Opens the source, if that has not been done.
    pub(crate) fn open(&mut self) {
        if !self.begun {
            self.begun = true;
            let (store, waker) = (self.store.clone(), self.waker.clone());
            let (params, level) = (self.params, self.level.clone());
            let latency = self.audio.latency;
            self.audio.spawn(self.stream, move |place, descriptions| {
                let port = Port { description: descriptions.source, latency, params, level };
                recorder::run(&store, &waker, place, &port);
            });
        }
    }

    /// Lets it record.
    pub(crate) fn start(&mut self) {
        self.open();
        self.store.change(|store| store.mode = Mode::Run);
    }

    /// Holds it.
    pub(crate) fn pause(&self) {
        self.store.change(|store| store.mode = Mode::Pause);
    }

    /// How many frames there are to be taken since the beginning, if a live source says so.
    pub(crate) fn recorded(&self) -> Option<u64> {
        self.store.get().recorded()
    }

    /// Takes `bytes` bytes of whole frames: silence, as far as there are none.
    pub(crate) fn take(&self, bytes: u32) -> Vec<u8> {
        self.store.get().take(bytes)
    }

    /// How many bytes were recorded and not taken.
    pub(crate) fn available(&self) -> u32 {
        u32::try_from(self.store.get().available()).unwrap_or(u32::MAX)
    }

    /// What was lost.
    pub(crate) fn counts(&self) -> Counts {
        self.store.get().counts()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.store.change(|store| store.mode = Mode::End);
    }
}
