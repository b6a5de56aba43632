//! What the host's source gives arrives at the guest: all of it, once, in order, unchanged.

use std::fs;

use crate::support::{
    BYTES, Daemon, FORMATS, FRAMES, Format, Guest, OK, Recorded, counting, counting_period, logged_number,
    words, write_counting_wav,
};
use snd_host::spec::{RX_QUEUE, request};

/// The stream that records.
const STREAM: u32 = 1;

/// The number of messages in flight.
const AHEAD: u32 = 4;

/// A source that reads a WAV file.
const FILE: &str = "filesrc location={}/in.wav ! wavparse";

/// Starts a daemon whose source reads a WAV file with `frames` frames of the counting pattern.
fn daemon_with(source: &str, frames: u32) -> Daemon {
    let daemon = Daemon::start_with(&["--sink", "filesink location={}/out sync=true", "--source", source]);
    write_counting_wav(&daemon, "in.wav", frames);
    daemon
}

/// Audio that a guest has recorded.
#[derive(Default)]
struct Recording(Vec<u8>);

impl Recording {
    /// Records from a running stream until `enough`. All messages have come back then.
    fn record_until(&mut self, guest: &mut Guest, enough: impl Fn(&Self) -> bool) {
        (0..AHEAD).for_each(|_| guest.record(STREAM, BYTES));
        let mut left = AHEAD;
        while left > 0 {
            let Recorded { status, audio, .. } = guest.recorded();
            assert_eq!((status, audio.len()), (OK, BYTES as usize));
            self.0.extend(audio);
            if enough(self) {
                left -= 1;
            } else {
                guest.record(STREAM, BYTES);
            }
        }
    }

    /// Returns the audible frames. The counting pattern has no silent frame.
    fn audible(&self) -> Vec<u8> {
        self.0.chunks(4).filter(|frame| **frame != [0; 4]).flatten().copied().collect()
    }

    /// Returns the number of silent frames.
    fn silent(&self) -> usize {
        self.0.len() / 4 - self.audible().len() / 4
    }

    /// Asserts that the audible frames are the counting pattern from its first frame on, and
    /// returns their number.
    fn assert_counts(&self) -> u32 {
        let audible = self.audible();
        let frames = u32::try_from(audible.len()).unwrap() / 4;
        assert!(audible == counting(0..frames), "{frames} frames are lost, repeated or out of order");
        frames
    }
}

/// Asserts that the daemon's log accounts for each silent frame of the released recording.
///
/// A busy machine may leave the source without a processor; the guest gets silence then. Each such
/// frame is counted, so no other frame may be silent.
fn assert_silence_is_logged(daemon: &Daemon, recording: &Recording) {
    let summary = daemon.wait_for("released:");
    assert_eq!(logged_number(&summary, "silent"), recording.silent(), "{summary}");
    assert_eq!(logged_number(&summary, "dropped"), 0, "{summary}");
}

#[test]
fn a_file_arrives_whole_once_and_in_order() {
    for format in FORMATS {
        let daemon = daemon_with(FILE, 60 * FRAMES);
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(STREAM, AHEAD);
        let mut recording = Recording::default();
        guest.start(STREAM);
        recording.record_until(&mut guest, |recording| recording.audible().len() >= 50 * BYTES as usize);
        guest.finish(STREAM);
        assert!(recording.assert_counts() >= 50 * FRAMES, "{format:?}");
        assert_silence_is_logged(&daemon, &recording);
    }
}

#[test]
fn a_source_may_detect_its_own_format() {
    let daemon = daemon_with("filesrc location={}/in.wav ! decodebin", 60 * FRAMES);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(STREAM, AHEAD);
    let mut recording = Recording::default();
    guest.start(STREAM);
    recording.record_until(&mut guest, |recording| !recording.audible().is_empty());
    guest.finish(STREAM);
    recording.assert_counts();
}

#[test]
fn silence_follows_the_end_of_a_source() {
    let daemon = daemon_with(FILE, 10 * FRAMES);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(STREAM, AHEAD);
    let mut recording = Recording::default();
    guest.start(STREAM);
    recording.record_until(&mut guest, |recording| recording.audible().len() >= 10 * BYTES as usize);
    let whole = recording.0.len();
    recording.record_until(&mut guest, |recording| recording.0.len() >= whole + 10 * BYTES as usize);
    guest.finish(STREAM);
    assert_eq!(recording.assert_counts(), 10 * FRAMES);
    assert!(recording.0[whole..].iter().all(|byte| *byte == 0));
}

#[test]
fn without_a_source_there_is_silence() {
    for (source, form, silence) in [
        ("filesrc location={}/nothing ! wavparse", 0x0007_0502, 0),
        ("filesrc location={}/nothing ! wavparse", 0x0007_0404, 0x80),
        ("appsrc caps=audio/x-raw,format=S16LE,rate=48000,channels=2", 0x0007_0502, 0),
    ] {
        let daemon = Daemon::start_with(&["--source", source]);
        let mut guest = Guest::connect(&daemon, Format::Split);
        let set_params = [request::PCM_SET_PARAMS, STREAM, 4 * BYTES, BYTES, 0, form];
        guest.must(&words(&set_params));
        guest.must(&words(&[request::PCM_PREPARE, STREAM]));
        let mut recording = Recording::default();
        guest.start(STREAM);
        recording.record_until(&mut guest, |recording| recording.0.len() >= 17 * BYTES as usize);
        guest.finish(STREAM);
        assert_eq!(recording.0, vec![silence; 20 * BYTES as usize]);
    }
}

