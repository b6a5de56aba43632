//! A virtio sound card as a vhost-user back-end, which plays and records through GStreamer.
//!
//! From the socket to the sink:
//!
//! - `listen` opens the socket;
//! - `sandbox` gives up what playing does not need;
//! - [`serve`](serve()) runs one session after the other on `vhost-user-backend`, which speaks
//!   the protocol and runs the event loop;
//! - `backend` says what is offered, and passes everything on to `device`: the queues (`queue`, on
//!   ring-core) and the `card`, moved on by one function that never waits;
//! - `control` answers requests and keeps the life of each `stream`, without doing anything itself;
//!   `pcm` knows formats and counts frames;
//! - `playback` and `capture` hold a stream's messages until they are played or full; when that is,
//!   `pacing` decides;
//! - `audio` takes the frames to and from GStreamer, in a thread that may wait as long as it takes.
//!
//! The structures of the standard are in [`spec`].

mod audio;
mod card;
mod limits;
mod options;
mod pcm;
mod process;
mod speakers;
pub mod spec;
mod stream;
mod vhost_user;
mod waker;

pub use audio::AudioError;
pub use options::{RingFormat, Streams, StreamsError};
pub use process::{Args, CAPABILITIES, ListenError, SandboxError, ServeError, serve};
