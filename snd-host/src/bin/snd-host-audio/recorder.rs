//! The thread of a take that records.
//!
//! Only this thread opens and closes the source, which may open slowly, stall or disappear. While
//! there is no source, the thread keeps trying to open the source. A live source writes its audio
//! to the ring from its own thread, and this thread sleeps until the mode changes or the source
//! fails. This thread reads any other source, such as a file, when there is room in the ring.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use snd_host::wire::{CaptureWriter, Mode};
use tracing::{debug, info};

use crate::error::AudioError;
use crate::gstreamer::Source;
use crate::permit::Permit;
use crate::pipeline_config::PipelineConfig;
use crate::retry::{Retry, STABLE_AFTER};
use crate::wakeup::{Wakeup, lock};

/// Keeps the source open until the end of the take. `audio` is called when a live source has
/// written audio to the ring.
pub(crate) fn run(
    writer: CaptureWriter,
    wakeup: &Arc<Wakeup>,
    permit: &Permit,
    retry: &Mutex<Retry>,
    config: &PipelineConfig,
    audio: &(impl Fn() + Clone + Send + 'static),
) {
    let ring = Arc::new(Mutex::new(writer));
    Recorder { ring, wakeup, permit, retry, config, audio, open: None, rest: Vec::new() }.run();
}

/// An open source, and when it was opened.
type Open = (Source, Instant);

struct Recorder<'t, A> {
    ring: Arc<Mutex<CaptureWriter>>,
    wakeup: &'t Arc<Wakeup>,
    permit: &'t Permit,
    /// The attempts to open the source, in all takes.
    retry: &'t Mutex<Retry>,
    config: &'t PipelineConfig,
    audio: &'t A,
    open: Option<Open>,
    /// Audio of a source that is not live, for which there was no room.
    rest: Vec<u8>,
}

impl<A: Fn() + Clone + Send + 'static> Recorder<'_, A> {
    fn run(mut self) {
        loop {
            let mode = lock(&self.ring).mode();
            if mode.ends() {
                self.close();
                return debug!("recording ended");
            }
            if let Err(error) = self.open_and_record(mode) {
                self.close();
                self.failed(&error);
            } else if mode != Mode::Run || self.transfer() {
                let retry_in = || lock(self.retry).due_in(Instant::now());
                self.wakeup.wait(self.open.is_none().then(retry_in));
            }
        }
    }

    /// Closes the source. If the source was stable, its earlier failures are forgotten.
    fn close(&mut self) {
        lock(&self.ring).no_source();
        self.rest.clear();
        if let Some((source, since)) = self.open.take() {
            self.wakeup.busy(|| drop(source));
            if since.elapsed() > STABLE_AFTER {
                lock(self.retry).reset();
            }
        }
    }

    /// Opens the source if it is not open and an attempt is due. Checks the source for errors, and
    /// lets it record or pause as the mode demands.
    fn open_and_record(&mut self, mode: Mode) -> Result<(), AudioError> {
        if self.open.is_none() && lock(self.retry).is_due(Instant::now()) {
            let source = self.open_source()?;
            lock(self.retry).succeeded();
            lock(&self.ring).set_source(source.is_live());
            self.open = Some((source, Instant::now()));
        }
        let Some((source, _)) = &self.open else { return Ok(()) };
        source.set_gain(lock(&self.ring).gain());
        if source.check()? {
            info!("end of the source; silence follows");
        }
        match mode {
            Mode::Run => self.wakeup.busy(|| source.record()),
            Mode::Pause => self.wakeup.busy(|| source.pause()),
            Mode::Ready | Mode::Drain | Mode::Cut => Ok(()),
        }
    }

    fn open_source(&self) -> Result<Source, AudioError> {
        let (notified, ring, audio) = (self.wakeup.clone(), self.ring.clone(), self.audio.clone());
        let write = move |frames: &[u8]| {
            lock(&ring).write(frames);
            audio();
        };
        self.wakeup.busy(|| Source::open(self.config, move || notified.wake(), write))
    }

    /// Reads a source that is not live as long as there is room. Returns whether this thread has to
    /// wait: until there is more audio, or more room.
    fn transfer(&mut self) -> bool {
        let Some((source, _)) = self.open.as_ref().filter(|(source, _)| !source.is_live()) else {
            return true;
        };
        let mut ring = lock(&self.ring);
        let frame_bytes = self.config.params.frame_bytes() as usize;
        loop {
            if self.rest.is_empty() {
                match source.pull() {
                    Some(frames) => self.rest = frames,
                    None => return true,
                }
            }
            let room = usize::try_from(ring.room()).unwrap_or(usize::MAX).saturating_mul(frame_bytes);
            if room == 0 {
                return ring.sleeps();
            }
            let part = room.min(self.rest.len());
            ring.write(&self.rest[..part]);
            self.rest.drain(..part);
        }
    }

    /// Decides what follows a failure: an immediate attempt if an earlier take of the stream has
    /// just released the source, else a later attempt.
    fn failed(&self, error: &AudioError) {
        if self.permit.wait_for_predecessors() {
            debug!("the previous take has ended, and may have used the source: {error}");
        } else {
            lock(self.retry).failed(error, Instant::now());
        }
    }
}
