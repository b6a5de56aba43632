//! A take in the audio process, as the event loop uses it. No method waits.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::host_audio::HostAudio;
use super::keeper::TakeLink;
use crate::limits::MAX_TAKES;
use crate::pcm::Params;
use crate::wire::{Direction, Opening, TakeId};

/// A take of a stream, which may be open in the audio process.
#[derive(Debug)]
pub(super) struct TakeHandle {
    audio: Arc<HostAudio>,
    opening: Opening,
    state: Open,
}

/// Whether the take was opened.
#[derive(Debug)]
enum Open {
    NotYet,
    /// It was, and is opened again in each audio process.
    Yes(Arc<TakeLink>),
    /// There are too many takes.
    Refused,
}

impl TakeHandle {
    /// Describes a take of stream number `stream`, which is not open.
    pub(super) fn new(
        audio: &Arc<HostAudio>,
        direction: Direction,
        stream: usize,
        params: Params,
        has_level: bool,
    ) -> Self {
        // The number of streams is small.
        let stream = u32::try_from(stream).unwrap_or(u32::MAX);
        let opening = Opening { take: TakeId(0), direction, stream, params, has_level, generation: 0 };
        Self { audio: audio.clone(), opening, state: Open::NotYet }
    }

    /// Opens the take, whose shared area is in `file`, unless it was opened before.
    pub(super) fn open(&mut self, file: &Arc<File>) {
        if !matches!(self.state, Open::NotYet) {
            return;
        }
        let opened = self.audio.keeper().map(|keeper| keeper.open(self.opening, file));
        self.state = match opened {
            Some(Some(link)) => Open::Yes(link),
            Some(None) => {
                let stream = self.opening.stream;
                warn!(stream, "{MAX_TAKES} takes are active already; the audio of this take is dropped");
                Open::Refused
            }
            None => Open::Refused,
        };
    }

    /// Gives the take up before it was opened.
    pub(super) fn refuse(&mut self) {
        self.state = Open::Refused;
    }

    pub(super) const fn is_refused(&self) -> bool {
        matches!(self.state, Open::Refused)
    }

    /// Returns with which number the take was opened in the current audio process. `None` if the
    /// process is gone and another one is being started.
    pub(super) fn generation(&self) -> Option<u64> {
        match &self.state {
            Open::Yes(link) => link.generation(),
            Open::NotYet | Open::Refused => None,
        }
    }

    /// Returns whether the take was opened.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, Open::Yes(_))
    }

    /// Has the audio process look at the take.
    pub(super) fn wake(&self) {
        if let (Open::Yes(link), Some(keeper)) = (&self.state, self.audio.keeper()) {
            keeper.wake(link);
        }
    }

    /// Expects the take to end, which still has audio for `time`.
    pub(super) fn end(&self, time: Duration) {
        if let (Open::Yes(link), Some(keeper)) = (&self.state, self.audio.keeper()) {
            keeper.end(link, time);
        }
    }

    pub(super) fn latency(&self) -> Duration {
        self.audio.latency()
    }
}
