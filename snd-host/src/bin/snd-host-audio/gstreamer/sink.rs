//! A pipeline that plays.

use std::time::Duration;

use bytes::BytesMut;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use snd_host::pcm::Params;
use snd_host::playout::{Ahead, Fed};
use snd_host::timeline::Timeline;
use snd_host::wire::{SinkProgress, monotonic_nanos};
use tracing::debug;

use super::bin::{self, CONVERTER, tune};
use super::channels::Channels;
use super::pipeline::{Pipeline, caps, clock_time, failure};
use super::samples;
use super::volume::{self, Volume};
use crate::error::AudioError;
use crate::pipeline_config::{Label, PipelineConfig};

/// Parses the description of a sink, with converters from the formats of the guest. The converters
/// pass audio that the sink supports unchanged.
pub(crate) fn parse(description: &str, volume: &str) -> Result<gst::Bin, AudioError> {
    let bin = format!("audioconvert name={CONVERTER} ! audioresample {volume} ! {description}");
    bin::parse("sink", description, &bin, "sink")
}

/// The end of a pipeline that takes audio. No method waits for the sink.
#[derive(Debug)]
pub(crate) struct Feeder {
    pipeline: gst::Pipeline,
    source: gst_app::AppSrc,
    volume: Volume,
    timeline: Timeline,
    params: Params,
    channels: Channels,
}

impl Feeder {
    /// Sets the factor of all samples.
    pub(crate) fn set_gain(&self, gain: f64) {
        self.volume.set(gain);
    }

    /// Returns what the card has to know to tell what is heard.
    pub(crate) fn progress(&self) -> SinkProgress {
        let sampled_at = monotonic_nanos();
        SinkProgress::Open { sampled_at, running: self.running_time(), segment: self.timeline.segment() }
    }

    /// Returns how long the pipeline has been playing; `None` if it is not playing.
    pub(crate) fn running_time(&self) -> Option<Duration> {
        // During a change of state, the clock and the base time may be inconsistent.
        (self.pipeline.current_state() == gst::State::Playing)
            .then(|| self.pipeline.current_running_time())
            .flatten()
            .map(Duration::from)
    }
}

impl Fed for Feeder {
    fn ahead(&self) -> Ahead {
        let running = self.running_time();
        Ahead { duration: self.timeline.ahead(running), plays: running.is_some() }
    }

    fn queued(&self) -> Duration {
        self.params.duration(self.params.frames(self.source.current_level_bytes()))
    }

    /// Pushes whole frames. Drops no frames.
    fn push(&mut self, first: u64, mut bytes: BytesMut) {
        self.channels.to_host(&mut bytes);
        samples::to_host(&self.params, &mut bytes);
        let frames = self.params.frames(bytes.len() as u64);
        let slot = self.timeline.schedule(first, frames, self.running_time());
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(clock_time(slot.start));
            buffer.set_duration(clock_time(slot.end - slot.start));
            if slot.discontinuity {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        if let Err(error) = self.source.push_buffer(buffer) {
            // The pipeline has failed. The thread of the take hears of it from the bus.
            debug!("the sink takes no audio: {error}");
        }
    }
}

/// A pipeline for a take that plays. Dropping it closes the sink.
///
/// Only the thread of the take uses it, because its methods can block as long as the sink does.
#[derive(Debug)]
pub(crate) struct Sink {
    pipeline: Pipeline,
    feeder: Feeder,
}

impl Sink {
    /// Opens the sink, which then waits for audio. `first` is the number of the first frame.
    /// `notify` is called when there is something to [check](Self::check).
    pub(crate) fn open(
        config: &PipelineConfig,
        first: u64,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, AudioError> {
        let PipelineConfig { description, latency, params, has_level, label, realtime } = config;
        let channels = Channels::new(params)?;
        let caps = caps(params, &channels);
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(false)
            .block(false)
            .max_bytes(0)
            .build();
        let sink = parse(description, volume::element(*has_level))?;
        tune(&sink, *latency, label.as_ref());
        let volume = Volume::find(&sink);
        let pipeline = Pipeline::new(&[source.upcast_ref(), sink.upcast_ref()], *realtime, notify)?;
        if let Some(Label { stream, .. }) = label {
            let mut tags = gst::TagList::new();
            tags.make_mut().add::<gst::tags::Title>(&stream.as_str(), gst::TagMergeMode::Replace);
            // pulsesink takes the name of its stream from the title only.
            source.send_event(gst::event::Tag::new(tags));
        }
        pipeline.set_state(gst::State::Paused)?;
        let (timeline, params) = (Timeline::new(*params, first), *params);
        let feeder =
            Feeder { pipeline: pipeline.pipeline.clone(), source, volume, timeline, params, channels };
        Ok(Self { pipeline, feeder })
    }

    pub(crate) const fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline.pipeline
    }

    pub(crate) const fn feeder(&self) -> &Feeder {
        &self.feeder
    }

    pub(crate) const fn feeder_mut(&mut self) -> &mut Feeder {
        &mut self.feeder
    }

    /// Starts to play, as soon as there is audio.
    pub(crate) fn play(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Playing).map(drop)
    }

    /// Fails if the sink has reported an error.
    pub(crate) fn check(&self) -> Result<(), AudioError> {
        self.pipeline.check().map(drop)
    }

    /// Ends the audio, and waits until all of it has been heard, for at most `timeout`.
    pub(crate) fn drain(&self, timeout: Duration) -> Result<(), AudioError> {
        self.feeder.source.end_of_stream().map_err(|error| AudioError::Failed(error.to_string()))?;
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        match self.pipeline.bus.timed_pop_filtered(clock_time(timeout), &kinds) {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => Err(failure(error)),
                _ => Ok(()),
            },
            None => Err(AudioError::Failed("the sink did not drain in time".into())),
        }
    }
}
