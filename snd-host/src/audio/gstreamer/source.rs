//! A pipeline that records.

use std::ops::Deref;
use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tracing::{debug, warn};

use super::bin::{self, CONVERTER, tune};
use super::channels::Channels;
use super::pipeline::{Pipeline, caps};
use super::samples;
use super::volume::{self, Volume};
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

/// The end of a pipeline where recorded audio comes out. Any thread can use it without waiting for
/// the source.
#[derive(Debug)]
pub(in crate::audio) struct Tap {
    sink: gst_app::AppSink,
    volume: Volume,
    live: bool,
    params: Params,
    channels: Channels,
}

impl Tap {
    /// Returns whether the source delivers audio at its own pace. Any other source, such as a file,
    /// delivers as much as is pulled.
    pub(in crate::audio) const fn is_live(&self) -> bool {
        self.live
    }

    /// Pulls the next piece of audio, if there is one. Never blocks.
    ///
    /// The piece should be dropped soon: a source may have few buffers.
    pub(in crate::audio) fn pull(&self) -> Option<impl Deref<Target = [u8]> + use<>> {
        self.volume.update();
        let buffer = self.sink.try_pull_sample(gst::ClockTime::ZERO)?.buffer_owned()?;
        let mapped = buffer.into_mapped_buffer_readable();
        mapped.inspect_err(|_| warn!("a piece of the recording cannot be mapped, and is lost")).ok()
    }

    /// Converts frames to the guest's order of channels and alignment of bits.
    pub(in crate::audio) fn to_guest(&self, frames: &mut [u8]) {
        self.channels.to_guest(frames);
        samples::to_guest(&self.params, frames);
    }
}

/// A pipeline for a take that records. Dropping it closes the source.
///
/// Only the thread of the take uses it, because its methods can block as long as the source does.
#[derive(Debug)]
pub(in crate::audio) struct Source {
    /// Not in the tap, which another thread may drop last.
    pipeline: Pipeline,
    tap: Arc<Tap>,
}

impl Source {
    /// Opens the source without recording yet. `notify` is called when there is something to
    /// [check](Self::check), `audio` when a live source has delivered a piece.
    pub(in crate::audio) fn open(
        config: &PipelineConfig,
        notify: impl Fn() + Send + Sync + 'static,
        audio: impl Fn() + Send + 'static,
    ) -> Result<Self, AudioError> {
        let PipelineConfig { description, latency, params, level, label, realtime } = config;
        let channels = Channels::new(params)?;
        let sink = gst_app::AppSink::builder()
            .caps(&caps(params, &channels))
            .sync(false)
            .max_buffers(MAX_PIECES)
            .enable_last_sample(false)
            .wait_on_eos(false)
            .build();
        let source = parse(description, volume::element(level.as_ref()))?;
        tune(&source, *latency, label.as_ref());
        let volume = Volume::find(&source, level.as_ref());
        let pipeline = Pipeline::new(&[source.upcast_ref(), sink.upcast_ref()], *realtime, notify)?;
        let live = pipeline.set_state(gst::State::Paused)? == gst::StateChangeSuccess::NoPreroll;
        debug!(live, "source opened");
        if live {
            let new_sample = move |_: &gst_app::AppSink| {
                audio();
                Ok(gst::FlowSuccess::Ok)
            };
            sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
        }
        let tap = Tap { sink, volume, live, params: *params, channels };
        Ok(Self { pipeline, tap: Arc::new(tap) })
    }

    pub(super) const fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline.pipeline
    }

    pub(in crate::audio) const fn tap(&self) -> &Arc<Tap> {
        &self.tap
    }

    /// Starts or resumes recording.
    pub(in crate::audio) fn record(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Playing).map(drop)
    }

    /// Pauses recording.
    pub(in crate::audio) fn pause(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Paused).map(drop)
    }

    /// Fails if the source has reported an error. Returns whether the source has just ended.
    pub(in crate::audio) fn check(&self) -> Result<bool, AudioError> {
        self.pipeline.check()
    }
}
