//! The host's side: audio goes out and comes in through GStreamer.
//!
//! An [`Output`] is one stretch of playback, from PREPARE to its end. It takes audio at any time and never
//! waits. A thread of its own plays it; it begins with the first audio, so that a guest which only asks
//! around does not touch the sink, and it outlives the [`Output`] until the rest has been heard. An
//! [`Input`] is the same in the other direction.

mod capture_buffer;
mod gstreamer;
mod input;
mod level;
mod link;
mod output;
mod playback_buffer;
mod player;
mod recorder;
mod retry;
mod shared;
mod timeline;

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{info_span, warn};

use self::shared::lock;
use crate::limits::MAX_TAKES;
use crate::pcm::Params;

pub(crate) use self::capture_buffer::Counts;
pub use self::gstreamer::AudioError;
pub(crate) use self::input::Input;
pub(crate) use self::level::Level;
pub(crate) use self::output::Output;
pub(crate) use self::playback_buffer::{Ending, max_buffered_bytes};

/// What the host shall do with the audio of a stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Get ready, with the first audio in hand, but play and record nothing.
    Ready,
    /// Play, or record.
    Run,
    /// Take no more for now.
    Pause,
    /// Come to an end.
    End,
}

/// GStreamer's descriptions of where audio goes to and comes from.
#[derive(Clone, Debug)]
struct Descriptions {
    sink: String,
    source: String,
}

impl Descriptions {
    /// As they are for a stream, when there were `take` stretches of audio before.
    fn fill_in(&self, stream: usize, take: u64) -> Self {
        let fill_in = |description: &str| {
            description.replace("{stream}", &stream.to_string()).replace("{take}", &take.to_string())
        };
        Self { sink: fill_in(&self.sink), source: fill_in(&self.source) }
    }
}

/// What a thread opens: a sink or a source.
#[derive(Debug)]
struct Port {
    description: String,
    /// How much audio a sink is given ahead of what is heard. It cannot be taken back; the rest can. Also the
    /// size of the buffer of what GStreamer finds by itself.
    latency: Duration,
    params: Params,
    /// How loud it is, if that can change.
    level: Option<Arc<Level>>,
}

/// How long a stretch whose sink or source cannot be opened waits for the end of the one before it of the same stream:
/// it may be one that only one can have at a time.
const TURN: Duration = Duration::from_millis(500);

/// The ways out and in.
#[derive(Debug)]
pub(crate) struct Audio {
    descriptions: Descriptions,
    latency: Duration,
    stretches: Mutex<Stretches>,
    stretch_ended: Condvar,
}

/// Stretches of audio, each of which has a thread.
#[derive(Debug, Default)]
struct Stretches {
    /// How many there were.
    takes: u64,
    /// The number of the stream and of the take of each that goes on.
    now: Vec<(usize, u64)>,
}

impl Audio {
    /// Makes audio go to the sink, `latency` ahead of what is heard, and come from the source, that the
    /// descriptions describe.
    pub(crate) fn new(sink: &str, source: &str, latency: Duration) -> Result<Arc<Self>, AudioError> {
        let descriptions = Descriptions { sink: sink.to_owned(), source: source.to_owned() };
        gstreamer::check(&descriptions.fill_in(0, 0))?;
        let (stretches, stretch_ended) = (Mutex::default(), Condvar::new());
        Ok(Arc::new(Self { descriptions, latency, stretches, stretch_ended }))
    }

    /// Waits until all outputs that have ended have been heard, at most for `limit`.
    pub(crate) fn finish(&self, limit: Duration) {
        let left = self.wait_while(limit, |now| !now.is_empty());
        if left > 0 {
            warn!("{left} sinks or sources have not finished in time");
        }
    }

    /// Has a thread work for a stretch of audio of stream number `stream`. It is given its place, and the descriptions
    /// that are meant for it. Returns false if there are too many.
    fn spawn(
        self: &Arc<Self>,
        stream: usize,
        work: impl FnOnce(&Place, Descriptions) + Send + 'static,
    ) -> bool {
        let Some(place) = self.enter(stream) else {
            warn!(stream, "{MAX_TAKES} stretches of audio are going on; this one is mute");
            return false;
        };
        let take = place.take;
        let descriptions = self.descriptions.fill_in(stream, take);
        let work = move || {
            let _span = info_span!("audio", stream, take).entered();
            work(&place, descriptions);
        };
        let thread = thread::Builder::new().name(format!("audio {stream}")).spawn(work);
        thread.inspect_err(|error| warn!(stream, "no thread for audio: {error}")).is_ok()
    }

    /// Reserves a place for a thread.
    fn enter(self: &Arc<Self>, stream: usize) -> Option<Place> {
        let mut stretches = lock(&self.stretches);
        (stretches.now.len() < MAX_TAKES).then(|| {
            let take = stretches.takes;
            stretches.takes += 1;
            stretches.now.push((stream, take));
            Place { audio: self.clone(), stream, take }
        })
    }

    /// Waits while the stretches that go on are such, at most for `limit`. Returns how many there are then.
    fn wait_while(&self, limit: Duration, such: impl Fn(&[(usize, u64)]) -> bool) -> usize {
        let stretches = lock(&self.stretches);
        let left = self.stretch_ended.wait_timeout_while(stretches, limit, |stretches| such(&stretches.now));
        left.unwrap_or_else(PoisonError::into_inner).0.now.len()
    }
}

/// One of the [`MAX_TAKES`] places.
#[derive(Debug)]
struct Place {
    audio: Arc<Audio>,
    stream: usize,
    take: u64,
}

impl Place {
    /// Waits until the stretches before this one of the same stream have ended, if that takes no longer than a
    /// [`TURN`]. Returns whether there were any, and there are none any more.
    fn wait_for_turn(&self) -> bool {
        let before = |(stream, take): &(usize, u64)| *stream == self.stream && *take < self.take;
        let any = || lock(&self.audio.stretches).now.iter().any(before);
        if !any() {
            return false;
        }
        self.audio.wait_while(TURN, |now| now.iter().any(before));
        !any()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.audio.stretches).now.retain(|(_, take)| *take != self.take);
        self.audio.stretch_ended.notify_all();
    }
}
