//! A virtio sound card as a vhost-user back-end, which plays through GStreamer.
//!
//! From the socket to the sink:
//!
//! - `listen` opens the socket;
//! - `sandbox` gives up what playing does not need;
//! - [`serve`](serve()) runs one session after the other on `vhost-user-backend`, which speaks
//!   the protocol and runs the event loop;
//! - `backend` says what is offered, and passes everything on to `device`: the queues (`queue`, on
//!   ring-core) and the `card`, moved on by one function that never waits;
//! - `control` answers requests and keeps the life of each `stream`, without doing anything itself; `pcm` knows
//!   formats and counts frames;
//! - `playback` holds a stream's messages until they are played; when that is, `pacing` decides;
//! - `audio` takes the frames to GStreamer, in a thread that may wait for the sink as long as it takes.
//!
//! The structures of the standard are in [`spec`].

mod args;
mod audio;
mod backend;
mod capabilities;
mod card;
mod control;
mod device;
mod io;
mod limits;
mod listen;
mod pacing;
mod pcm;
mod playback;
mod queue;
mod sandbox;
mod serve;
mod signals;
pub mod spec;
mod stats;
mod stream;
mod timer;
mod vring;

pub use args::{Args, RingFormat};
pub use audio::SinkError;
pub use capabilities::CAPABILITIES;
pub use listen::ListenError;
pub use sandbox::SandboxError;
pub use serve::{ServeError, serve};
