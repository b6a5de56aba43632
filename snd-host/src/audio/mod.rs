//! The host's side: audio goes out through GStreamer.
//!
//! An [`Output`] is one stretch of playback, from PREPARE to its end. It takes audio at any time and never
//! waits. A thread of its own plays it; it begins with the first audio, so that a guest which only asks
//! around does not touch the sink, and it outlives the [`Output`] until the rest has been heard.

mod feed;
mod gstreamer;
mod player;
mod timeline;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{info_span, warn};

use self::feed::{Feed, Mode};
use self::gstreamer::{Gauge, Pipeline};
use crate::pcm::Params;

pub(crate) use self::feed::{Ending, limit};
pub use self::gstreamer::SinkError;

/// The most stretches of playback that go on at a time, counting those that are playing out. A guest that
/// starts and stops faster than the sink can follow is not heard for some of the time.
pub(crate) const MAX_PLAYERS: usize = 16;

/// The way out.
#[derive(Debug)]
pub(crate) struct Audio {
    /// GStreamer's description of the sink.
    sink: String,
    /// How much audio the sink is given ahead of what is heard. It cannot be taken back; the rest can.
    latency: Duration,
    /// How many threads are playing.
    players: Mutex<usize>,
    player_ended: Condvar,
}

impl Audio {
    /// Makes audio go to the sink that `description` describes, `latency` ahead of what is heard.
    pub(crate) fn new(description: &str, latency: Duration) -> Result<Arc<Self>, SinkError> {
        gstreamer::check_sink(description)?;
        Ok(Arc::new(Self {
            sink: description.to_owned(),
            latency,
            players: Mutex::new(0),
            player_ended: Condvar::new(),
        }))
    }

    /// Waits until all outputs that have ended have been heard, at most for `limit`.
    pub(crate) fn finish(&self, limit: Duration) {
        let players = lock(&self.players);
        let left = self.player_ended.wait_timeout_while(players, limit, |players| *players > 0);
        let (left, _) = left.unwrap_or_else(PoisonError::into_inner);
        if *left > 0 {
            warn!("{left} sinks have not finished in time");
        }
    }

    /// Reserves a place for a player.
    fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut players = lock(&self.players);
        (*players < MAX_PLAYERS).then(|| {
            *players += 1;
            Place(self.clone())
        })
    }
}

/// One of the [`MAX_PLAYERS`] places.
struct Place(Arc<Audio>);

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.0.players) -= 1;
        self.0.player_ended.notify_all();
    }
}

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
    link: Arc<Link>,
    begun: bool,
}

impl Output {
    /// Prepares to play audio of the form that `params` says, for stream number `stream`.
    pub(crate) fn new(audio: &Arc<Audio>, stream: usize, params: Params) -> Self {
        let link = Arc::new(Link::new(&params));
        Self { audio: audio.clone(), stream, params, link, begun: false }
    }

    /// Gives whole frames, to be played after all before them.
    pub(crate) fn write(&mut self, frames: &[u8]) {
        self.link.change(|feed| feed.push(frames));
        if !self.begun {
            self.begun = true;
            self.begin();
        }
    }

    fn begin(&self) {
        let Some(place) = self.audio.enter() else {
            return warn!(stream = self.stream, "{MAX_PLAYERS} outputs are playing out; this one is mute");
        };
        let (link, params, stream) = (self.link.clone(), self.params, self.stream);
        let play = move || {
            let _span = info_span!("play", stream).entered();
            player::run(&link, &params, &place.0);
        };
        if let Err(error) = thread::Builder::new().name(format!("play {stream}")).spawn(play) {
            warn!(stream, "no thread to play: {error}");
        }
    }

    /// Lets it be heard.
    pub(crate) fn start(&self) {
        self.link.change(|feed| {
            feed.mode = Mode::Play;
            feed.started = true;
        });
    }

    /// Holds it, apart from what the sink already has.
    pub(crate) fn pause(&self) {
        self.link.change(|feed| feed.mode = Mode::Pause);
    }

    /// How far it has come.
    pub(crate) fn heard(&self) -> Heard {
        match self.link.gauge() {
            Some(gauge) => Heard { frame: gauge.heard(), live: true },
            None => Heard { frame: self.link.feed().first(), live: false },
        }
    }

    /// Says how many frames the guest believes to be played.
    pub(crate) fn set_played(&self, frames: u64) {
        self.link.feed().played = frames;
    }

    /// How many frames were dropped because the sink did not keep up.
    pub(crate) fn dropped(&self) -> u64 {
        self.link.feed().dropped
    }

    /// Ends it. This does not wait for the end.
    pub(crate) fn end(self, ending: Ending) {
        self.link.change(|feed| feed.end_with(ending));
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.link.change(|feed| {
            if feed.mode != Mode::End {
                feed.end_with(Ending::Cut);
            }
        });
    }
}

/// What an [`Output`] and its player share. Each lock is held for moments only, and never both.
#[derive(Debug)]
struct Link {
    feed: Mutex<Feed>,
    changed: Condvar,
    /// That of the open sink.
    gauge: Mutex<Option<Arc<Gauge>>>,
}

impl Link {
    fn new(params: &Params) -> Self {
        Self { feed: Mutex::new(Feed::new(params)), changed: Condvar::new(), gauge: Mutex::new(None) }
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        lock(&self.feed)
    }

    /// Changes something, and tells the player.
    fn change(&self, change: impl FnOnce(&mut Feed)) {
        let mut feed = self.feed();
        change(&mut feed);
        feed.news = true;
        self.changed.notify_all();
    }

    /// Waits for news, at most for `limit`.
    fn wait(&self, limit: Duration) {
        let woken = self.changed.wait_timeout_while(self.feed(), limit, |feed| !feed.news);
        woken.unwrap_or_else(PoisonError::into_inner).0.news = false;
    }

    fn gauge(&self) -> Option<Arc<Gauge>> {
        lock(&self.gauge).clone()
    }

    fn attach(&self, pipeline: Option<&Pipeline>) {
        *lock(&self.gauge) = pipeline.map(|pipeline| pipeline.gauge().clone());
    }
}

/// Locks. A thread that panicked with the lock held leaves nothing half done: every change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
