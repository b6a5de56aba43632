//! Trying a sink or a source without a guest.

use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::pipeline::Pipeline;
use super::{Sink, Source};
use super::{bin, sink, source};
use crate::error::AudioError;
use crate::pipeline_config::PipelineConfig;
use crate::short_form::Role;
use snd_host::playout::Fed as _;

/// How much silence a trial plays.
pub(crate) const SILENCE: Duration = Duration::from_millis(200);

/// How long a sink may take to play the silence, and a source to deliver audio.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often audio of a source is looked for.
const TICK: Duration = Duration::from_millis(10);

/// Opens the device of a sink or a source, and closes it again. Plays and records nothing. Returns
/// the name of the element with the device.
///
/// Does not open a sink that is not an audio device, because opening a file would truncate the
/// file.
pub(crate) fn open(config: &PipelineConfig, role: Role) -> Result<String, AudioError> {
    let bin = match role {
        Role::Sink => sink::parse(&config.description, "")?,
        Role::Source => source::parse(&config.description, "")?,
    };
    bin::tune(&bin, config.latency, config.label.as_ref());
    let pipeline = Pipeline::new(&[bin.upcast_ref()], config.realtime, || {})?;
    if role == Role::Source || bin.iterate_sinks().into_iter().flatten().all(|sink| is_audio_device(&sink)) {
        pipeline.set_state(gst::State::Ready)?;
    }
    Ok(device(&pipeline.pipeline, role).map_or_else(String::new, |element| name(&element)))
}

/// Plays silence. Returns the name of the sink's element and the format that it plays.
pub(crate) fn play(config: &PipelineConfig) -> Result<(String, String), AudioError> {
    let params = &config.params;
    let mut sink = Sink::open(config, 0, || {})?;
    let frames = usize::try_from(params.frames_in(SILENCE)).unwrap_or(0);
    sink.feeder_mut().push(0, params.silence().repeat(frames).as_slice().into());
    sink.play()?;
    // The format is known once the sink has taken audio; all of it is taken before the end.
    sink.drain(TIMEOUT)?;
    let element = device(sink.pipeline(), Role::Sink);
    Ok(element.map(|element| (name(&element), format(&element))).unwrap_or_default())
}

/// Records until there is audio. Returns the name of the source's element.
pub(crate) fn record(config: &PipelineConfig) -> Result<String, AudioError> {
    let (arrived, heard) = mpsc::channel();
    let source = Source::open(
        config,
        || {},
        move |_: &[u8]| {
            // Fails if the trial is over.
            let _ = arrived.send(());
        },
    )?;
    source.record()?;
    let start = Instant::now();
    while heard.recv_timeout(TICK).is_err() && source.pull().is_none() {
        source.check()?;
        if start.elapsed() > TIMEOUT {
            return Err(AudioError::Failed(format!("the source has delivered no audio within {TIMEOUT:?}")));
        }
    }
    Ok(device(source.pipeline(), Role::Source).map_or_else(String::new, |element| name(&element)))
}

/// Returns the files of the `filesink` elements of a sink.
pub(crate) fn files(description: &str) -> Result<Vec<PathBuf>, AudioError> {
    let elements = sink::parse(description, "")?.iterate_recurse().into_iter().flatten();
    let files = elements.filter(|element| name(element) == "filesink");
    Ok(files.filter_map(|file| file.property::<Option<String>>("location")).map(PathBuf::from).collect())
}

/// Finds the element with the device: a sink or a source that is neither a bin nor the guest's end.
fn device(pipeline: &gst::Pipeline, role: Role) -> Option<gst::Element> {
    let (flag, guests) = match role {
        Role::Sink => (gst::ElementFlags::SINK, "appsink"),
        Role::Source => (gst::ElementFlags::SOURCE, "appsrc"),
    };
    let mut all = pipeline.iterate_recurse().into_iter().flatten();
    all.find(|element| {
        element.element_flags().contains(flag) && !element.is::<gst::Bin>() && name(element) != guests
    })
}

fn is_audio_device(sink: &gst::Element) -> bool {
    let class = sink.factory().and_then(|factory| factory.metadata("klass").map(str::to_owned));
    class.is_some_and(|class| class.contains("Audio")) || name(sink) == "pipewiresink"
}

fn name(element: &gst::Element) -> String {
    element.factory().map_or_else(String::new, |factory| factory.name().to_string())
}

/// Returns the format that a sink plays.
fn format(sink: &gst::Element) -> String {
    let caps = sink.static_pad("sink").and_then(|pad| pad.current_caps());
    let format = caps.as_ref().and_then(|caps| caps.structure(0)).and_then(|audio| {
        let name = audio.get::<String>("format").ok()?;
        let (rate, channels) = (audio.get::<i32>("rate").ok()?, audio.get::<i32>("channels").ok()?);
        Some(format!("{name}, {channels} channels, {rate} Hz"))
    });
    format.unwrap_or_else(|| "an encoded stream".to_owned())
}
