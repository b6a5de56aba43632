//! A pipeline that gives what it records.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tracing::debug;

use super::channels::Channels;
use super::{DOOR, Pipeline, caps, clock_time, samples, tune, volume};
use crate::audio::{AudioError, Port};
use crate::pcm::Params;

/// The source, and what turns what it gives into any guest's audio. Both ways of conversion leave alone what
/// is right as it is.
pub(super) fn parse(description: &str, volume: &str) -> Result<gst::Bin, AudioError> {
    let whole = format!("{description} ! audioconvert {volume} ! audioresample name={DOOR}");
    super::parse("source", description, &whole, "src")
}

/// How many pieces of audio wait to be taken.
const MAX_PIECES: u32 = 64;

/// A pipeline for one stretch of recording.
///
/// It belongs to one thread, and its methods may take as long as the source does. Dropping it closes the
/// source.
#[derive(Debug)]
pub(in crate::audio) struct Source {
    pipeline: Pipeline,
    sink: gst_app::AppSink,
    live: bool,
    params: Params,
    channels: Channels,
}

impl Source {
    /// Opens the source, without recording yet.
    pub(in crate::audio) fn open(port: &Port) -> Result<Self, AudioError> {
        let Port { description, latency, params, level } = port;
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

    /// Whether it gives audio at its own pace. Any other, such as a file, gives as much as is taken.
    pub(in crate::audio) const fn is_live(&self) -> bool {
        self.live
    }

    /// Lets it record.
    pub(in crate::audio) fn record(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Playing).map(drop)
    }

    /// Holds it.
    pub(in crate::audio) fn pause(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Paused).map(drop)
    }

    /// Takes the next piece, in whole frames. If there is none, waits for it, at most for `limit`.
    pub(in crate::audio) fn take(&self, limit: Duration) -> Result<Option<Vec<u8>>, AudioError> {
        let sample = self.sink.try_pull_sample(clock_time(limit));
        let Some(buffer) = sample.as_ref().and_then(|sample| sample.buffer()) else { return Ok(None) };
        let mut frames = buffer.map_readable().map_err(AudioError::Link)?.to_vec();
        self.channels.to_guest(&mut frames);
        samples::to_guest(&self.params, &mut frames);
        Ok(Some(frames))
    }

    /// Whether it has given all that it had.
    pub(in crate::audio) fn is_at_end(&self) -> bool {
        self.sink.is_eos()
    }

    /// Looks for trouble that the source has reported. Returns whether it has come to its end.
    pub(in crate::audio) fn check(&self) -> Result<bool, AudioError> {
        self.pipeline.check()
    }
}
