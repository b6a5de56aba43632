//! What a guest plays arrives: all of it, once, in order, in time, unchanged.

use std::fs;
use std::time::{Duration, Instant};

use crate::{Daemon, Format, Guest, Played, counting, set_params, status_of, words};
use snd_host::spec::{Status, TX_QUEUE, request};

/// A period of 10 ms.
const FRAMES: u32 = 480;
const BYTES: u32 = FRAMES * 4;

const FORMATS: [Format; 2] = [Format::Split, Format::Packed];

fn prepare(guest: &mut Guest, periods: u32) {
    guest.must(&set_params(periods * BYTES, BYTES));
    guest.must(&words(&[request::PCM_PREPARE, 0]));
}

/// Plays `periods` periods of the counting pattern in a buffer of `ahead` periods. Returns when each
/// was over.
fn play(guest: &mut Guest, periods: u32, ahead: u32) -> Vec<Duration> {
    let period = |index: u32| counting(index * FRAMES..(index + 1) * FRAMES);
    (0..ahead).for_each(|index| guest.play(0, &period(index)));
    let start = Instant::now();
    guest.must(&words(&[request::PCM_START, 0]));
    (0..periods)
        .map(|index| {
            let Played { status, written, .. } = guest.played();
            let over = start.elapsed();
            assert_eq!((status, written), (Status::Ok as u32, 8), "period {index}");
            if index + ahead < periods {
                guest.play(0, &period(index + ahead));
            }
            over
        })
        .collect()
}

fn finish(guest: &mut Guest) {
    guest.must(&words(&[request::PCM_STOP, 0]));
    guest.must(&words(&[request::PCM_RELEASE, 0]));
}

#[test]
fn a_wav_file_holds_every_frame_from_the_first_to_the_last() {
    for format in FORMATS {
        let daemon = Daemon::start("wavenc ! filesink location={}/out.wav sync=true");
        let mut guest = Guest::connect(&daemon, format);
        prepare(&mut guest, 4);
        let over = play(&mut guest, 50, 4);
        for (index, over) in (1u32..).zip(&over) {
            assert!(*over >= Duration::from_millis(10) * index, "period {index} was over after {over:?}");
        }
        finish(&mut guest);
        let directory = daemon.end();
        let mut wav = hound::WavReader::open(directory.path().join("out.wav")).unwrap();
        assert_eq!(
            (wav.spec().channels, wav.spec().sample_rate, wav.spec().bits_per_sample),
            (2, 48_000, 16)
        );
        let bytes = wav.samples::<i16>().flat_map(|sample| sample.unwrap().to_le_bytes());
        assert!(bytes.eq(counting(0..50 * FRAMES)), "{format:?}");
    }
}

#[test]
fn every_form_of_audio_passes_unchanged_where_the_sink_takes_it() {
    // Numbers and sizes of formats; channels; numbers of rates.
    for (format, sample_bytes, channels, rate) in [
        (4, 1, 1, 1),
        (4, 1, 8, 12),
        (5, 2, 6, 6),
        (11, 3, 2, 7),
        (15, 4, 8, 7),
        (17, 4, 6, 12),
        (19, 4, 1, 6),
    ] {
        let daemon = Daemon::start("filesink location={}/out sync=true");
        let mut guest = Guest::connect(&daemon, Format::Packed);
        let bytes = 240 * sample_bytes * channels;
        let form = channels | format << 8 | rate << 16;
        guest.must(&words(&[request::PCM_SET_PARAMS, 0, 4 * bytes, bytes, 0, form]));
        guest.must(&words(&[request::PCM_PREPARE, 0]));
        let audio: Vec<u8> = (0..4 * bytes).map(|byte| (byte * 7 % 251).to_le_bytes()[0]).collect();
        audio.chunks(bytes as usize).for_each(|period| guest.play(0, period));
        guest.must(&words(&[request::PCM_START, 0]));
        (0..4).for_each(|_| assert_eq!(guest.played().status, Status::Ok as u32));
        finish(&mut guest);
        let file = fs::read(daemon.end().path().join("out")).unwrap();
        assert!(file == audio, "format {format}, {channels} channels, rate {rate}");
    }
}

