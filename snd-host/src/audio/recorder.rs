//! The thread that takes from a source, from the first frame to the last.
//!
//! It alone touches the source, which may be slow to open, stall, or disappear; nobody waits for it. While
//! there is no source it goes on trying to open one.

use std::time::{Duration, Instant};

use tracing::{debug, info};

use super::capture_buffer::CaptureBuffer;
use super::gstreamer::Source;
use super::retry::{self, Retry};
use super::shared::Shared;
use super::{AudioError, Mode, Place, Port};
use crate::waker::Waker;

/// How long to wait for a source to give something, before seeing to everything else.
const PATIENCE: Duration = Duration::from_millis(20);

/// How often to look for trouble while there is nothing to take.
const IDLE_TICK: Duration = Duration::from_millis(100);

/// Records into `store` until its end, and wakes the event loop whenever there is more.
pub(super) fn run(store: &Shared<CaptureBuffer>, waker: &Waker, place: &Place, port: &Port) {
    let mut open: Option<(Source, Instant)> = None;
    let mut retry = Retry::new();
    loop {
        let mode = store.get().mode;
        if mode == Mode::End {
            return debug!("recording ends");
        }
        if open.is_none() && retry.is_due() {
            match Source::open(port) {
                Ok(source) => {
                    retry.worked();
                    store.get().live = source.is_live();
                    open = Some((source, Instant::now()));
                }
                Err(error) => {
                    failed(place, &mut retry, &error);
                    continue;
                }
            }
        }
        let taken = match &open {
            Some((source, _)) => serve(source, store, mode),
            None => Ok(false),
        };
        match taken {
            Ok(true) => waker.wake(),
            Ok(false) => store.wait(IDLE_TICK),
            Err(error) => {
                open = None;
                failed(place, &mut retry, &error);
            }
        }
        if open.as_ref().is_some_and(|(_, since)| since.elapsed() > retry::GOOD) {
            retry.forget();
        }
    }
}

/// Sees to what is next after a failure.
fn failed(place: &Place, retry: &mut Retry, error: &AudioError) {
    if place.wait_for_turn() {
        debug!("the stretch before has ended, which may have had the source: {error}");
    } else {
        retry.later(error);
    }
}

/// Has the source do what the guest wants. Returns whether it has given something, or soon will.
fn serve(source: &Source, store: &Shared<CaptureBuffer>, mode: Mode) -> Result<bool, AudioError> {
    if source.check()? {
        info!("the source has come to its end; silence follows");
    }
    match mode {
        Mode::Run => source.record()?,
        Mode::Pause => source.pause()?,
        Mode::Ready | Mode::End => {}
    }
    let wanted = source.is_live() || store.get().is_wanting();
    if mode != Mode::Run || !wanted || source.is_at_end() {
        return Ok(false);
    }
    if let Some(frames) = source.take(PATIENCE)? {
        store.get().push(&frames);
    }
    Ok(true)
}
