//! A pipeline that records.

use std::sync::{Arc, OnceLock};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use snd_host::pcm::Params;
use tracing::{debug, warn};

use super::bin::{self, CONVERTER, tune};
use super::channels::Channels;
use super::pipeline::{Pipeline, caps};
use super::samples;
use super::volume::{self, Volume};
use crate::error::AudioError;
use crate::pipeline_config::PipelineConfig;

/// Parses the description of a source, with converters to the formats of the guest. The converters
/// pass audio that has the right format unchanged.
pub(crate) fn parse(description: &str, volume: &str) -> Result<gst::Bin, AudioError> {
    let bin = format!("{description} ! audioconvert {volume} ! audioresample name={CONVERTER}");
    bin::parse("source", description, &bin, "src")
}

/// The largest number of pieces of audio that wait to be pulled.
const MAX_PIECES: u32 = 64;

/// What has to be done to recorded audio before the guest gets it.
#[derive(Debug)]
struct Conversion {
    volume: Volume,
    params: Params,
    channels: Channels,
    /// Whether the source delivers audio at its own pace, once the source is open.
    live: OnceLock<bool>,
}

impl Conversion {
    /// Pulls the next piece of audio, if there is one, in the guest's form. Never blocks.
    fn pull(&self, sink: &gst_app::AppSink) -> Option<Vec<u8>> {
        let buffer = sink.try_pull_sample(gst::ClockTime::ZERO)?.buffer_owned()?;
        // A source may have few buffers, which must not wait for the guest: so the audio is copied.
        let mapped = buffer.map_readable();
        let mapped = mapped.inspect_err(|_| warn!("a piece of the recording cannot be mapped, and is lost"));
        let mut frames = mapped.ok()?.to_vec();
        self.channels.to_guest(&mut frames);
        samples::to_guest(&self.params, &mut frames);
        Some(frames)
    }
}

/// A pipeline for a take that records. Dropping it closes the source.
///
/// Only the thread of the take uses it, because its methods can block as long as the source does.
#[derive(Debug)]
pub(crate) struct Source {
    pipeline: Pipeline,
    sink: gst_app::AppSink,
    conversion: Arc<Conversion>,
}

impl Source {
    /// Opens the source without recording yet. `notify` is called when there is something to
    /// [check](Self::check) or to [pull](Self::pull). `audio` is called in a thread of GStreamer
    /// with each piece of audio of a live source.
    pub(crate) fn open(
        config: &PipelineConfig,
        notify: impl Fn() + Clone + Send + Sync + 'static,
        audio: impl Fn(&[u8]) + Send + 'static,
    ) -> Result<Self, AudioError> {
        let PipelineConfig { description, latency, params, has_level, label, realtime } = config;
        let channels = Channels::new(params)?;
        let source = parse(description, volume::element(*has_level))?;
        tune(&source, *latency, label.as_ref());
        let volume = Volume::find(&source);
        let conversion = Arc::new(Conversion { volume, params: *params, channels, live: OnceLock::new() });
        let (convert, arrived) = (conversion.clone(), notify.clone());
        let new_sample = move |sink: &gst_app::AppSink| {
            if convert.live.get() == Some(&true) {
                while let Some(frames) = convert.pull(sink) {
                    audio(&frames);
                }
            } else {
                arrived();
            }
            Ok(gst::FlowSuccess::Ok)
        };
        let sink = gst_app::AppSink::builder()
            .caps(&caps(params, &conversion.channels))
            .sync(false)
            .max_buffers(MAX_PIECES)
            .enable_last_sample(false)
            .wait_on_eos(false)
            .callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build())
            .build();
        let pipeline = Pipeline::new(&[source.upcast_ref(), sink.upcast_ref()], *realtime, notify)?;
        let live = pipeline.set_state(gst::State::Paused)? == gst::StateChangeSuccess::NoPreroll;
        debug!(live, "source opened");
        let _ = conversion.live.set(live);
        Ok(Self { pipeline, sink, conversion })
    }

    pub(crate) const fn pipeline(&self) -> &gst::Pipeline {
        &self.pipeline.pipeline
    }

    /// Returns whether the source delivers audio at its own pace. Any other source, such as a file,
    /// delivers as much as is pulled.
    pub(crate) fn is_live(&self) -> bool {
        self.conversion.live.get() == Some(&true)
    }

    /// Pulls the next piece of audio of a source that is not live, if there is one. Never blocks.
    pub(crate) fn pull(&self) -> Option<Vec<u8>> {
        self.conversion.pull(&self.sink)
    }

    /// Sets the factor of all samples.
    pub(crate) fn set_gain(&self, gain: f64) {
        self.conversion.volume.set(gain);
    }

    /// Starts or resumes recording.
    pub(crate) fn record(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Playing).map(drop)
    }

    /// Pauses recording.
    pub(crate) fn pause(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Paused).map(drop)
    }

    /// Fails if the source has reported an error. Returns whether the source has just ended.
    pub(crate) fn check(&self) -> Result<bool, AudioError> {
        self.pipeline.check()
    }
}
