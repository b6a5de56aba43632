//! Descriptions of GStreamer pipelines.

/// The descriptions of the sink and the source.
#[derive(Clone, Debug)]
pub(crate) struct Descriptions {
    pub(crate) sink: String,
    /// `None` if the guest records silence.
    pub(crate) source: Option<String>,
}

impl Descriptions {
    /// Replaces `{stream}` by the number of the stream, and `{take}` by the number of the take.
    pub(crate) fn fill_in(&self, stream: u32, take: u64) -> Self {
        let fill_in = |description: &str| {
            description.replace("{stream}", &stream.to_string()).replace("{take}", &take.to_string())
        };
        Self { sink: fill_in(&self.sink), source: self.source.as_deref().map(fill_in) }
    }
}
