//! The thread of a take that plays.
//!
//! Only this thread opens, feeds and closes the sink, which may open slowly, stall or disappear.
//! While there is no sink, the thread keeps trying to open the sink. While the sink plays, the
//! thread sleeps until the sink has to be fed, the mode changes, or the sink fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use snd_host::playout::{Fed as _, PlaybackBuffer, feed};
use snd_host::wire::{Mode, PlaybackReader, Progress, SinkProgress, monotonic_nanos};
use tracing::{debug, info, warn};

use crate::error::AudioError;
use crate::gstreamer::Sink;
use crate::permit::Permit;
use crate::pipeline_config::PipelineConfig;
use crate::retry::{Retry, STABLE_AFTER};
use crate::wakeup::Wakeup;

/// How much longer than its audio a sink may take to drain.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Plays the audio of a ring until its end. `generation` is how often the take was opened.
pub(crate) fn run(
    reader: PlaybackReader,
    generation: u64,
    wakeup: &Arc<Wakeup>,
    permit: &Permit,
    config: &PipelineConfig,
) {
    let resumes = generation > 1;
    let buffer = PlaybackBuffer::new(reader, &config.params, resumes);
    let (sink, retry) = (None, Retry::of_a_sink());
    Player { buffer, generation, wakeup, permit, config, sink, lost: resumes, retry }.run();
}

struct Player<'t> {
    buffer: PlaybackBuffer,
    generation: u64,
    wakeup: &'t Arc<Wakeup>,
    permit: &'t Permit,
    config: &'t PipelineConfig,
    sink: Option<Sink>,
    /// Whether the last sink has failed. A new sink starts at the guest's position.
    lost: bool,
    retry: Retry,
}

impl Player<'_> {
    fn run(mut self) {
        self.report();
        loop {
            self.buffer.sync();
            let mode = self.buffer.mode();
            if mode.ends() && self.sink.is_none() && self.buffer.is_empty() {
                return debug!("ended with nothing to play");
            }
            if let Err(error) = self.open_and_play(mode) {
                self.failed(&error);
                continue;
            }
            if mode.ends() {
                return match self.sink.take() {
                    Some(sink) => self.drain(sink),
                    None => info!("ended without a sink"),
                };
            }
            let next = match &mut self.sink {
                Some(sink) => {
                    sink.feeder().set_gain(self.buffer.reader().gain());
                    feed(&mut self.buffer, sink.feeder_mut(), self.config.latency, monotonic_nanos())
                }
                None => Some(self.retry.due_in(Instant::now())),
            };
            self.report();
            self.sleep(next);
        }
    }

    /// Sleeps for a time, or until there is more audio. Another mode ends the sleep in any case.
    fn sleep(&self, time: Option<Duration>) {
        if time.is_some() || self.buffer.sleeps() {
            self.wakeup.wait(time);
        }
    }

    /// Makes the progress visible to the card.
    fn report(&self) {
        let sink = match &self.sink {
            Some(sink) => sink.feeder().progress(),
            None if self.lost => SinkProgress::Lost,
            None => SinkProgress::Opening,
        };
        self.buffer.report(&Progress { generation: self.generation, sink });
    }

    /// Opens the sink if it is not open and an attempt is due. Checks the sink for errors, and lets
    /// it play if the mode says so.
    fn open_and_play(&mut self, mode: Mode) -> Result<(), AudioError> {
        if self.sink.is_none() && self.retry.is_due(Instant::now()) {
            if self.lost {
                self.buffer.drop_played();
            }
            let (first, notified) = (self.buffer.first(), self.wakeup.clone());
            let open = || Sink::open(self.config, first, move || notified.wake());
            self.sink = Some(self.wakeup.busy(open)?);
            self.retry.succeeded();
        }
        let Some(sink) = &self.sink else { return Ok(()) };
        sink.check()?;
        if mode == Mode::Run { self.wakeup.busy(|| sink.play()) } else { Ok(()) }
    }

    /// Decides what follows a failure: an immediate attempt if an earlier take of the stream has
    /// just released the sink, else a later attempt.
    fn failed(&mut self, error: &AudioError) {
        if let Some(sink) = self.sink.take() {
            // A sink that has played for so long that its earlier failures are forgotten.
            if sink.feeder().running_time().is_some_and(|time| time > STABLE_AFTER) {
                self.retry.reset();
            }
            self.wakeup.busy(|| drop(sink));
        }
        if self.permit.wait_for_predecessors() {
            debug!("the previous take has ended, and may have used the sink: {error}");
        } else {
            self.lost = true;
            self.retry.failed(error, Instant::now());
        }
        self.report();
    }

    /// Plays the rest of the audio, and waits until all of it has been heard.
    fn drain(&mut self, mut sink: Sink) {
        if !self.buffer.reader().started() {
            return debug!("ended without having been started");
        }
        match self.play_out(&mut sink) {
            Ok(()) => debug!(frames = self.buffer.first(), "played out"),
            Err(error) => warn!("the end of the audio is lost: {error}"),
        }
    }

    /// Feeds the sink the rest of the audio as the sink plays it. The sink never has more than
    /// while the guest plays, so the rest is not in memory twice.
    fn play_out(&mut self, sink: &mut Sink) -> Result<(), AudioError> {
        self.wakeup.busy(|| sink.play())?;
        let left = self.config.params.duration(self.buffer.end() - self.buffer.first());
        let deadline = Instant::now() + sink.feeder().ahead().duration + left + DRAIN_MARGIN;
        let time_left = || deadline.saturating_duration_since(Instant::now());
        let latency = self.config.latency;
        while let Some(next) = feed(&mut self.buffer, sink.feeder_mut(), latency, monotonic_nanos()) {
            if time_left().is_zero() {
                return Err(AudioError::Failed("the sink did not drain in time".into()));
            }
            self.wakeup.wait(Some(next));
            sink.check()?;
        }
        sink.drain(time_left())
    }
}