#[test]
fn messages_wait_for_start_and_come_back_empty_at_release() {
    let daemon = Daemon::start_with(&["--source", "audiotestsrc"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(STREAM, AHEAD);
    (0..4).for_each(|_| guest.record(STREAM, BYTES));
    guest.pcm_info();
    assert!(!guest.has_returned(RX_QUEUE));
    guest.must(&words(&[request::PCM_RELEASE, STREAM]));
    for _ in 0..4 {
        assert_eq!(guest.recorded(), Recorded { status: OK, latency_bytes: 0, audio: vec![] });
    }
}

#[test]
fn a_pause_of_a_recording_loses_nothing() {
    let daemon = daemon_with(FILE, 60 * FRAMES);
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(STREAM, AHEAD);
    let mut recording = Recording::default();
    guest.start(STREAM);
    recording.record_until(&mut guest, |recording| recording.audible().len() >= 20 * BYTES as usize);
    guest.must(&words(&[request::PCM_STOP, STREAM]));
    guest.start(STREAM);
    recording.record_until(&mut guest, |recording| recording.audible().len() >= 30 * BYTES as usize);
    guest.finish(STREAM);
    recording.assert_counts();
    assert_silence_is_logged(&daemon, &recording);
}

#[test]
fn a_pause_of_the_machine_loses_no_recorded_frame() {
    for format in FORMATS {
        let daemon = daemon_with(FILE, 60 * FRAMES);
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(STREAM, 8);
        (0..8).for_each(|_| guest.record(STREAM, BYTES));
        // The messages are taken before a request is answered. Before START they stay in flight, so
        // the device gives them back instead of returning them.
        guest.pcm_info();
        guest.stop_queues();
        assert!(!guest.has_returned(RX_QUEUE));
        guest.start_queues();
        guest.start(STREAM);
        let mut recording = Recording(guest.recorded().audio);
        guest.stop_queues();
        guest.start_queues();
        (0..7).for_each(|_| recording.0.extend(guest.recorded().audio));
        assert_eq!(recording.0.len(), 8 * BYTES as usize);
        recording.record_until(&mut guest, |recording| !recording.audible().is_empty());
        guest.finish(STREAM);
        recording.assert_counts();
        assert_silence_is_logged(&daemon, &recording);
    }
}

#[test]
fn a_guest_plays_while_it_records() {
    let daemon = daemon_with(FILE, 60 * FRAMES);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(0, 4);
    (0..4).for_each(|index| guest.play(0, &counting_period(index)));
    guest.prepare(STREAM, AHEAD);
    (0..4).for_each(|_| guest.record(STREAM, BYTES));
    guest.start(0);
    guest.start(STREAM);
    let mut recording = Recording::default();
    for index in 4..30 {
        recording.0.extend(guest.recorded().audio);
        guest.record(STREAM, BYTES);
        assert_eq!(guest.played().status, OK);
        guest.play(0, &counting_period(index));
    }
    (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
    guest.finish(STREAM);
    guest.finish(0);
    recording.assert_counts();
    assert!(fs::read(daemon.end().path().join("out")).unwrap() == counting(0..30 * FRAMES));
}

/// Each attempt of `pulsesrc` that fails leaves a thread and two files behind in GStreamer.
#[test]
fn rounds_without_a_sound_server_leave_few_threads_and_files_behind() {
    const ROUNDS: usize = 200;
    let daemon = Daemon::start_with(&["--source", "pulsesrc server=unix:/no/such/socket"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.pcm_info();
    let before = daemon.usage();
    for _ in 0..ROUNDS {
        guest.prepare(1, 2);
        guest.record(1, BYTES);
        guest.start(1);
        assert_eq!(guest.recorded().audio, vec![0; BYTES as usize]);
        guest.finish(1);
    }
    let after = daemon.usage();
    eprintln!("from {before:?} to {after:?}");
    // The threads and files of takes that have not ended yet count as well.
    assert!(after.threads < before.threads + ROUNDS / 4, "{before:?} {after:?}");
    assert!(after.files < before.files + ROUNDS / 2, "{before:?} {after:?}");
}

#[test]
fn without_a_source_on_the_command_line_a_guest_records_silence() {
    let daemon = Daemon::start_with(&["--sink", "fakesink"]);
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(1, 4);
    (0..AHEAD).for_each(|_| guest.record(1, BYTES));
    guest.start(1);
    for _ in 0..AHEAD {
        let expected = Recorded { status: OK, latency_bytes: 0, audio: vec![0; BYTES as usize] };
        assert_eq!(guest.recorded(), expected);
    }
    assert!(!daemon.threads().iter().any(|thread| thread.starts_with("Name:\taudio")), "nothing is opened");
    guest.finish(1);
}
