//! Streams: their life cycle, and their messages from acceptance to completion.
//!
//! A *take* is what a stream plays or records from PREPARE to RELEASE.

mod capture;
mod given;
mod high_water;
mod lifecycle;
mod message;
mod pacer;
mod pending;
mod playback;
mod stats;
mod take;

pub(crate) use self::lifecycle::{Command, Direction, State, Stream};
pub(crate) use self::message::{Completion, Message, stream_id};
#[cfg(test)]
pub(crate) use self::playback::Playback;
pub(crate) use self::take::Take;
