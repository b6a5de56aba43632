//! The host's side: audio goes out and comes in through GStreamer.
//!
//! An [`Output`] is one stretch of playback, from PREPARE to its end. It takes audio at any time and never
//! waits. A thread of its own plays it; it begins with the first audio, so that a guest which only asks
//! around does not touch the sink, and it outlives the [`Output`] until the rest has been heard. An
//! [`Input`] is the same in the other direction.

mod feed;
mod gstreamer;
mod input;
mod level;
mod output;
mod player;
mod recorder;
mod retry;
mod shared;
mod store;
mod timeline;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tracing::{info_span, warn};

use self::shared::lock;
use crate::pcm::Params;

pub(crate) use self::feed::{Ending, limit};
pub use self::gstreamer::AudioError;
pub(crate) use self::input::Input;
pub(crate) use self::level::Level;
pub(crate) use self::output::Output;
pub(crate) use self::store::Counts;

/// The most stretches of audio that go on at a time, counting those that are playing out. A guest that
/// starts and stops faster than the host can follow is not heard for some of the time.
pub(crate) const MAX_STRETCHES: usize = 16;

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

/// The ways out and in.
#[derive(Debug)]
pub(crate) struct Audio {
    descriptions: Descriptions,
    latency: Duration,
    /// How many stretches there were.
    takes: AtomicU64,
    /// How many threads are playing or recording.
    threads: Mutex<usize>,
    thread_ended: Condvar,
}

impl Audio {
    /// Makes audio go to the sink, `latency` ahead of what is heard, and come from the source, that the
    /// descriptions describe.
    pub(crate) fn new(sink: &str, source: &str, latency: Duration) -> Result<Arc<Self>, AudioError> {
        let descriptions = Descriptions { sink: sink.to_owned(), source: source.to_owned() };
        gstreamer::check(&descriptions.fill_in(0, 0))?;
        Ok(Arc::new(Self {
            descriptions,
            latency,
            takes: AtomicU64::new(0),
            threads: Mutex::new(0),
            thread_ended: Condvar::new(),
        }))
    }

    /// Waits until all outputs that have ended have been heard, at most for `limit`.
    pub(crate) fn finish(&self, limit: Duration) {
        let threads = lock(&self.threads);
        let left = self.thread_ended.wait_timeout_while(threads, limit, |threads| *threads > 0);
        let (left, _) = left.unwrap_or_else(PoisonError::into_inner);
        if *left > 0 {
            warn!("{left} sinks or sources have not finished in time");
        }
    }

    /// Has a thread work for a stretch of audio of stream number `stream`. It is given the descriptions that are
    /// meant for it. Returns false if there are too many.
    fn spawn(self: &Arc<Self>, stream: usize, work: impl FnOnce(Descriptions) + Send + 'static) -> bool {
        let Some(place) = self.enter() else {
            warn!(stream, "{MAX_STRETCHES} stretches of audio are going on; this one is mute");
            return false;
        };
        // Only has to be different each time.
        let take = self.takes.fetch_add(1, Ordering::Relaxed);
        let descriptions = self.descriptions.fill_in(stream, take);
        let work = move || {
            let _place = place;
            let _span = info_span!("audio", stream, take).entered();
            work(descriptions);
        };
        let thread = thread::Builder::new().name(format!("audio {stream}")).spawn(work);
        thread.inspect_err(|error| warn!(stream, "no thread for audio: {error}")).is_ok()
    }

    /// Reserves a place for a thread.
    fn enter(self: &Arc<Self>) -> Option<Place> {
        let mut threads = lock(&self.threads);
        (*threads < MAX_STRETCHES).then(|| {
            *threads += 1;
            Place(self.clone())
        })
    }
}

/// One of the [`MAX_STRETCHES`] places.
struct Place(Arc<Audio>);

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.0.threads) -= 1;
        self.0.thread_ended.notify_all();
    }
}
