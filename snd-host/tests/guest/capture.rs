//! What the host's source gives arrives at the guest: all of it, once, in order, unchanged.

use crate::support::{BYTES, Daemon, FORMATS, FRAMES, Format, Guest, OK, Recorded, counting, words};
use snd_host::spec::{RX_QUEUE, request};

/// The stream that records.
const STREAM: u32 = 1;

/// How many messages are on their way.
const AHEAD: u32 = 4;

/// A source that gives what is in a WAV file.
const FILE: &str = "filesrc location={}/in.wav ! wavparse";

/// A daemon with a file for a source, which counts to `frames`.
fn daemon_with_file(frames: u32) -> Daemon {
    daemon_with(FILE, frames)
}

/// A daemon with a source that reads a file, which counts to `frames`.
fn daemon_with(source: &str, frames: u32) -> Daemon {
    let daemon = Daemon::start_with(&["--sink", "filesink location={}/out sync=true", "--source", source]);
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(daemon.path("in.wav"), spec).unwrap();
    for sample in counting(0..frames).as_chunks().0 {
        wav.write_sample(i16::from_le_bytes(*sample)).unwrap();
    }
    wav.finalize().unwrap();
    daemon
}

/// Records `periods` periods.
fn record(guest: &mut Guest, periods: u32) -> Vec<u8> {
    (0..AHEAD).for_each(|_| guest.record(STREAM, BYTES));
    guest.start(STREAM);
    let mut all = Vec::new();
    for index in 0..periods {
        let Recorded { status, audio, .. } = guest.recorded();
        assert_eq!((status, audio.len()), (OK, BYTES as usize), "period {index}");
        all.extend(audio);
        if index + AHEAD < periods {
            guest.record(STREAM, BYTES);
        }
    }
    all
}

/// What was recorded after the silence at its beginning: a source may take a moment.
fn sound(recorded: &[u8]) -> &[u8] {
    let start = recorded.chunks(4).position(|frame| frame != [0; 4]).unwrap_or_default();
    &recorded[start * 4..]
}

#[test]
fn a_file_arrives_without_gap_or_repetition() {
    for format in FORMATS {
        let daemon = daemon_with_file(60 * FRAMES);
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(STREAM, AHEAD);
        let recorded = record(&mut guest, 50);
        guest.finish(STREAM);
        let sound = sound(&recorded);
        let frames = u32::try_from(sound.len()).unwrap() / 4;
        assert!(sound == counting(0..frames), "{format:?}");
        assert!(frames > 40 * FRAMES, "only {frames} frames");
    }
}

#[test]
fn a_source_may_find_out_by_itself_what_it_gives() {
    let daemon = daemon_with("filesrc location={}/in.wav ! decodebin", 60 * FRAMES);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(STREAM, AHEAD);
    let recorded = record(&mut guest, 50);
    guest.finish(STREAM);
    let sound = sound(&recorded);
    let frames = u32::try_from(sound.len()).unwrap() / 4;
    assert!(sound == counting(0..frames) && frames > 0, "{frames} frames");
}

#[test]
fn after_the_end_of_a_source_there_is_silence() {
    let daemon = daemon_with_file(10 * FRAMES);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(STREAM, AHEAD);
    let recorded = record(&mut guest, 30);
    guest.finish(STREAM);
    let (counted, rest) = sound(&recorded).split_at(10 * BYTES as usize);
    assert!(counted == counting(0..10 * FRAMES));
    assert!(rest.iter().all(|byte| *byte == 0));
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
        let recorded = record(&mut guest, 20);
        guest.finish(STREAM);
        assert!(recorded.iter().all(|byte| *byte == silence));
    }
}

#[test]
fn messages_wait_for_the_start_and_come_back_empty_at_the_release() {
    let daemon = Daemon::start_with(&["--source", "audiotestsrc"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(STREAM, AHEAD);
    (0..4).for_each(|_| guest.record(STREAM, BYTES));
    guest.pcm_info();
    assert!(guest.is_quiet(RX_QUEUE));
    guest.must(&words(&[request::PCM_RELEASE, STREAM]));
    for _ in 0..4 {
        assert_eq!(guest.recorded(), Recorded { status: OK, latency_bytes: 0, audio: vec![] });
    }
}

#[test]
fn a_pause_of_a_recording_loses_nothing() {
    let daemon = daemon_with_file(60 * FRAMES);
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(STREAM, AHEAD);
    let first = record(&mut guest, 20);
    guest.must(&words(&[request::PCM_STOP, STREAM]));
    let second = record(&mut guest, 10);
    guest.finish(STREAM);
    let recorded = [first, second].concat();
    let sound = sound(&recorded);
    assert!(sound == counting(0..u32::try_from(sound.len()).unwrap() / 4));
}

#[test]
fn a_guest_plays_while_it_records() {
    let daemon = daemon_with_file(60 * FRAMES);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(0, 4);
    (0..4).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
    guest.prepare(STREAM, AHEAD);
    (0..4).for_each(|_| guest.record(STREAM, BYTES));
    guest.start(0);
    guest.start(STREAM);
    let mut recorded = Vec::new();
    for index in 4..30 {
        recorded.extend(guest.recorded().audio);
        guest.record(STREAM, BYTES);
        assert_eq!(guest.played().status, OK);
        guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES));
    }
    (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
    guest.finish(STREAM);
    guest.finish(0);
    let sound = sound(&recorded);
    assert!(sound == counting(0..u32::try_from(sound.len()).unwrap() / 4));
    assert!(std::fs::read(daemon.end().path().join("out")).unwrap() == counting(0..30 * FRAMES));
}
