//! State that an output shares with its player.

use std::sync::{Arc, Mutex};

use super::gstreamer::{Gauge, Sink};
use super::playback_buffer::PlaybackBuffer;
use super::shared::{Shared, lock};
use crate::pcm::Params;

/// What an output and its player share.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) feed: Shared<PlaybackBuffer>,
    stage: Mutex<Stage>,
}

/// Where the player stands.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// It is opening the sink, which will play all there is.
    Opening,
    /// The sink is open, and this tells how far it has come.
    Open(Arc<Gauge>),
    /// There is no sink. If one comes, it goes on from where the guest believes to be.
    Lost,
}

impl Link {
    pub(super) fn new(params: &Params) -> Self {
        Self { feed: Shared::new(PlaybackBuffer::new(params)), stage: Mutex::new(Stage::Opening) }
    }

    /// Where the player stands.
    pub(super) fn stage(&self) -> Stage {
        lock(&self.stage).clone()
    }

    /// The sink is open.
    pub(super) fn opened(&self, sink: &Sink) {
        *lock(&self.stage) = Stage::Open(sink.gauge().clone());
    }

    /// The sink cannot be opened, or has failed.
    pub(super) fn lost(&self) {
        *lock(&self.stage) = Stage::Lost;
    }

    /// Whether there was a sink, or should have been one.
    pub(super) fn is_lost(&self) -> bool {
        matches!(*lock(&self.stage), Stage::Lost)
    }
}
