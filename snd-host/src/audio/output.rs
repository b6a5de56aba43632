//! The host's side of a take that plays.

use std::sync::Arc;

use super::host_audio::HostAudio;
use super::level::Level;
use super::link::{Link, SinkState};
use super::mode::Mode;
use super::pipeline_config::PipelineConfig;
use super::playback_buffer::Ending;
use super::player;
use crate::pcm::Params;

/// The progress of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The number of the frame that is about to be heard.
    pub(crate) frame: u64,
    /// Whether a sink is open.
    pub(crate) live: bool,
}

/// The host's side of a take that plays. No method blocks.
pub(crate) trait AudioOutput {
    /// Appends whole frames.
    fn write(&mut self, frames: &[u8]);

    /// Starts or resumes playback.
    fn start(&self);

    /// Pauses playback. Audio that the sink already has is still heard.
    fn pause(&self);

    /// Returns the progress.
    fn heard(&self) -> Heard;

    /// Sets the number of frames that the guest considers played.
    fn set_played(&self, frames: u64);

    /// Returns the number of frames that were dropped because the sink did not keep up.
    fn dropped(&self) -> u64;

    /// Ends playback. The rest is played in the background.
    fn end(self, ending: Ending);
}

/// An output with a thread that plays.
#[derive(Debug)]
pub(crate) struct Output {
    audio: Arc<HostAudio>,
    stream: usize,
    params: Params,
    level: Option<Arc<Level>>,
    link: Arc<Link>,
    player: Player,
}

/// The state of the thread that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Player {
    NotStarted,
    Started,
    /// The thread could not be started, and the audio is dropped.
    Refused,
}

impl Output {
    /// Creates an output for stream number `stream`, with a `level` if the guest can change it.
    pub(crate) fn new(
        audio: &Arc<HostAudio>,
        stream: usize,
        params: Params,
        level: Option<Arc<Level>>,
    ) -> Self {
        let link = Arc::new(Link::new(&params));
        Self { audio: audio.clone(), stream, params, level, link, player: Player::NotStarted }
    }

    fn start_player(&self) -> Player {
        let (link, params, level) = (self.link.clone(), self.params, self.level.clone());
        let latency = self.audio.latency();
        let started = self.audio.spawn(self.stream, move |permit, descriptions| {
            let config = PipelineConfig { description: descriptions.sink, latency, params, level };
            player::run(&link, permit, &config);
        });
        if started { Player::Started } else { Player::Refused }
    }
}

impl AudioOutput for Output {
    /// The first call starts the player.
    fn write(&mut self, frames: &[u8]) {
        if self.player == Player::NotStarted {
            self.player = self.start_player();
        }
        match self.player {
            Player::Refused => self.link.buffer.lock().discard(frames),
            Player::NotStarted | Player::Started => self.link.buffer.update(|buffer| buffer.push(frames)),
        }
    }

    fn start(&self) {
        self.link.buffer.update(|buffer| {
            buffer.mode = Mode::Run;
            buffer.started = true;
        });
    }

    fn pause(&self) {
        self.link.buffer.update(|buffer| buffer.mode = Mode::Pause);
    }

    fn heard(&self) -> Heard {
        match self.link.sink() {
            SinkState::Opening => Heard { frame: self.link.buffer.lock().first(), live: false },
            SinkState::Open(progress) => Heard { frame: progress.heard(), live: true },
            SinkState::Lost => Heard { frame: self.link.buffer.lock().first_unplayed(), live: false },
        }
    }

    fn set_played(&self, frames: u64) {
        self.link.buffer.lock().played = frames;
    }

    fn dropped(&self) -> u64 {
        self.link.buffer.lock().dropped
    }

    fn end(self, ending: Ending) {
        self.link.buffer.update(|buffer| buffer.end_with(ending));
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.link.buffer.update(|buffer| {
            if buffer.mode != Mode::End {
                buffer.end_with(Ending::Cut);
            }
        });
    }
}
