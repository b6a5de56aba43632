//! A pipeline of two elements.

use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use tracing::{debug, info, warn};

use super::channels::Channels;
use crate::error::AudioError;
use snd_host::pcm::Params;
use snd_host::realtime::RealTime;

/// The messages of a bus that [`Pipeline::check`] handles.
const CHECKED: [gst::MessageType; 4] =
    [gst::MessageType::Error, gst::MessageType::Warning, gst::MessageType::ClockLost, gst::MessageType::Eos];

/// A pipeline. Dropping it closes its devices.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) pipeline: gst::Pipeline,
    pub(crate) bus: gst::Bus,
}

impl Pipeline {
    /// Creates a pipeline that passes audio from each element to the next one.
    ///
    /// The streaming threads have the priority `realtime`. `notify` is called when there is
    /// something to [check](Self::check).
    pub(crate) fn new(
        elements: &[&gst::Element],
        realtime: RealTime,
        notify: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, AudioError> {
        let pipeline = gst::Pipeline::new();
        pipeline.add_many(elements).map_err(AudioError::Link)?;
        gst::Element::link_many(elements).map_err(AudioError::Link)?;
        let bus = pipeline.bus().ok_or_else(|| AudioError::Failed("the pipeline has no bus".into()))?;
        bus.set_sync_handler(move |_, message| {
            if CHECKED.contains(&message.type_()) {
                notify();
            } else if let gst::MessageView::StreamStatus(status) = message.view()
                && status.get().0 == gst::StreamStatusType::Enter
            {
                // The new thread calls this handler itself.
                realtime.enter();
            }
            gst::BusSyncReply::Pass
        });
        Ok(Self { pipeline, bus })
    }

    pub(crate) fn set_state(&self, state: gst::State) -> Result<gst::StateChangeSuccess, AudioError> {
        // A message on the bus says more than the error of the state change.
        let failed = |error: gst::StateChangeError| match self.check() {
            Err(error) => error,
            Ok(_) => AudioError::Failed(error.to_string()),
        };
        self.pipeline.set_state(state).map_err(failed)
    }

    /// Handles messages of the bus. Returns whether the audio ended.
    pub(crate) fn check(&self) -> Result<bool, AudioError> {
        let mut ended = false;
        while let Some(message) = self.bus.pop_filtered(&CHECKED) {
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
        // The handler may own what owns this pipeline.
        self.bus.unset_sync_handler();
        if let Err(error) = self.pipeline.set_state(gst::State::Null) {
            warn!("cannot close a pipeline: {error}");
        }
    }
}

/// Returns the capabilities of the guest's audio.
pub(crate) fn caps(params: &Params, channels: &Channels) -> gst::Caps {
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
pub(crate) fn failure(message: &gst::message::Error) -> AudioError {
    let details = message.debug().unwrap_or_default();
    debug!("an element has failed: {details}");
    // A place in the source of GStreamer, and sometimes the cause in a line of its own.
    let cause = details.split_once('\n').map(|(_, cause)| format!(" ({})", cause.replace('\n', " ")));
    AudioError::Failed(format!("{}{}", message.error(), cause.unwrap_or_default()))
}

pub(crate) fn clock_time(duration: Duration) -> gst::ClockTime {
    // 64 bits of nanoseconds are enough for more than 500 years.
    gst::ClockTime::from_nseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1))
}
