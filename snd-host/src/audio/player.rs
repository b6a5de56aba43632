//! The thread that plays one stretch of audio, from the first frame to the last.
//!
//! It alone touches the sink, which may be slow to open, stall, or disappear; nobody waits for it. While
//! there is no sink it goes on trying to open one.

use std::time::Duration;

use tracing::{debug, info, warn};

use super::gstreamer::Sink;
use super::link::Link;
use super::retry::{self, Retry};
use super::{AudioError, Mode, Place, Port};
use crate::pcm::Params;

/// How often to see to it.
const TICK: Duration = Duration::from_millis(10);

/// How often to look for trouble while there is nothing to do.
const IDLE_TICK: Duration = Duration::from_millis(200);

/// How much longer than its audio the end of a stretch may take.
const GRACE: Duration = Duration::from_secs(1);

/// Plays what comes through `link` until its end.
pub(super) fn run(link: &Link, place: &Place, port: &Port) {
    let mut open = None;
    let mut retry = Retry::new();
    loop {
        let mode = link.feed.get().mode;
        if mode == Mode::End && open.is_none() && link.feed.get().is_empty() {
            return debug!("ends with nothing to play");
        }
        if open.is_none() && retry.is_due() {
            match try_to_open(link, port) {
                Ok(sink) => {
                    retry.worked();
                    open = Some(sink);
                }
                Err(error) => {
                    failed(link, place, &mut retry, &error);
                    continue;
                }
            }
        }
        if let Some(sink) = &open
            && let Err(error) = serve(link, sink, port, mode)
        {
            open = None;
            failed(link, place, &mut retry, &error);
            continue;
        }
        match (mode, &open) {
            (Mode::End, Some(sink)) => return finish(link, sink),
            (Mode::End, None) => return info!("ends without a sink"),
            (Mode::Run, Some(sink)) => {
                if sink.gauge().running_time().is_some_and(|time| time > retry::GOOD) {
                    retry.forget();
                }
                link.feed.wait(TICK);
            }
            (Mode::Ready | Mode::Pause | Mode::Run, _) => link.feed.wait(IDLE_TICK),
        }
    }
}

/// Sees to what is next after a failure.
fn failed(link: &Link, place: &Place, retry: &mut Retry, error: &AudioError) {
    if place.wait_for_turn() {
        debug!("the stretch before has ended, which may have had the sink: {error}");
    } else {
        link.lost();
        retry.later(error);
    }
}

fn try_to_open(link: &Link, port: &Port) -> Result<Sink, AudioError> {
    if link.is_lost() {
        link.feed.get().catch_up();
    }
    let first = link.feed.get().first();
    let sink = Sink::open(port, first)?;
    link.opened(&sink);
    Ok(sink)
}

/// Gives the sink what it needs for now.
fn serve(
    link: &Link,
    sink: &Sink,
    Port { latency, params, .. }: &Port,
    mode: Mode,
) -> Result<(), AudioError> {
    sink.check()?;
    match mode {
        Mode::Ready => feed(link, sink, params, *latency),
        Mode::Run => feed(link, sink, params, *latency).and_then(|()| sink.play()),
        Mode::Pause => Ok(()),
        Mode::End => feed(link, sink, params, Duration::MAX),
    }
}

/// Feeds the sink until it is `ahead` of what is heard, or has all there is.
fn feed(link: &Link, sink: &Sink, params: &Params, ahead: Duration) -> Result<(), AudioError> {
    // A sink that does not take what it was given, although its time has come, is given no more.
    let given = sink.gauge().ahead().max(sink.waiting());
    let missing = params.frames_in(ahead.saturating_sub(given));
    let Some((first, bytes)) = link.feed.get().take(missing) else {
        return Ok(());
    };
    sink.push(first, params.frames(bytes.len() as u64), bytes)
}

/// Waits until the sink has played what it has.
fn finish(link: &Link, sink: &Sink) {
    if !link.feed.get().started {
        return debug!("ends without having started");
    }
    let frames = link.feed.get().first();
    let limit = sink.gauge().ahead() + GRACE;
    match sink.play().and_then(|()| sink.finish(limit)) {
        Ok(()) => debug!(frames, "played out"),
        Err(error) => warn!("the end is lost: {error}"),
    }
}
