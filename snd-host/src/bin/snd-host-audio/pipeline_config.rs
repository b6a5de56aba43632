//! The configuration of a pipeline.

use std::time::Duration;

use snd_host::pcm::Params;
use snd_host::realtime::RealTime;

/// What a thread needs to know to open a sink or a source.
#[derive(Debug)]
pub(crate) struct PipelineConfig {
    pub(crate) description: String,
    /// How much audio a sink is given ahead of what is heard. Audio in the sink cannot be taken
    /// back. Also the size of the buffer of elements that GStreamer selects.
    pub(crate) latency: Duration,
    pub(crate) params: Params,
    /// Whether the guest can change the level.
    pub(crate) has_level: bool,
    /// How the host's mixer shows the stream; `None` leaves that to GStreamer.
    pub(crate) label: Option<Label>,
    /// The priority of GStreamer's threads.
    pub(crate) realtime: RealTime,
}

/// How the host's mixer shows a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// The name of the virtual machine, which the sound server takes for an application.
    pub(crate) machine: String,
    /// The name of the stream.
    pub(crate) stream: String,
}
