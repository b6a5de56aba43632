//! The configuration of a pipeline.

use std::sync::Arc;
use std::time::Duration;

use super::level::Level;
use crate::pcm::Params;
use crate::realtime::RealTime;

/// What a thread needs to know to open a sink or a source.
#[derive(Debug)]
pub(super) struct PipelineConfig {
    pub(super) description: String,
    /// How much audio a sink is given ahead of what is heard. Audio in the sink cannot be taken
    /// back. Also the size of the buffer of elements that GStreamer selects.
    pub(super) latency: Duration,
    pub(super) params: Params,
    /// The level, if the guest has control elements.
    pub(super) level: Option<Arc<Level>>,
    /// How the host's mixer shows the stream; `None` leaves that to GStreamer.
    pub(super) label: Option<Label>,
    /// The priority of GStreamer's threads.
    pub(super) realtime: RealTime,
}

/// How the host's mixer shows a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// The name of the virtual machine, which the sound server takes for an application.
    pub(super) machine: String,
    /// The name of the stream.
    pub(super) stream: String,
}
