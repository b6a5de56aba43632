//! The thread of a take that plays.
//!
//! Only this thread uses the sink, which may open slowly, stall or disappear. No other thread waits
//! for it. While there is no sink, the thread retries to open one.

use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use super::error::AudioError;
use super::gstreamer::Sink;
use super::link::Link;
use super::mode::Mode;
use super::permit::Permit;
use super::pipeline_config::PipelineConfig;
use super::retry::{Retry, STABLE_AFTER};
use crate::pcm::Params;

/// How often a sink that plays is fed, unless its latency is so short that it would run dry.
const TICK: Duration = Duration::from_millis(10);

/// How often errors are looked for while there is nothing to play.
const IDLE_TICK: Duration = Duration::from_millis(200);

/// How much longer than its audio a sink may take to drain.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Returns how often a sink that plays is fed.
pub(crate) fn tick(latency: Duration) -> Duration {
    TICK.min(latency / 2)
}

/// Plays the audio of `link` until its end.
pub(super) fn run(link: &Link, permit: &Permit, config: &PipelineConfig) {
    let mut open = None;
    let mut retry = Retry::of_a_sink();
    loop {
        let mode = link.buffer.lock().mode;
        if mode == Mode::End && open.is_none() && link.buffer.lock().is_empty() {
            return debug!("ended with nothing to play");
        }
        if let Err(error) = open_and_feed(link, config, mode, &mut open, &retry) {
            open = None;
            failed(link, permit, &mut retry, &error);
            continue;
        }
        match (mode, &open) {
            (Mode::End, Some(sink)) => return drain(link, sink),
            (Mode::End, None) => return info!("ended without a sink"),
            (Mode::Run, Some(sink)) => {
                if sink.progress().running_time().is_some_and(|time| time > STABLE_AFTER) {
                    retry.reset();
                }
                link.buffer.wait(tick(config.latency));
            }
            (Mode::Ready | Mode::Pause, _) | (Mode::Run, None) => link.buffer.wait(IDLE_TICK),
        }
    }
}

/// Opens the sink if it is not open and an attempt is due, and feeds it.
fn open_and_feed(
    link: &Link,
    config: &PipelineConfig,
    mode: Mode,
    open: &mut Option<Sink>,
    retry: &Retry,
) -> Result<(), AudioError> {
    if open.is_none() && retry.is_due(Instant::now()) {
        *open = Some(try_to_open(link, config)?);
        retry.succeeded();
    }
    match open {
        Some(sink) => serve(link, sink, config, mode),
        None => Ok(()),
    }
}

/// Decides what follows a failure: an immediate attempt if an earlier take of the stream has just
/// released the sink, else a later attempt.
fn failed(link: &Link, permit: &Permit, retry: &mut Retry, error: &AudioError) {
    if permit.wait_for_predecessors() {
        debug!("the previous take has ended, and may have used the sink: {error}");
    } else {
        link.lost();
        retry.failed(error, Instant::now());
    }
}

fn try_to_open(link: &Link, config: &PipelineConfig) -> Result<Sink, AudioError> {
    if link.is_lost() {
        link.buffer.lock().drop_played();
    }
    let first = link.buffer.lock().first();
    let sink = Sink::open(config, first)?;
    link.opened(&sink);
    Ok(sink)
}

/// Checks the sink for errors, and feeds it as the mode demands.
fn serve(
    link: &Link,
    sink: &Sink,
    PipelineConfig { latency, params, .. }: &PipelineConfig,
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

/// Feeds the sink until it has audio for `ahead`, or all audio.
fn feed(link: &Link, sink: &Sink, params: &Params, ahead: Duration) -> Result<(), AudioError> {
    // A sink that stalls does not take audio whose time has come. It is not given more.
    let (heard_in, queued) = (sink.progress().ahead(), sink.queued());
    let piece = link.buffer.lock().next_piece(ahead, heard_in, queued);
    let Some((first, bytes)) = piece else { return Ok(()) };
    sink.push(first, params.frames(bytes.len() as u64), bytes)
}

/// Waits until the sink has played all audio.
fn drain(link: &Link, sink: &Sink) {
    if !link.buffer.lock().started {
        return debug!("ended without having been started");
    }
    let frames = link.buffer.lock().first();
    let timeout = sink.progress().ahead() + DRAIN_MARGIN;
    match sink.play().and_then(|()| sink.drain(timeout)) {
        Ok(()) => debug!(frames, "played out"),
        Err(error) => warn!("the end of the audio is lost: {error}"),
    }
}
