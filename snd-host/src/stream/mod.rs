//! Streams: their life cycle, and their messages from the time they are accepted until they are
//! completed.

mod capture;
mod lifecycle;
mod message;
mod pacer;
mod pending;
mod playback;
mod stats;

pub(crate) use self::capture::Capture;
pub(crate) use self::lifecycle::{Command, Direction, State, Stream};
pub(crate) use self::message::{Completion, Message, payload, stream_id};
pub(crate) use self::playback::Playback;
