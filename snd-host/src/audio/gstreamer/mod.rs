//! Pipelines of GStreamer: one that plays what it is given, and one that gives what it records.

mod channels;
mod samples;
mod sink;
mod source;

use std::sync::Arc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use tracing::{info, warn};

use super::{Descriptions, Level};
use crate::pcm::Params;

use self::channels::Channels;
pub(super) use self::sink::{Gauge, Sink};
pub(super) use self::source::Source;

/// Why a sink or a source is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AudioError {
    /// GStreamer does not start.
    #[error("GStreamer does not start: {0}")]
    Init(glib::Error),
    /// It does not understand a description.
    #[error("'{description}' is no {role}: {error}{}", hint(error))]
    Description {
        /// What was described: a sink or a source.
        role: &'static str,
        /// The description.
        description: String,
        /// What GStreamer says to it.
        error: glib::Error,
    },
    /// There is no sink, or no source, among the elements that it describes.
    #[error("'{description}' is no {role}: {what}")]
    Incomplete {
        /// What was described: a sink or a source.
        role: &'static str,
        /// The description.
        description: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The elements do not fit together.
    #[error("the pipeline cannot be linked: {0}")]
    Link(glib::BoolError),
    /// It was there, and failed.
    #[error("{0}")]
    Failed(String),
}

/// Starts GStreamer, and checks that the descriptions describe a sink and a source.
pub(super) fn check(descriptions: &Descriptions) -> Result<(), AudioError> {
    gst::init().map_err(AudioError::Init)?;
    // Threads that have nothing to do end, rather than wait for what may come.
    glib::ThreadPool::set_max_unused_threads(Some(0));
    let Descriptions { sink, source } = descriptions;
    let any = |ends: gst::Iterator<gst::Element>| ends.into_iter().flatten().next().is_some();
    if !any(sink::parse(sink, "")?.iterate_sinks()) {
        return Err(incomplete("sink", sink, "its audio goes nowhere"));
    }
    if !any(source::parse(source, "")?.iterate_sources()) {
        return Err(incomplete("source", source, "its audio comes from nowhere"));
    }
    Ok(())
}

fn incomplete(role: &'static str, description: &str, what: &'static str) -> AudioError {
    AudioError::Incomplete { role, description: description.to_owned(), what }
}

/// What to do about a description that is not understood.
fn hint(error: &glib::Error) -> &'static str {
    if error.matches(gst::ParseError::NoSuchElement) {
        "; gst-inspect-1.0 lists those that are installed"
    } else {
        ""
    }
}

/// The name of the element by which audio goes into a sink, or comes out of a source.
const DOOR: &str = "snd-host-door";

/// Makes the elements that `description` describes, which are a part of `whole`. Audio goes through the pad of
/// this name of the [`DOOR`]: others may not be linked yet, because their peers have to see the audio first.
fn parse(role: &'static str, description: &str, whole: &str, pad: &str) -> Result<gst::Bin, AudioError> {
    let failed = |error| AudioError::Description { role, description: description.to_owned(), error };
    let bin = gst::parse::bin_from_description(whole, false).map_err(failed)?;
    let door = bin.by_name(DOOR).and_then(|door| door.static_pad(pad));
    let door =
        door.ok_or_else(|| incomplete(role, description, "no element of it may be named snd-host-door"))?;
    let ghost = gst::GhostPad::with_target(&door).map_err(AudioError::Link)?;
    bin.add_pad(&ghost).map_err(AudioError::Link)?;
    Ok(bin)
}

/// What is put where audio can be made less loud; nothing if that is not wanted, because the element does not
/// know all formats that the rest lets pass unchanged.
const fn volume(level: Option<&Arc<Level>>) -> &'static str {
    if level.is_some() { "! volume name=snd-host-volume ! audioconvert" } else { "" }
}

/// A pipeline. Dropping it closes its devices.
#[derive(Debug)]
struct Pipeline {
    pipeline: gst::Pipeline,
    bus: gst::Bus,
    /// What makes it less loud, and how loud it shall be.
    volume: Option<(gst::Element, Arc<Level>)>,
}

