//! A pipeline that records.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tracing::debug;

use super::bin::{self, CONVERTER, tune, volume};
use super::channels::Channels;
use super::pipeline::{Pipeline, caps, clock_time};
use super::samples;
use crate::audio::error::AudioError;
use crate::audio::pipeline_config::PipelineConfig;
use crate::pcm::Params;

/// Parses the description of a source, with converters to the formats of the guest. The converters
/// pass audio that has the right format unchanged.
pub(super) fn parse(description: &str, volume: &str) -> Result<gst::Bin, AudioError> {
    let bin = format!("{description} ! audioconvert {volume} ! audioresample name={CONVERTER}");
    bin::parse("source", description, &bin, "src")
}

/// The largest number of pieces of audio that wait to be pulled.
const MAX_PIECES: u32 = 64;

/// A pipeline for a take that records. Dropping it closes the source.
///
/// Only the thread of the take uses it, because its methods can block as long as the source does.
#[derive(Debug)]
pub(in crate::audio) struct Source {
    pipeline: Pipeline,
    sink: gst_app::AppSink,
    live: bool,
    params: Params,
    channels: Channels,
}

impl Source {
    /// Opens the source without recording yet.
    pub(in crate::audio) fn open(config: &PipelineConfig) -> Result<Self, AudioError> {
        let PipelineConfig { description, latency, params, level } = config;
        let channels = Channels::new(params)?;
        let sink = gst_app::AppSink::builder()
            .caps(&caps(params, &channels))
            .sync(false)
            .max_buffers(MAX_PIECES)
            .enable_last_sample(false)
            .wait_on_eos(false)
            .build();
        let source = parse(description, volume(level.as_ref()))?;
        tune(&source, *latency);
        let pipeline = Pipeline::new(source.upcast_ref(), sink.upcast_ref(), level.as_ref())?;
        let live = pipeline.set_state(gst::State::Paused)? == gst::StateChangeSuccess::NoPreroll;
        debug!(live, "source opened");
        Ok(Self { pipeline, sink, live, params: *params, channels })
    }

    /// Returns whether the source delivers audio at its own pace. Any other source, such as a file,
    /// delivers as much as is pulled.
    pub(in crate::audio) const fn is_live(&self) -> bool {
        self.live
    }

    /// Starts or resumes recording.
    pub(in crate::audio) fn record(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Playing).map(drop)
    }

    /// Pauses recording.
    pub(in crate::audio) fn pause(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Paused).map(drop)
    }

    /// Pulls the next piece of audio, in whole frames. Waits for audio for at most `timeout`.
    pub(in crate::audio) fn pull(&self, timeout: Duration) -> Result<Option<Vec<u8>>, AudioError> {
        let sample = self.sink.try_pull_sample(clock_time(timeout));
        let Some(buffer) = sample.as_ref().and_then(|sample| sample.buffer()) else { return Ok(None) };
        let mut frames = buffer.map_readable().map_err(AudioError::Link)?.to_vec();
        self.channels.to_guest(&mut frames);
        samples::to_guest(&self.params, &mut frames);
        Ok(Some(frames))
    }

    /// Returns whether the source has ended and all of its audio was pulled.
    pub(in crate::audio) fn is_at_end(&self) -> bool {
        self.sink.is_eos()
    }

    /// Fails if the source has reported an error. Returns whether the source has just ended.
    pub(in crate::audio) fn check(&self) -> Result<bool, AudioError> {
        self.pipeline.check()
    }
}
