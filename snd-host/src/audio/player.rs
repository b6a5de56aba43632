//! The thread of a take that plays.
//!
//! Only this thread opens and closes the sink, which may open slowly, stall or disappear. No other
//! thread waits for it. While there is no sink, the thread retries to open one. While the sink
//! plays, the event loop feeds it, and this thread sleeps until the mode changes or the sink fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};
use vhost_ring::Waker;

use super::error::AudioError;
use super::gstreamer::Sink;
use super::link::Link;
use super::mode::Mode;
use super::permit::Permit;
use super::pipeline_config::PipelineConfig;
use super::retry::{Retry, STABLE_AFTER};

/// How much longer than its audio a sink may take to drain.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Plays the audio of `link` until its end. Wakes the event loop when the sink can be fed.
pub(super) fn run(link: &Arc<Link>, waker: &Waker, permit: &Permit, config: &PipelineConfig) {
    let mut open = None;
    let mut retry = Retry::of_a_sink();
    loop {
        let mode = link.buffer.lock().mode;
        if mode == Mode::End && open.is_none() && link.buffer.lock().is_empty() {
            return debug!("ended with nothing to play");
        }
        if let Err(error) = open_and_play(link, waker, config, mode, &mut open, &retry) {
            if open.take().is_some_and(|sink| is_stable(&sink)) {
                retry.reset();
            }
            failed(link, permit, &mut retry, &error);
            continue;
        }
        match (mode, &open) {
            (Mode::End, Some(sink)) => return drain(link, sink),
            (Mode::End, None) => return info!("ended without a sink"),
            (Mode::Ready | Mode::Run | Mode::Pause, Some(_)) => link.buffer.wait(None),
            (Mode::Ready | Mode::Run | Mode::Pause, None) => {
                link.buffer.wait(Some(retry.due_in(Instant::now())));
            }
        }
    }
}

/// Opens the sink if it is not open and an attempt is due. Checks the sink for errors, and lets it
/// play if the mode says so.
fn open_and_play(
    link: &Arc<Link>,
    waker: &Waker,
    config: &PipelineConfig,
    mode: Mode,
    open: &mut Option<Sink>,
    retry: &Retry,
) -> Result<(), AudioError> {
    if open.is_none() && retry.is_due(Instant::now()) {
        *open = Some(try_to_open(link, config)?);
        retry.succeeded();
        waker.wake();
    }
    let Some(sink) = open else { return Ok(()) };
    sink.check()?;
    if mode == Mode::Run { sink.play() } else { Ok(()) }
}

fn try_to_open(link: &Arc<Link>, config: &PipelineConfig) -> Result<Sink, AudioError> {
    if link.is_lost() {
        link.buffer.lock().drop_played();
    }
    let first = link.buffer.lock().first();
    let notified = link.clone();
    let sink = Sink::open(config, first, move || notified.buffer.wake())?;
    link.opened(&sink);
    Ok(sink)
}

/// Returns whether a sink has played for so long that its earlier failures are forgotten.
fn is_stable(sink: &Sink) -> bool {
    sink.feeder().running_time().is_some_and(|time| time > STABLE_AFTER)
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

/// Feeds the sink the rest of the audio, and waits until it has played all of it.
fn drain(link: &Link, sink: &Sink) {
    let rest = link.buffer.lock().pull_all(u64::MAX);
    rest.into_iter().for_each(|(first, bytes)| sink.feeder().push(first, bytes));
    if !link.buffer.lock().started {
        return debug!("ended without having been started");
    }
    let frames = link.buffer.lock().first();
    let timeout = sink.feeder().ahead() + DRAIN_MARGIN;
    match sink.play().and_then(|()| sink.drain(timeout)) {
        Ok(()) => debug!(frames, "played out"),
        Err(error) => warn!("the end of the audio is lost: {error}"),
    }
}
