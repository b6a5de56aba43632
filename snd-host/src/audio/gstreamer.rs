//! A GStreamer pipeline that plays what it is given.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tracing::{info, warn};

use super::timeline::Timeline;
use crate::pcm::Params;

/// Why a sink is of no use.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// GStreamer does not start.
    #[error("GStreamer does not start: {0}")]
    Init(glib::Error),
    /// It does not understand the description.
    #[error("'{description}' is no sink: {error}")]
    Description {
        /// The description.
        description: String,
        /// What GStreamer says to it.
        error: glib::Error,
    },
    /// The elements do not fit together.
    #[error("the pipeline cannot be linked: {0}")]
    Link(glib::BoolError),
    /// The sink was there, and failed.
    #[error("{0}")]
    Failed(String),
}

/// Starts GStreamer, and checks that `description` describes a sink.
pub(super) fn check_sink(description: &str) -> Result<(), SinkError> {
    gst::init().map_err(SinkError::Init)?;
    parse_sink(description).map(drop)
}

/// The sink, and what turns any guest's audio into what it takes. Both ways of conversion leave alone what
/// the sink takes as it is.
fn parse_sink(description: &str) -> Result<gst::Bin, SinkError> {
    let bin = format!("audioconvert ! audioresample ! {description}");
    gst::parse::bin_from_description(&bin, true)
        .map_err(|error| SinkError::Description { description: description.to_owned(), error })
}

/// Tells how far a pipeline has come. Anybody may ask at any time, and is answered at once.
#[derive(Debug)]
pub(super) struct Gauge {
    pipeline: gst::Pipeline,
    timeline: Mutex<Timeline>,
}

impl Gauge {
    /// The number of the frame that is about to be heard.
    pub(super) fn heard(&self) -> u64 {
        self.timeline().heard(self.running_time())
    }

    /// How much was given and has not been heard.
    pub(super) fn ahead(&self) -> Duration {
        self.timeline().ahead(self.running_time())
    }

    /// How long the pipeline has been playing; `None` if it does not play (yet).
    pub(super) fn running_time(&self) -> Option<Duration> {
        // While the state changes, clock and base time may not belong together.
        (self.pipeline.current_state() == gst::State::Playing)
            .then(|| self.pipeline.current_running_time())
            .flatten()
            .map(Duration::from)
    }

    fn timeline(&self) -> MutexGuard<'_, Timeline> {
        // Whoever panicked left some numbers behind, and any numbers will do.
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A pipeline for one stretch of playback.
///
/// It belongs to one thread, and its methods may take as long as the sink does. Dropping it closes the sink.
#[derive(Debug)]
pub(super) struct Pipeline {
    gauge: Arc<Gauge>,
    source: gst_app::AppSrc,
    bus: gst::Bus,
}

impl Pipeline {
    /// Opens the sink and lets it wait for audio. `latency` is for the buffer of a sink that GStreamer finds
    /// by itself; `first` is the number of the first frame.
    pub(super) fn open(
        description: &str,
        latency: Duration,
        params: &Params,
        first: u64,
    ) -> Result<Self, SinkError> {
        let caps = caps(params);
        let source = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(false)
            .block(false)
            .max_bytes(0)
            .build();
        let sink = parse_sink(description)?;
        tune(&sink, latency);
        let pipeline = gst::Pipeline::new();
        pipeline
            .add_many([source.upcast_ref(), sink.upcast_ref::<gst::Element>()])
            .map_err(SinkError::Link)?;
        source.link(&sink).map_err(SinkError::Link)?;
        let bus = pipeline.bus().ok_or_else(|| SinkError::Failed("a pipeline without a bus".into()))?;
        let timeline = Mutex::new(Timeline::new(*params, first));
        // From here on its Drop closes the sink.
        let this = Self { gauge: Arc::new(Gauge { pipeline, timeline }), source, bus };
        this.set_state(gst::State::Paused)?;
        Ok(this)
    }

    /// Tells how far it has come.
    pub(super) const fn gauge(&self) -> &Arc<Gauge> {
        &self.gauge
    }

