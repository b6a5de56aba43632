//! The thread of a take that records.
//!
//! Only this thread opens and closes the source, which may open slowly, stall or disappear. No
//! other thread waits for it. While there is no source, the thread retries to open one. While the
//! source records, the event loop takes the audio, and this thread sleeps until the mode changes or
//! the source fails.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tracing::{debug, info};
use vhost_ring::Waker;

use super::error::AudioError;
use super::gstreamer::{Source, Tap};
use super::mode::Mode;
use super::permit::Permit;
use super::pipeline_config::PipelineConfig;
use super::retry::{Retry, STABLE_AFTER};
use super::shared::{Shared, lock};

/// The state that an input shares with its thread.
#[derive(Debug)]
pub(super) struct Recorder {
    mode: Shared<Mode>,
    /// Where the audio of the open source comes out.
    tap: Mutex<Option<Arc<Tap>>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { mode: Shared::new(Mode::Ready), tap: Mutex::default() }
    }
}

impl Recorder {
    pub(super) fn set_mode(&self, mode: Mode) {
        self.mode.update(|current| *current = mode);
    }

    /// Returns where the audio of the source comes out, if the source is open.
    pub(super) fn tap(&self) -> Option<Arc<Tap>> {
        lock(&self.tap).clone()
    }
}

/// An open source, and when it was opened.
type Open = (Source, Instant);

/// Keeps the source open until the end of the take. Wakes the event loop whenever there is more
/// audio.
pub(super) fn run(
    recorder: &Arc<Recorder>,
    waker: &Waker,
    permit: &Permit,
    retry: &Mutex<Retry>,
    config: &PipelineConfig,
) {
    let mut open: Option<Open> = None;
    loop {
        let mode = *recorder.mode.lock();
        if mode == Mode::End {
            close(recorder, &mut open, retry);
            return debug!("recording ended");
        }
        if let Err(error) = open_and_record(recorder, waker, config, mode, &mut open, retry) {
            close(recorder, &mut open, retry);
            failed(permit, retry, &error);
        } else {
            let retry_in = || lock(retry).due_in(Instant::now());
            recorder.mode.wait(open.is_none().then(retry_in));
        }
    }
}

/// Closes the source. If the source was stable, its earlier failures are forgotten.
fn close(recorder: &Recorder, open: &mut Option<Open>, retry: &Mutex<Retry>) {
    lock(&recorder.tap).take();
    if open.take().is_some_and(|(_, since)| since.elapsed() > STABLE_AFTER) {
        lock(retry).reset();
    }
}

/// Opens the source if it is not open and an attempt is due. Checks the source for errors, and lets
/// it record or pause as the mode demands.
fn open_and_record(
    recorder: &Arc<Recorder>,
    waker: &Waker,
    config: &PipelineConfig,
    mode: Mode,
    open: &mut Option<Open>,
    retry: &Mutex<Retry>,
) -> Result<(), AudioError> {
    if open.is_none() && lock(retry).is_due(Instant::now()) {
        let (notified, woken) = (recorder.clone(), waker.clone());
        let source = Source::open(config, move || notified.mode.wake(), move || woken.wake())?;
        lock(retry).succeeded();
        *lock(&recorder.tap) = Some(source.tap().clone());
        *open = Some((source, Instant::now()));
    }
    let Some((source, _)) = open else { return Ok(()) };
    if source.check()? {
        info!("end of the source; silence follows");
    }
    match mode {
        Mode::Run => source.record(),
        Mode::Pause => source.pause(),
        Mode::Ready | Mode::End => Ok(()),
    }
}

/// Decides what follows a failure: an immediate attempt if an earlier take of the stream has just
/// released the source, else a later attempt.
fn failed(permit: &Permit, retry: &Mutex<Retry>, error: &AudioError) {
    if permit.wait_for_predecessors() {
        debug!("the previous take has ended, and may have used the source: {error}");
    } else {
        lock(retry).failed(error, Instant::now());
    }
}
