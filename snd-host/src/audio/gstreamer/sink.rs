//! A GStreamer pipeline that plays what it is given.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::channels::Channels;
use super::{DOOR, Pipeline, caps, clock_time, failure, samples, tune, volume};
use crate::audio::timeline::Timeline;
use crate::audio::{AudioError, Port, lock};
use crate::pcm::Params;

/// The sink, and what turns any guest's audio into what it takes. Both ways of conversion leave alone what
/// the sink takes as it is.
pub(super) fn parse(description: &str, volume: &str) -> Result<gst::Bin, AudioError> {
    let whole = format!("audioconvert name={DOOR} ! audioresample {volume} ! {description}");
    super::parse("sink", description, &whole, "sink")
}

/// Tells how far a pipeline has come. Anybody may ask at any time, and is answered at once.
#[derive(Debug)]
pub(in crate::audio) struct Gauge {
    pipeline: gst::Pipeline,
    timeline: Mutex<Timeline>,
}

impl Gauge {
    /// The number of the frame that is about to be heard.
    pub(in crate::audio) fn heard(&self) -> u64 {
        self.timeline().heard(self.running_time())
    }

    /// How much was given and has not been heard.
    pub(in crate::audio) fn ahead(&self) -> Duration {
        self.timeline().ahead(self.running_time())
    }

    /// How long the pipeline has been playing; `None` if it does not play (yet).
    pub(in crate::audio) fn running_time(&self) -> Option<Duration> {
        // While the state changes, clock and base time may not belong together.
        (self.pipeline.current_state() == gst::State::Playing)
            .then(|| self.pipeline.current_running_time())
            .flatten()
            .map(Duration::from)
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        lock(&self.timeline)
    }
}

/// A pipeline for one stretch of playback.
///
/// It belongs to one thread, and its methods may take as long as the sink does. Dropping it closes the sink.
#[derive(Debug)]
pub(in crate::audio) struct Sink {
    pipeline: Pipeline,
    gauge: Arc<Gauge>,
    source: gst_app::AppSrc,
    params: Params,
    channels: Channels,
}

impl Sink {
    /// Opens the sink and lets it wait for audio. `first` is the number of the first frame.
    pub(in crate::audio) fn open(port: &Port, first: u64) -> Result<Self, AudioError> {
        let Port { description, latency, params, level } = port;
        let channels = Channels::new(params)?;
        let caps = caps(params, &channels);
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(false)
            .block(false)
            .max_bytes(0)
            .build();
        let sink = parse(description, volume(level.as_ref()))?;
        tune(&sink, *latency);
        let pipeline = Pipeline::new(source.upcast_ref(), sink.upcast_ref(), level.as_ref())?;
        pipeline.set_state(gst::State::Paused)?;
        let timeline = Mutex::new(Timeline::new(*params, first));
        let gauge = Arc::new(Gauge { pipeline: pipeline.pipeline.clone(), timeline });
        Ok(Self { pipeline, gauge, source, params: *params, channels })
    }

    /// Tells how far it has come.
    pub(in crate::audio) const fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }

    /// Lets time run, once there is audio.
    pub(in crate::audio) fn play(&self) -> Result<(), AudioError> {
        self.pipeline.set_state(gst::State::Playing).map(drop)
    }

    /// Gives whole frames, of which the first has the number `first`. Nothing is dropped, and this does not
    /// wait.
    pub(in crate::audio) fn push(
        &self,
        first: u64,
        frames: u64,
        mut bytes: Vec<u8>,
    ) -> Result<(), AudioError> {
        self.channels.to_host(&mut bytes);
        samples::to_host(&self.params, &mut bytes);
        let slot = self.gauge.timeline().schedule(first, frames, self.gauge.running_time());
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(clock_time(slot.start));
            buffer.set_duration(clock_time(slot.end - slot.start));
            if slot.restart {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        self.source.push_buffer(buffer).map(drop).map_err(|error| AudioError::Failed(error.to_string()))
    }

    /// How much was given and has not been taken.
    pub(in crate::audio) fn waiting(&self) -> Duration {
        self.params.duration(self.params.frames(self.source.current_level_bytes()))
    }

    /// Looks for trouble that the sink has reported.
    pub(in crate::audio) fn check(&self) -> Result<(), AudioError> {
        self.pipeline.check().map(drop)
    }

    /// Says that no more audio comes, and waits until all has been heard, at most for `limit`.
    pub(in crate::audio) fn finish(&self, limit: Duration) -> Result<(), AudioError> {
        self.source.end_of_stream().map_err(|error| AudioError::Failed(error.to_string()))?;
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        match self.pipeline.bus.timed_pop_filtered(clock_time(limit), &kinds) {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => Err(failure(error)),
                _ => Ok(()),
            },
            None => Err(AudioError::Failed(format!("the sink has not finished after {limit:?}"))),
        }
    }
}
