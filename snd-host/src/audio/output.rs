//! One stretch of playback, as the event loop sees it.

use std::sync::Arc;

use super::link::{Link, Stage};
use super::playback_buffer::Ending;
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
        let stage = self.link.stage();
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
