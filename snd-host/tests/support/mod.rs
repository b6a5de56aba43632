//! A virtual machine without QEMU: a vhost-user front-end and a guest's driver, which talk to
//! snd-host in a child process. Tests and benchmarks share this module.

mod daemon;
mod machine;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::time::Duration;

use snd_host::spec::{RX_QUEUE, Status, request};

pub(crate) use daemon::{Daemon, PROGRAM};
pub(crate) use machine::{
    FORMATS, Format, Guest, MEMORY_END, Played, Recorded, TX_AREAS, TX_QUEUE_SIZE, VMM_OFFSET,
};

/// The deadline of every wait. Only a hang takes this long, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Frames of a period of 10 ms at 48 kHz.
pub(crate) const FRAMES: u32 = 480;
/// Bytes of that period: S16 stereo.
pub(crate) const BYTES: u32 = FRAMES * 4;

/// The status of a request or message that succeeded.
pub(crate) const OK: u32 = Status::Ok as u32;

/// Returns the status in an answer.
pub(crate) fn status_of(answer: &[u8]) -> u32 {
    u32::from_le_bytes(answer[..4].try_into().unwrap())
}

/// Returns the bytes of a control request or header that consists of `words`.
pub(crate) fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Returns SET_PARAMS for S16 stereo at 48 kHz on stream 0.
pub(crate) fn set_params(buffer_bytes: u32, period_bytes: u32) -> Vec<u8> {
    set_params_of(0, buffer_bytes, period_bytes)
}

/// Returns SET_PARAMS for S16 stereo at 48 kHz.
pub(crate) fn set_params_of(stream: u32, buffer_bytes: u32, period_bytes: u32) -> Vec<u8> {
    words(&[request::PCM_SET_PARAMS, stream, buffer_bytes, period_bytes, 0, 0x0007_0502])
}

/// Returns frames of S16 stereo that each hold their number. None of them is silent.
pub(crate) fn counting(frames: Range<u32>) -> Vec<u8> {
    frames.flat_map(|frame| words(&[frame & 0x7fff | ((frame >> 15) + 1000) << 16])).collect()
}

/// Returns the number that a frame of the counting pattern holds; `None` for silence.
pub(crate) fn frame_number(frame: &[u8; 4]) -> Option<u32> {
    let word = u32::from_le_bytes(*frame);
    (word != 0).then(|| word & 0x7fff | (word >> 16).wrapping_sub(1000) << 15)
}

/// Returns period number `index` of the counting pattern.
pub(crate) fn counting_period(index: u32) -> Vec<u8> {
    counting(index * FRAMES..(index + 1) * FRAMES)
}

/// Returns the number after `name=` in a line of the log.
pub(crate) fn logged_number(line: &str, name: &str) -> usize {
    let number = line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in: {line}"))
}

/// Writes `frames` frames of the counting pattern to a WAV file in the daemon's directory.
pub(crate) fn write_counting_wav(daemon: &Daemon, name: &str, frames: u32) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(daemon.path(name), spec).unwrap();
    for sample in counting(0..frames).as_chunks().0 {
        wav.write_sample(i16::from_le_bytes(*sample)).unwrap();
    }
    wav.finalize().unwrap();
}

/// Returns a local address with a free port. No other process is expected to take the port.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// Records a period with a buffer of `buffer` periods, stops the receive queue for at least the
/// length of `pause` periods, and returns the next period that is recorded.
pub(crate) fn record_after_pause(guest: &mut Guest, buffer: u32, pause: u32) -> Recorded {
    guest.prepare(1, buffer);
    guest.record(1, BYTES);
    guest.start(1);
    assert_eq!(guest.recorded().status, OK);
    guest.stop_queue(RX_QUEUE);
    // The pause lasts at least as long as this audio.
    guest.prepare(0, 4);
    guest.start(0);
    (0..pause).for_each(|_| guest.play_period());
    guest.finish(0);
    guest.start_queue(RX_QUEUE, |_| {});
    guest.record(1, BYTES);
    let recorded = guest.recorded();
    assert_eq!(recorded.status, OK);
    guest.finish(1);
    recorded
}
