//! The audio process of snd-host is killed, stopped or crashes while a real guest plays and
//! records.

mod crashes;
mod gaps;
mod session;
mod signals;

/// The number of bytes of a frame.
const FRAME: u64 = 4;

/// The longest gap after the audio process was killed, in frames: 500 ms.
const KILLED: i64 = 24_000;
/// The longest gap after the audio process was stopped, which has to be noticed first: 2 s.
const STOPPED: i64 = 96_000;
