//! A virtio sound card as a vhost-user back-end, which plays and records through GStreamer.
//!
//! This library is the card process, and what the card process shares with the audio process, whose
//! program is `snd-host-audio`. Only that program uses GStreamer.
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
//! - `audio`: passes the frames to and from the audio process, and keeps that process running.
//! - [`playout`]: what the audio process gives to a sink, and when.
//! - [`wire`]: the messages and the shared memory between the two processes.
//! - [`pcm`], [`speakers`], [`spec`], and others without state: formats, channel maps, the
//!   structures of the standard.
//!
//! The event loop never blocks. Only the audio process opens, starts and closes pipelines.
//!
//! A *take* is what a stream plays or records from PREPARE to RELEASE. The way of its audio:
//!
//! ```text
//! TX queue ──▶ Queue::pop ──▶ Playback::accept ──▶ Output ──▶ ring ┆──▶ player ──▶ sink
//!    ▲                            │ pending            │ progress  ┆
//!    └── complete_all ◀───────── Playback::take_due ◀── Pacer      ┆ the audio process
//!                                                                  ┆
//! RX queue ──▶ Queue::pop ──▶ Capture::accept      Input ◀── ring ◀┆── recorder ◀── source
//!    ▲                            │ pending            │ audio, progress
//!    └── complete_all ◀───────── Capture::complete_due ◀── Pacer
//! ```

mod audio;
mod card;
pub mod limits;
mod mmap;
mod options;
pub mod pcm;
pub mod playout;
mod process;
pub mod realtime;
mod sample_format;
mod scheduler;
#[cfg(test)]
mod simulation;
pub mod speakers;
pub mod spec;
mod stream;
pub mod timeline;
mod vhost_user;
pub mod wire;

pub use audio::{AudioError, audio_program, end_with_card, launch};
pub use options::{RingFormat, Streams, StreamsError};
pub use process::{
    Args, CAPABILITIES, Command, ListenError, SandboxError, ServeError, Writable, end_on_panic,
    enter_sandbox, init_log, serve,
};
pub use sample_format::{FORMATS, Format};
