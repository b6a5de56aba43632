//! A virtio sound card as a vhost-user back-end, which plays and records through GStreamer.
//!
//! The modules are layers: each uses only the modules below it.
//!
//! - `process`: the command line, the socket, signals and the sandbox; one session after another.
//! - `vhost_user`: the device as the front-end and the driver see it. `vhost-user-backend` speaks
//!   the protocol and runs the event loop, vhost-ring has the queues.
//! - `card`: the streams and control elements. Control requests are answered without side effects;
//!   an answer says what has to be done.
//! - `stream`: the life cycle of a stream, and its messages from acceptance to completion. A pacer
//!   decides when a message is completed.
//! - `audio`: takes the frames to and from GStreamer. A thread for each take opens the pipeline.
//! - `pcm`, `speakers`, [`spec`], and others without state: formats, channel maps, the structures
//!   of the standard.
//!
//! The event loop never blocks. Only the threads in `audio` open, start and close pipelines, and
//! only they can block.
//!
//! A *take* is what a stream plays or records from PREPARE to RELEASE. The way of its audio:
//!
//! ```text
//! TX queue ──▶ Queue::pop ──▶ Playback::accept ──▶ Output ──▶ Feeder ──▶ sink
//!    ▲                            │ pending            │ progress
//!    └── complete_all ◀───────── Playback::take_due ◀── Pacer
//!
//! RX queue ──▶ Queue::pop ──▶ Capture::accept      Input ◀── Tap ◀── source
//!    ▲                            │ pending            │ audio, progress
//!    └── complete_all ◀───────── Capture::complete_due ◀── Pacer
//! ```

mod audio;
mod card;
mod limits;
mod options;
mod pcm;
mod process;
mod realtime;
mod sample_format;
#[cfg(test)]
mod simulation;
mod speakers;
pub mod spec;
mod stream;
mod vhost_user;

pub use audio::{AudioError, ShortFormError};
pub use options::{RingFormat, Streams, StreamsError};
pub use process::{
    Args, CAPABILITIES, Command, Devices, ListenError, LogLimit, SandboxError, ServeError, check, serve,
};