#[test]
fn a_pause_loses_nothing() {
    let daemon = Daemon::start("filesink location={}/out sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    prepare(&mut guest, 4);
    (0..4).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
    guest.must(&words(&[request::PCM_START, 0]));
    guest.played();
    guest.must(&words(&[request::PCM_STOP, 0]));
    guest.must(&words(&[request::PCM_START, 0]));
    (0..3).for_each(|_| assert_eq!(guest.played().status, Status::Ok as u32));
    finish(&mut guest);
    assert!(fs::read(daemon.end().path().join("out")).unwrap() == counting(0..4 * FRAMES));
}

#[test]
fn nothing_is_played_before_the_start() {
    let daemon = Daemon::start("filesink location={}/out sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    prepare(&mut guest, 4);
    (0..4).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
    // The messages are taken before a request is answered.
    assert_eq!(status_of(&guest.pcm_info()), Status::Ok as u32);
    assert!(guest.is_quiet(TX_QUEUE));
    guest.must(&words(&[request::PCM_RELEASE, 0]));
    for _ in 0..4 {
        let expected = Played { status: Status::Ok as u32, latency_bytes: 0, written: 8 };
        assert_eq!(guest.played(), expected);
    }
    assert_eq!(fs::read(daemon.end().path().join("out")).unwrap_or_default(), []);
}

#[test]
fn a_release_returns_every_message_before_its_answer() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    prepare(&mut guest, 16);
    guest.must(&words(&[request::PCM_START, 0]));
    (0..16).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
    let start = Instant::now();
    finish(&mut guest);
    (0..16).for_each(|_| assert_eq!(guest.played().status, Status::Ok as u32));
    assert!(start.elapsed() < Duration::from_millis(160), "played to the end");
}

#[test]
fn a_sink_that_fails_does_not_hold_up_the_guest() {
    let daemon = Daemon::start("filesink location={}/no/such/directory/out sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    prepare(&mut guest, 2);
    play(&mut guest, 20, 2);
    finish(&mut guest);
    daemon.end();
}

#[test]
fn queues_go_on_where_they_were_stopped_and_lose_nothing() {
    for format in FORMATS {
        let daemon = Daemon::start("filesink location={}/out sync=true");
        let mut guest = Guest::connect(&daemon, format);
        prepare(&mut guest, 4);
        play(&mut guest, 4, 4);
        (4..8).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
        guest.stop();
        // What was taken has come back; what was not is taken later.
        guest.start();
        (0..4).for_each(|_| assert_eq!(guest.played().status, Status::Ok as u32));
        guest.set_memory_table();
        (8..10).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
        (0..2).for_each(|_| assert_eq!(guest.played().status, Status::Ok as u32));
        finish(&mut guest);
        assert!(fs::read(daemon.end().path().join("out")).unwrap() == counting(0..10 * FRAMES));
    }
}

#[test]
fn one_machine_after_the_other_has_sound() {
    let daemon = Daemon::start("fakesink sync=true");
    for format in [Format::Packed, Format::Split, Format::Packed] {
        let mut guest = Guest::connect(&daemon, format);
        prepare(&mut guest, 4);
        // It goes away with messages in flight.
        play(&mut guest, 2, 2);
        guest.play(0, &counting(0..FRAMES));
    }
    daemon.end();
}

#[test]
fn the_configuration_tells_of_one_stream_and_a_query_what_it_can_do() {
    let daemon = Daemon::start("fakesink");
    let mut guest = Guest::connect(&daemon, Format::Split);
    assert_eq!(guest.config(), words(&[0, 1, 0, 0]));
    let info = guest.pcm_info();
    assert_eq!((info.len(), status_of(&info)), (36, Status::Ok as u32));
    // One to eight channels, of a stream that plays.
    assert_eq!(info[28..], [0, 1, 8, 0, 0, 0, 0, 0]);
}

#[test]
fn a_reset_brings_every_stream_back_to_the_beginning() {
    use vhost::vhost_user::VhostUserFrontend;
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    prepare(&mut guest, 4);
    play(&mut guest, 2, 2);
    guest.frontend.reset_device().unwrap();
    drop(guest);
    let mut guest = Guest::connect(&daemon, Format::Split);
    assert_eq!(guest.command(&words(&[request::PCM_STOP, 0])), Status::BadMsg as u32);
    prepare(&mut guest, 4);
}
