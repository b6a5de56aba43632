//! A virtual machine without a machine: a vhost-user front-end and a guest's driver, against the daemon as a
//! child process.

mod daemon;
mod machine;

use std::time::Duration;

use snd_host::spec::{Status, request};

pub(crate) use daemon::{Daemon, PROGRAM};
pub(crate) use machine::{
    FORMATS, Format, Guest, MEMORY_END, Played, Recorded, TX_AREAS, TX_QUEUE_SIZE, VMM_OFFSET,
};

/// How long anything may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// Frames of a period of 10 ms, and its bytes: S16 stereo at 48 kHz.
pub(crate) const FRAMES: u32 = 480;
pub(crate) const BYTES: u32 = FRAMES * 4;

/// The status of what has gone well.
pub(crate) const OK: u32 = Status::Ok as u32;

/// The status in an answer.
pub(crate) fn status_of(answer: &[u8]) -> u32 {
    u32::from_le_bytes(answer[..4].try_into().unwrap())
}

/// A control request or header, from its words.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// SET_PARAMS for S16 stereo at 48 kHz, on stream 0.
pub(crate) fn set_params(buffer_bytes: u32, period_bytes: u32) -> Vec<u8> {
    set_params_of(0, buffer_bytes, period_bytes)
}

/// SET_PARAMS for S16 stereo at 48 kHz.
pub(crate) fn set_params_of(stream: u32, buffer_bytes: u32, period_bytes: u32) -> Vec<u8> {
    words(&[request::PCM_SET_PARAMS, stream, buffer_bytes, period_bytes, 0, 0x0007_0502])
}

/// Frames of S16 stereo that each hold their number.
pub(crate) fn counting(frames: std::ops::Range<u32>) -> Vec<u8> {
    frames.flat_map(|frame| words(&[frame & 0x7fff | ((frame >> 15) + 1000) << 16])).collect()
}
