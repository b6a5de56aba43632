//! What the card process and the audio process share: messages, and memory with rings of frames.
//!
//! The card process has guest memory, and the audio process runs GStreamer. Neither has the memory
//! of the other. Each take has an area of shared memory with a ring of its frames, and the words of
//! [`Field`]. Messages on a socket say which takes there are, and wake a take.
//!
//! ```text
//!  card process                      shared area of a take                    audio process
//!
//!  PlaybackWriter ── frames ──▶ ┌───────────────────────────────┐ ── frames ──▶ PlaybackReader
//!                 ── played ──▶ │ words of the card │ the audio │ ◀── progress ──
//!                               ├───────────────────────────────┤
//!                               │ ring of frames: frame number  │
//!                               │ n is at n modulo its capacity │
//!  CaptureReader ◀── frames ─── └───────────────────────────────┘ ◀── frames ── CaptureWriter
//! ```
//!
//! A ring is never full: the writing side overwrites the oldest frames, and so never waits for the
//! other process. Only a source that is not live, such as a file, waits for room. The reading side
//! looks at the positions after it has copied frames, and discards frames that may have been
//! overwritten meanwhile.
//!
//! The card process relies on nothing that the audio process writes: positions are clamped, and
//! wrong values only change what is heard.

mod capture_ring;
mod capture_writer;
mod channel;
mod clock;
mod fields;
mod mode;
mod packets;
mod playback_ring;
mod played;
mod progress;
mod ring;
mod shared_area;

pub use self::capture_ring::{CaptureReader, Counts};
pub use self::capture_writer::CaptureWriter;
pub use self::channel::{Channel, Received};
pub use self::clock::monotonic_nanos;
pub use self::fields::Field;
pub use self::mode::Mode;
pub use self::packets::{Direction, Launch, Opening, Order, Report, TakeId, Usage};
pub use self::playback_ring::{PlaybackReader, PlaybackWriter};
pub use self::played::Played;
pub use self::progress::{Progress, SinkProgress};
pub use self::shared_area::SharedArea;

pub(crate) use self::clock::SharedClock;
pub(crate) use self::fields::HEADER_BYTES;
#[cfg(test)]
pub(crate) use self::playback_ring::max_buffered_bytes;
pub(crate) use self::playback_ring::playback_ring_bytes;
