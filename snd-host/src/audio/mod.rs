//! The host's side: audio is played and recorded through GStreamer.
//!
//! An [`Output`] is the host's side of a take that plays. It takes audio at any time, feeds the
//! sink, and never blocks. A thread of its own opens the sink, notices when the sink fails, and
//! closes the sink. The thread starts with the first audio, so that a guest which only probes its
//! sound card does not open the sink. The thread outlives the [`Output`] until the remaining audio
//! has been heard. An [`Input`] has such a thread for its source.
//!
//! ```text
//! event loop   Output ──▶ PlaybackBuffer ──▶ Feeder ──▶ GStreamer
//!                │                             ▲
//!                └─ mode ─┆──▶ player ──▶ Sink ┘
//!              Input ◀─── CaptureBuffer ◀┆── recorder ◀── Source ◀── GStreamer
//!                         ┆  a thread for each take
//! ```

mod blocks;
mod capture_buffer;
mod crossfade;
mod descriptions;
mod error;
mod feeding;
mod gstreamer;
mod host_audio;
mod input;
mod level;
mod link;
mod mode;
mod output;
mod permit;
mod pipeline_config;
mod playback_buffer;
mod player;
mod probe;
mod recorder;
mod retry;
mod shared;
mod short_form;
mod timeline;

pub use self::error::AudioError;
pub use self::short_form::ShortFormError;

pub(crate) use self::blocks::BLOCKS_PER_SECOND;
pub(crate) use self::capture_buffer::Counts;
pub(crate) use self::gstreamer::devices::{HostDevice, list as list_devices};
pub(crate) use self::host_audio::{HostAudio, HostAudioConfig};
pub(crate) use self::input::Input;
pub(crate) use self::level::Level;
pub(crate) use self::output::{AudioOutput, Output};
pub(crate) use self::playback_buffer::{Ending, max_buffered_bytes};
pub(crate) use self::probe::Finding;
pub(crate) use self::short_form::Role;

#[cfg(test)]
pub(crate) use self::{
    feeding::{Fed, feed, low},
    mode::Mode,
    output::Heard,
    playback_buffer::PlaybackBuffer,
    timeline::Timeline,
};
