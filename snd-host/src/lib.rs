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
//! - `control` answers requests and keeps the life of each `stream`, without doing anything itself; `pcm` knows
//!   formats and counts frames;
//! - `playback` and `capture` hold a stream's messages until they are played or full; when that is, `pacing`
//!   decides;
//! - `audio` takes the frames to and from GStreamer, in a thread that may wait as long as it takes.
//!
//! The structures of the standard are in [`spec`].

mod args;
mod audio;
mod backend;
mod backlog;
mod capabilities;
mod capture;
mod card;
mod control;
mod device;
mod elements;
mod events;
mod io;
mod layout;
mod limits;
mod listen;
mod pacing;
mod pcm;
mod playback;
mod queue;
mod sandbox;
mod serve;
mod signals;
mod speakers;
pub mod spec;
mod stats;
mod stream;
mod timer;
mod vring;
mod waker;

pub use args::{Args, RingFormat, Streams};
pub use audio::AudioError;
pub use capabilities::CAPABILITIES;
pub use listen::ListenError;
pub use sandbox::SandboxError;
pub use serve::{ServeError, serve};
