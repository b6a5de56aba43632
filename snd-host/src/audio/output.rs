//! The host's side of a take that plays.

use std::sync::Arc;
use std::time::Duration;

use vhost_ring::Waker;

use super::feeding;
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
    /// Appends whole frames, `bytes` bytes in total. `read` fills the bytes in, part by part. If
    /// `read` returns false, appends nothing and returns false.
    fn write(&mut self, bytes: usize, read: impl FnMut(&mut [u8]) -> bool) -> bool;

    /// Feeds the sink if the sink would run short before the event loop wakes in `next_wake`.
    /// Returns the time until the sink has to be fed again, if the event loop has to wake for that.
    fn feed(&mut self, next_wake: Option<Duration>) -> Option<Duration>;

    /// Returns how much audio the sink should not fall below.
    fn low(&self) -> Duration;

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
    /// Wakes the event loop when the sink is open.
    waker: Waker,
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
        waker: &Waker,
        stream: usize,
        params: Params,
        level: Option<Arc<Level>>,
    ) -> Self {
        let link = Arc::new(Link::new(&params));
        let (audio, waker) = (audio.clone(), waker.clone());
        Self { audio, stream, params, level, link, waker, player: Player::NotStarted }
    }

    fn start_player(&self) -> Player {
        let (link, params, level) = (self.link.clone(), self.params, self.level.clone());
        let (waker, latency) = (self.waker.clone(), self.audio.latency());
        let (label, realtime) = (self.audio.label(self.stream), self.audio.realtime());
        let started = self.audio.spawn(self.stream, move |permit, descriptions| {
            let config =
                PipelineConfig { description: descriptions.sink, latency, params, level, label, realtime };
            player::run(&link, &waker, permit, &config);
        });
        if started { Player::Started } else { Player::Refused }
    }
}

impl AudioOutput for Output {
    /// The first call starts the player.
    fn write(&mut self, bytes: usize, read: impl FnMut(&mut [u8]) -> bool) -> bool {
        let ok = self.link.buffer.lock().push(bytes, read);
        if ok && self.player == Player::NotStarted {
            self.player = self.start_player();
        }
        if self.player == Player::Refused {
            self.link.buffer.lock().drop_all();
        }
        ok
    }

    fn feed(&mut self, next_wake: Option<Duration>) -> Option<Duration> {
        let SinkState::Open(mut feeder) = self.link.sink() else { return None };
        feeding::feed(&mut self.link.buffer.lock(), &mut feeder, self.audio.latency(), next_wake)
    }

    fn low(&self) -> Duration {
        feeding::low(self.audio.latency())
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
            SinkState::Open(feeder) => Heard { frame: feeder.heard(), live: true },
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
