//! One stretch of playback, as the event loop sees it.

use std::sync::{Arc, Mutex};

use super::feed::{Ending, Feed};
use super::gstreamer::{Gauge, Sink};
use super::shared::{Shared, lock};
use super::{Audio, Level, Mode, Port, player};
use crate::pcm::Params;

/// How far an output has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The number of the frame that is about to be heard.
    pub(crate) frame: u64,
    /// Whether there is a sink.
    pub(crate) live: bool,
}

/// One stretch of playback.
#[derive(Debug)]
pub(crate) struct Output {
    audio: Arc<Audio>,
    stream: usize,
    params: Params,
    level: Option<Arc<Level>>,
    link: Arc<Link>,
    player: Player,
}

/// Whether there is a thread that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Player {
    NotYet,
    Yes,
    /// There was none to be had: nothing will be heard.
    No,
}

impl Output {
    /// Prepares to play audio of the form that `params` says, for stream number `stream`, at a `level` if
    /// that can change.
    pub(crate) fn new(audio: &Arc<Audio>, stream: usize, params: Params, level: Option<Arc<Level>>) -> Self {
        let link = Arc::new(Link::new(&params));
        Self { audio: audio.clone(), stream, params, level, link, player: Player::NotYet }
    }

    /// Gives whole frames, to be played after all before them.
    pub(crate) fn write(&mut self, frames: &[u8]) {
        if self.player == Player::NotYet {
            self.player = self.begin();
        }
        match self.player {
            Player::No => self.link.feed.get().pass_over(frames),
            Player::NotYet | Player::Yes => self.link.feed.change(|feed| feed.push(frames)),
        }
    }

    fn begin(&self) -> Player {
        let (link, params, level) = (self.link.clone(), self.params, self.level.clone());
        let latency = self.audio.latency;
        let begun = self.audio.spawn(self.stream, move |place, descriptions| {
            player::run(&link, place, &Port { description: descriptions.sink, latency, params, level });
        });
        if begun { Player::Yes } else { Player::No }
    }

    /// Lets it be heard.
    pub(crate) fn start(&self) {
        self.link.feed.change(|feed| {
            feed.mode = Mode::Run;
            feed.started = true;
        });
    }

    /// Holds it, apart from what the sink already has.
    pub(crate) fn pause(&self) {
        self.link.feed.change(|feed| feed.mode = Mode::Pause);
    }

    /// How far it has come.
    pub(crate) fn heard(&self) -> Heard {
        let stage = lock(&self.link.stage).clone();
        match stage {
            Stage::Opening => Heard { frame: self.link.feed.get().first(), live: false },
            Stage::Open(gauge) => Heard { frame: gauge.heard(), live: true },
            Stage::Lost => Heard { frame: self.link.feed.get().first_to_be_heard(), live: false },
        }
    }

    /// Says how many frames the guest believes to be played.
    pub(crate) fn set_played(&self, frames: u64) {
        self.link.feed.get().played = frames;
    }

    /// How many frames were dropped because the sink did not keep up.
    pub(crate) fn dropped(&self) -> u64 {
        self.link.feed.get().dropped
    }

    /// Ends it. This does not wait for the end.
    pub(crate) fn end(self, ending: Ending) {
        self.link.feed.change(|feed| feed.end_with(ending));
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.link.feed.change(|feed| {
            if feed.mode != Mode::End {
                feed.end_with(Ending::Cut);
            }
        });
    }
}

/// What an [`Output`] and its player share.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) feed: Shared<Feed>,
    stage: Mutex<Stage>,
}

/// Where the player stands.
#[derive(Clone, Debug)]
enum Stage {
    /// It is opening the sink, which will play all there is.
    Opening,
    /// The sink is open, and this tells how far it has come.
    Open(Arc<Gauge>),
    /// There is no sink. If one comes, it goes on from where the guest believes to be.
    Lost,
}

impl Link {
    fn new(params: &Params) -> Self {
        Self { feed: Shared::new(Feed::new(params)), stage: Mutex::new(Stage::Opening) }
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
