//! The thread that plays one stretch of audio, from the first frame to the last.
//!
//! It alone touches the sink, which may be slow to open, stall, or disappear; nobody waits for it. While
//! there is no sink it goes on trying to open one.

use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::feed::Mode;
use super::gstreamer::{Pipeline, SinkError};
use super::{Audio, Link};
use crate::pcm::Params;

/// How often to see to it.
const TICK: Duration = Duration::from_millis(10);

/// How often to look for trouble while there is nothing to do.
const IDLE_TICK: Duration = Duration::from_millis(200);

/// The first and the last pause between attempts to open the sink.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How much longer than its audio the end of a stretch may take.
const GRACE: Duration = Duration::from_secs(1);

/// Plays what comes through `link` until its end.
pub(super) fn run(link: &Link, params: &Params, audio: &Audio) {
    let mut open = None;
    let mut retry = Retry { at: Instant::now(), pause: RETRY.0 };
    loop {
        let mode = link.feed().mode;
        if open.is_none() && retry.is_due() {
            match try_to_open(link, params, audio, &retry) {
                Ok(pipeline) => open = Some(pipeline),
                Err(error) => retry.later(&error),
            }
        }
        if let Some(pipeline) = &open
            && let Err(error) = serve(link, pipeline, params, mode, audio.latency)
        {
            link.attach(None);
            open = None;
            retry.later(&error);
        }
        match (mode, &open) {
            (Mode::End, Some(pipeline)) => return finish(link, pipeline),
            (Mode::End, None) => return info!("ends without a sink"),
            (Mode::Play, Some(pipeline)) => {
                retry.forget(pipeline);
                link.wait(TICK);
            }
            (Mode::Ready | Mode::Pause | Mode::Play, _) => link.wait(IDLE_TICK),
        }
    }
}

fn try_to_open(link: &Link, params: &Params, audio: &Audio, retry: &Retry) -> Result<Pipeline, SinkError> {
    if !retry.is_first() {
        link.feed().catch_up();
    }
    let first = link.feed().first();
    let pipeline = Pipeline::open(&audio.sink, audio.latency, params, first)?;
    link.attach(Some(&pipeline));
    Ok(pipeline)
}

/// Gives the sink what it needs for now: to play, it is kept `ahead` of what is heard.
fn serve(
    link: &Link,
    pipeline: &Pipeline,
    params: &Params,
    mode: Mode,
    ahead: Duration,
) -> Result<(), SinkError> {
    pipeline.check()?;
    match mode {
        Mode::Ready => feed(link, pipeline, params, ahead),
        Mode::Play => feed(link, pipeline, params, ahead).and_then(|()| pipeline.play()),
        Mode::Pause => Ok(()),
        Mode::End => feed(link, pipeline, params, Duration::MAX),
    }
}

/// Feeds the sink until it is `ahead` of what is heard, or has all there is.
fn feed(link: &Link, pipeline: &Pipeline, params: &Params, ahead: Duration) -> Result<(), SinkError> {
    let missing = params.frames_in(ahead.saturating_sub(pipeline.gauge().ahead()));
    let Some((first, bytes)) = link.feed().take(missing) else {
        return Ok(());
    };
    pipeline.push(first, params.frames(bytes.len() as u64), bytes)
}

/// Waits until the sink has played what it has.
fn finish(link: &Link, pipeline: &Pipeline) {
    if !link.feed().started {
        return debug!("ends without having started");
    }
    let frames = link.feed().first();
    let limit = pipeline.gauge().ahead() + GRACE;
    match pipeline.play().and_then(|()| pipeline.finish(limit)) {
        Ok(()) => debug!(frames, "played out"),
        Err(error) => warn!("the end is lost: {error}"),
    }
}

/// When to try again.
struct Retry {
    at: Instant,
    pause: Duration,
}

impl Retry {
    /// Whether nothing has failed yet, or not for a while.
    fn is_first(&self) -> bool {
        self.pause == RETRY.0
    }

    fn is_due(&self) -> bool {
        Instant::now() >= self.at
    }

    /// Begins anew once a sink has been playing for a while.
    fn forget(&mut self, pipeline: &Pipeline) {
        if pipeline.gauge().running_time().is_some_and(|time| time > RETRY.1) {
            self.pause = RETRY.0;
        }
    }

    fn later(&mut self, error: &SinkError) {
        warn!("{error}; trying again in {:?}", self.pause);
        self.at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(RETRY.1);
    }
}
