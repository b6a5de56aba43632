//! The state that an output shares with its player.

use std::sync::{Arc, Mutex};

use super::gstreamer::{Feeder, Sink};
use super::playback_buffer::PlaybackBuffer;
use super::shared::{Shared, lock};
use crate::pcm::Params;

/// The state that an output shares with its player.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) buffer: Shared<PlaybackBuffer>,
    sink: Mutex<SinkState>,
}

/// The state of a player's sink.
#[derive(Clone, Debug)]
pub(super) enum SinkState {
    /// The sink is being opened for the first time, and will play all audio.
    Opening,
    /// The sink is open.
    Open(Arc<Feeder>),
    /// The sink cannot be opened, or has failed. A new sink will start at the guest's position.
    Lost,
}

impl Link {
    pub(super) fn new(params: &Params) -> Self {
        Self { buffer: Shared::new(PlaybackBuffer::new(params)), sink: Mutex::new(SinkState::Opening) }
    }

    pub(super) fn sink(&self) -> SinkState {
        lock(&self.sink).clone()
    }

    /// Records that the sink is open.
    pub(super) fn opened(&self, sink: &Sink) {
        *lock(&self.sink) = SinkState::Open(sink.feeder().clone());
    }

    /// Records that the sink cannot be opened, or has failed.
    pub(super) fn lost(&self) {
        *lock(&self.sink) = SinkState::Lost;
    }

    /// Returns whether the sink is lost.
    pub(super) fn is_lost(&self) -> bool {
        matches!(*lock(&self.sink), SinkState::Lost)
    }
}
