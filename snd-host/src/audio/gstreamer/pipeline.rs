//! A pipeline of two elements.

use std::sync::Arc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use tracing::{info, warn};

use super::bin::VOLUME;
use super::channels::Channels;
use crate::audio::error::AudioError;
use crate::audio::level::Level;
use crate::pcm::Params;

/// A pipeline. Dropping it closes its devices.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) pipeline: gst::Pipeline,
    pub(super) bus: gst::Bus,
    /// The element that changes the volume, and the level to set.
    volume: Option<(gst::Element, Arc<Level>)>,
}

impl Pipeline {
    /// Creates a pipeline that passes audio from one element to another. The element named
    /// [`VOLUME`], if there is one, follows `level`.
    pub(super) fn new(
        from: &gst::Element,
        to: &gst::Element,
        level: Option<&Arc<Level>>,
    ) -> Result<Self, AudioError> {
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([from, to]).map_err(AudioError::Link)?;
        from.link(to).map_err(AudioError::Link)?;
        let bus = pipeline.bus().ok_or_else(|| AudioError::Failed("the pipeline has no bus".into()))?;
        let volume = pipeline.by_name(VOLUME).zip(level.cloned());
        Ok(Self { pipeline, bus, volume })
    }

    pub(super) fn set_state(&self, state: gst::State) -> Result<gst::StateChangeSuccess, AudioError> {
        // A message on the bus says more than the error of the state change.
        let failed = |error: gst::StateChangeError| match self.check() {
            Err(error) => error,
            Ok(_) => AudioError::Failed(error.to_string()),
        };
        self.pipeline.set_state(state).map_err(failed)
    }

    /// Updates the volume, and handles messages of the bus. Returns whether the audio ended.
    pub(super) fn check(&self) -> Result<bool, AudioError> {
        use gst::MessageType::{ClockLost, Eos, Error, Warning};
        if let Some((element, level)) = &self.volume {
            element.set_property("volume", level.gain());
        }
        let mut ended = false;
        while let Some(message) = self.bus.pop_filtered(&[Error, Warning, ClockLost, Eos]) {
            match message.view() {
                gst::MessageView::Error(error) => return Err(failure(error)),
                gst::MessageView::Warning(warning) => warn!("warning from GStreamer: {}", warning.error()),
                gst::MessageView::ClockLost(_) => {
                    info!("the clock of the pipeline is lost; selecting another one");
                    self.set_state(gst::State::Paused)?;
                    self.set_state(gst::State::Playing)?;
                }
                gst::MessageView::Eos(_) => ended = true,
                _ => {}
            }
        }
        Ok(ended)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            warn!("cannot close a pipeline: {error}");
        }
    }
}

/// Returns the capabilities of the guest's audio.
pub(super) fn caps(params: &Params, channels: &Channels) -> gst::Caps {
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", params.format.gst_name)
        .field("layout", "interleaved")
        .field("rate", i32::try_from(params.rate).unwrap_or(i32::MAX))
        .field("channels", i32::from(params.channels));
    // GStreamer does not need a mask for one or two channels.
    if params.channels > 2 { caps.field("channel-mask", gst::Bitmask::new(channels.mask())) } else { caps }
        .build()
}

/// Returns the error that a message reports.
pub(super) fn failure(message: &gst::message::Error) -> AudioError {
    let debug = message.debug().map(|debug| format!(" ({debug})"));
    AudioError::Failed(format!("{}{}", message.error(), debug.unwrap_or_default()))
}

pub(super) fn clock_time(duration: Duration) -> gst::ClockTime {
    // 64 bits of nanoseconds are enough for more than 500 years.
    gst::ClockTime::from_nseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1))
}