impl Pipeline {
    /// A pipeline of two elements, audio going from the first to the second, with the `level` that a
    /// [`volume`] among them shall have.
    fn new(from: &gst::Element, to: &gst::Element, level: Option<&Arc<Level>>) -> Result<Self, AudioError> {
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([from, to]).map_err(AudioError::Link)?;
        from.link(to).map_err(AudioError::Link)?;
        let bus = pipeline.bus().ok_or_else(|| AudioError::Failed("a pipeline without a bus".into()))?;
        let volume = pipeline.by_name("snd-host-volume").zip(level.cloned());
        Ok(Self { pipeline, bus, volume })
    }

    fn set_state(&self, state: gst::State) -> Result<gst::StateChangeSuccess, AudioError> {
        // The bus knows more.
        let failed = |error: gst::StateChangeError| match self.check() {
            Err(error) => error,
            Ok(_) => AudioError::Failed(error.to_string()),
        };
        self.pipeline.set_state(state).map_err(failed)
    }

    /// Follows the level, and looks for trouble that has been reported. Returns whether the audio has come to its
    /// end.
    fn check(&self) -> Result<bool, AudioError> {
        use gst::MessageType::{ClockLost, Eos, Error, Warning};
        if let Some((element, level)) = &self.volume {
            element.set_property("volume", level.gain());
        }
        let mut ended = false;
        while let Some(message) = self.bus.pop_filtered(&[Error, Warning, ClockLost, Eos]) {
            match message.view() {
                gst::MessageView::Error(error) => return Err(failure(error)),
                gst::MessageView::Warning(warning) => warn!("GStreamer warns: {}", warning.error()),
                gst::MessageView::ClockLost(_) => {
                    info!("the pipeline's clock is gone; taking another");
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
            warn!("a pipeline does not close: {error}");
        }
    }
}

/// What the guest's audio is, in GStreamer's words.
fn caps(params: &Params, channels: &Channels) -> gst::Caps {
    let caps = gst::Caps::builder("audio/x-raw")
        .field("format", params.format.gst_name)
        .field("layout", "interleaved")
        .field("rate", i32::try_from(params.rate).unwrap_or(i32::MAX))
        .field("channels", i32::from(params.channels));
    // One or two channels need no mask to be understood.
    if params.channels > 2 { caps.field("channel-mask", gst::Bitmask::new(channels.mask())) } else { caps }
        .build()
}

/// Makes the elements of a sink or a source fit for the purpose, as far as that is not for the user to decide.
fn tune(bin: &gst::Bin, latency: Duration) {
    for element in bin.iterate_sinks().into_iter().flatten() {
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
    bin.connect_deep_element_added(move |_, _, element| {
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

fn failure(message: &gst::message::Error) -> AudioError {
    let debug = message.debug().map(|debug| format!(" ({debug})"));
    AudioError::Failed(format!("{}{}", message.error(), debug.unwrap_or_default()))
}

fn clock_time(duration: Duration) -> gst::ClockTime {
    // Enough for five hundred years.
    gst::ClockTime::from_nseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1))
}

#[cfg(test)]
mod tests {
    use gstreamer_audio::{AudioFormat, AudioFormatInfo};

    use super::samples;
    use crate::pcm::tests::of_every_format;

    #[test]
    fn samples_have_the_size_and_the_silence_that_gstreamer_says() {
        gstreamer::init().unwrap();
        for params in of_every_format() {
            let format: AudioFormat = params.format.gst_name.parse().unwrap();
            let info = AudioFormatInfo::from_format(format);
            assert_eq!(info.width(), params.frame_bytes() / u32::from(params.channels) * 8, "{format}");
            let mut silence = vec![0xee; params.frame_bytes() as usize];
            info.fill_silence(&mut silence);
            let mut ours = params.silence();
            samples::to_host(&params, &mut ours);
            assert_eq!(ours, silence, "{format}");
        }
    }
}
