//! What the audio process gives to a sink, and when. No code here calls GStreamer.

mod crossfade;
mod feeding;
mod playback_buffer;

pub use self::feeding::{Ahead, Fed, feed};
pub use self::playback_buffer::PlaybackBuffer;

pub(crate) use self::feeding::low;