    fn set_state(&self, state: gst::State) -> Result<(), SinkError> {
        match self.gauge.pipeline.set_state(state) {
            Ok(_) => Ok(()),
            // The bus knows more.
            Err(error) => self.check().and(Err(SinkError::Failed(error.to_string()))),
        }
    }

    /// Lets time run, once there is audio.
    pub(super) fn play(&self) -> Result<(), SinkError> {
        self.set_state(gst::State::Playing)
    }

    /// Gives whole frames, of which the first has the number `first`. Nothing is dropped, and this does not
    /// wait.
    pub(super) fn push(&self, first: u64, frames: u64, bytes: Vec<u8>) -> Result<(), SinkError> {
        let slot = self.gauge.timeline().schedule(first, frames, self.gauge.running_time());
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(clock_time(slot.start));
            buffer.set_duration(clock_time(slot.end - slot.start));
            if slot.restart {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        self.source.push_buffer(buffer).map(drop).map_err(|error| SinkError::Failed(error.to_string()))
    }

    /// Looks for trouble that the sink has reported.
    pub(super) fn check(&self) -> Result<(), SinkError> {
        use gst::MessageType::{ClockLost, Error, Warning};
        while let Some(message) = self.bus.pop_filtered(&[Error, Warning, ClockLost]) {
            match message.view() {
                gst::MessageView::Error(error) => return Err(failure(error)),
                gst::MessageView::Warning(warning) => warn!("the sink warns: {}", warning.error()),
                gst::MessageView::ClockLost(_) => {
                    info!("the sink's clock is gone; taking another");
                    self.set_state(gst::State::Paused)?;
                    self.play()?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Says that no more audio comes, and waits until all has been heard, at most for `limit`.
    pub(super) fn finish(&self, limit: Duration) -> Result<(), SinkError> {
        self.source.end_of_stream().map_err(|error| SinkError::Failed(error.to_string()))?;
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        match self.bus.timed_pop_filtered(clock_time(limit), &kinds) {
            Some(message) => match message.view() {
                gst::MessageView::Error(error) => Err(failure(error)),
                _ => Ok(()),
            },
            None => Err(SinkError::Failed(format!("the sink has not finished after {limit:?}"))),
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Err(error) = self.gauge.pipeline.set_state(gst::State::Null) {
            warn!("the sink does not close: {error}");
        }
    }
}

/// What the guest's audio is, in GStreamer's words.
///
/// Which speaker a channel is for is not known beyond stereo; a channel mask of 0 says so, and keeps
/// the channels as they are.
fn caps(params: &Params) -> gst::Caps {
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", params.format.gst_name)
        .field("layout", "interleaved")
        .field("rate", i32::try_from(params.rate).unwrap_or(i32::MAX))
        .field("channels", i32::from(params.channels));
    if params.channels > 2 { caps.field("channel-mask", gst::Bitmask::new(0)) } else { caps }.build()
}

/// Makes the elements of a sink fit for the purpose, as far as that is not for the user to decide.
fn tune(sink: &gst::Bin, latency: Duration) {
    for element in sink.iterate_sinks().into_iter().flatten() {
        set_if_present(&element, "enable-last-sample", "false");
    }
    // A buffer in four parts, and time kept by bending the clock rather than by dropping audio.
    let properties = [
        ("buffer-time", latency.as_micros().to_string()),
        ("latency-time", (latency / 4).as_micros().to_string()),
        ("slave-method", "skew".into()),
        ("enable-last-sample", "false".into()),
    ];
    // What the user has described is in there already: this is about what such elements make later.
    sink.connect_deep_element_added(move |_, _, element| {
        for (name, value) in &properties {
            set_if_present(element, name, value);
        }
    });
}

fn set_if_present(element: &gst::Element, name: &str, value: &str) {
    if element.has_property(name) {
        element.set_property_from_str(name, value);
    }
}

fn failure(message: &gst::message::Error) -> SinkError {
    let debug = message.debug().map(|debug| format!(" ({debug})"));
    SinkError::Failed(format!("{}{}", message.error(), debug.unwrap_or_default()))
}

fn clock_time(duration: Duration) -> gst::ClockTime {
    // Enough for five hundred years.
    gst::ClockTime::from_nseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1))
}
