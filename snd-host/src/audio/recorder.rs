//! The thread of a take that records.
//!
//! Only this thread uses the source, which may open slowly, stall or disappear. No other thread
//! waits for it. While there is no source, the thread retries to open one.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::{debug, info};
use vhost_ring::Waker;

use super::capture_buffer::CaptureBuffer;
use super::error::AudioError;
use super::gstreamer::Source;
use super::mode::Mode;
use super::permit::Permit;
use super::pipeline_config::PipelineConfig;
use super::retry::{Retry, STABLE_AFTER};
use super::shared::{Shared, lock};

/// How long a read waits for audio, before the mode and errors are looked at.
const READ_TIMEOUT: Duration = Duration::from_millis(20);

/// How often errors are looked for while there is nothing to read.
const IDLE_TICK: Duration = Duration::from_millis(100);

/// Records into `buffer` until its end. Wakes the event loop whenever there is more audio.
pub(super) fn run(
    buffer: &Shared<CaptureBuffer>,
    waker: &Waker,
    permit: &Permit,
    retry: &Mutex<Retry>,
    config: &PipelineConfig,
) {
    let mut open: Option<(Source, Instant)> = None;
    loop {
        let mode = buffer.lock().mode;
        if mode == Mode::End {
            return debug!("recording ended");
        }
        match open_and_read(buffer, config, mode, &mut open, retry) {
            Ok(true) => waker.wake(),
            Ok(false) => buffer.wait(IDLE_TICK),
            Err(error) => {
                open = None;
                failed(permit, retry, &error);
            }
        }
        if open.as_ref().is_some_and(|(_, since)| since.elapsed() > STABLE_AFTER) {
            lock(retry).reset();
        }
    }
}

/// Opens the source if it is not open and an attempt is due, and reads from it.
///
/// Returns whether the source has delivered audio, or will soon.
fn open_and_read(
    buffer: &Shared<CaptureBuffer>,
    config: &PipelineConfig,
    mode: Mode,
    open: &mut Option<(Source, Instant)>,
    retry: &Mutex<Retry>,
) -> Result<bool, AudioError> {
    if open.is_none() && lock(retry).is_due(Instant::now()) {
        let source = Source::open(config)?;
        lock(retry).succeeded();
        buffer.lock().live = source.is_live();
        *open = Some((source, Instant::now()));
    }
    match open {
        Some((source, _)) => serve(source, buffer, mode),
        None => Ok(false),
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

/// Checks the source for errors, and reads from it as the mode demands.
///
/// Returns whether the source has delivered audio, or will soon.
fn serve(source: &Source, buffer: &Shared<CaptureBuffer>, mode: Mode) -> Result<bool, AudioError> {
    if source.check()? {
        info!("end of the source; silence follows");
    }
    match mode {
        Mode::Run => source.record()?,
        Mode::Pause => source.pause()?,
        Mode::Ready | Mode::End => {}
    }
    let wanted = source.is_live() || buffer.lock().has_room();
    if mode != Mode::Run || !wanted || source.is_at_end() {
        return Ok(false);
    }
    if let Some(frames) = source.pull(READ_TIMEOUT)? {
        buffer.lock().push(&frames);
    }
    Ok(true)
}
