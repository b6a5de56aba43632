//! What a guest plays arrives: all of it, once, in order, in time, unchanged.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use crate::support::{Daemon, FORMATS, FRAMES, Format, Guest, OK, Played, counting, status_of, words};
use snd_host::spec::{Status, TX_QUEUE, request};

/// Plays `periods` periods of the counting pattern in a buffer of `ahead` periods. Returns when each
/// was over.
fn play(guest: &mut Guest, periods: u32, ahead: u32) -> Vec<Duration> {
    let period = |index: u32| counting(index * FRAMES..(index + 1) * FRAMES);
    (0..ahead).for_each(|index| guest.play(0, &period(index)));
    let start = Instant::now();
    guest.start(0);
    (0..periods)
        .map(|index| {
            let Played { status, written, .. } = guest.played();
            let over = start.elapsed();
            assert_eq!((status, written), (OK, 8), "period {index}");
            if index + ahead < periods {
                guest.play(0, &period(index + ahead));
            }
            over
        })
        .collect()
}

#[test]
fn a_wav_file_holds_every_frame_from_the_first_to_the_last() {
    for format in FORMATS {
        let daemon = Daemon::start("wavenc ! filesink location={}/out.wav sync=true");
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        let over = play(&mut guest, 50, 4);
        for (index, over) in (1u32..).zip(&over) {
            assert!(*over >= Duration::from_millis(10) * index, "period {index} was over after {over:?}");
        }
        guest.finish(0);
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
        (5, 2, 4, 6),
        (18, 4, 3, 0),
        (20, 8, 8, 12),
        (11, 3, 2, 7),
        (15, 4, 5, 7),
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
        guest.start(0);
        (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
        guest.finish(0);
        let file = fs::read(daemon.end().path().join("out")).unwrap();
        let expected = in_gstreamers_order(&audio, sample_bytes as usize, channels as usize);
        assert!(file == expected, "format {format}, {channels} channels, rate {rate}");
    }
}

#[test]
fn samples_of_twenty_bits_are_played_as_the_upper_ones_of_twenty_four() {
    let daemon = Daemon::start("audio/x-raw,format=S24_32LE ! filesink location={}/out sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let form = 1 | 13 << 8 | 7 << 16;
    guest.must(&words(&[request::PCM_SET_PARAMS, 0, 4 * FRAMES, 4 * FRAMES, 0, form]));
    guest.must(&words(&[request::PCM_PREPARE, 0]));
    let ramp = |step: i32| (-240..240).flat_map(|frame| (frame * step).to_le_bytes()).collect::<Vec<u8>>();
    guest.play(0, &ramp(2184));
    guest.start(0);
    assert_eq!(guest.played().status, OK);
    guest.finish(0);
    assert!(fs::read(daemon.end().path().join("out")).unwrap() == ramp(2184 << 4));
}

/// Frames in the order of channels that Linux has, in the one that GStreamer has: with centre and low
/// frequencies before the rear.
fn in_gstreamers_order(audio: &[u8], sample_bytes: usize, channels: usize) -> Vec<u8> {
    let order: &[usize] = match channels {
        6 => &[0, 1, 4, 5, 2, 3],
        8 => &[0, 1, 4, 5, 2, 3, 6, 7],
        _ => &[0, 1, 2, 3, 4, 5, 6][..channels],
    };
    let frames = audio.chunks(sample_bytes * channels);
    frames
        .flat_map(|frame| order.iter().flat_map(|from| &frame[from * sample_bytes..][..sample_bytes]))
        .copied()
        .collect()
}

#[test]
fn two_streams_play_at_once_each_to_its_own_sink() {
    let daemon =
        Daemon::start_with(&["--streams", "2,1", "--sink", "filesink location={}/out-{stream} sync=true"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    for stream in 0..2 {
        guest.prepare(stream, 4);
    }
    for stream in 0..2 {
        let start = stream * 1000;
        (0..4).for_each(|index| {
            guest.play(stream, &counting(start + index * FRAMES..start + (index + 1) * FRAMES));
        });
        guest.start(stream);
    }
    (0..8).for_each(|_| assert_eq!(guest.played().status, OK));
    for stream in 0..2 {
        guest.finish(stream);
    }
    let directory = daemon.end();
    for stream in 0..2 {
        let file = fs::read(directory.path().join(format!("out-{stream}"))).unwrap();
        assert!(file == counting(stream * 1000..stream * 1000 + 4 * FRAMES), "stream {stream}");
    }
}

#[test]
fn a_pause_loses_nothing() {
    let daemon = Daemon::start("filesink location={}/out sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(0, 4);
    (0..4).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
    guest.start(0);
    guest.played();
    guest.must(&words(&[request::PCM_STOP, 0]));
    guest.start(0);
    (0..3).for_each(|_| assert_eq!(guest.played().status, OK));
    guest.finish(0);
    assert!(fs::read(daemon.end().path().join("out")).unwrap() == counting(0..4 * FRAMES));
}

#[test]
fn nothing_is_played_before_the_start() {
    let daemon = Daemon::start("filesink location={}/out sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(0, 4);
    (0..4).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
    // The messages are taken before a request is answered.
    assert_eq!(status_of(&guest.pcm_info()), OK);
    assert!(guest.is_quiet(TX_QUEUE));
    guest.must(&words(&[request::PCM_RELEASE, 0]));
    for _ in 0..4 {
        let expected = Played { status: OK, latency_bytes: 0, written: 8 };
        assert_eq!(guest.played(), expected);
    }
    assert_eq!(fs::read(daemon.end().path().join("out")).unwrap_or_default(), []);
}

#[test]
fn a_release_returns_every_message_before_its_answer() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(0, 64);
    guest.start(0);
    (0..16).for_each(|_| guest.play(0, &counting(0..4 * FRAMES)));
    let start = Instant::now();
    guest.finish(0);
    // They are there already, without waiting for them.
    (0..16).for_each(|index| assert!(!guest.is_quiet(TX_QUEUE), "message {index}"));
    assert!(start.elapsed() < Duration::from_millis(640), "played to the end");
}

#[test]
fn a_sink_that_only_one_can_have_is_had_by_one_stretch_after_the_other() {
    // Nobody can listen on a port on which somebody does.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut daemon = Daemon::start(&format!("tcpserversink host=127.0.0.1 port={port} sync=true"));
    let mut guest = Guest::connect(&daemon, Format::Packed);
    for _ in 0..5 {
        guest.prepare(0, 8);
        (0..8).for_each(|_| guest.play(0, &counting(0..FRAMES)));
        guest.start(0);
        guest.played();
        // What the sink has by then is still heard.
        guest.finish(0);
        (0..7).for_each(|_| assert_eq!(guest.played().status, OK));
    }
    drop(guest);
    let said = daemon.last_words();
    assert!(!said.iter().any(|line| line.contains("trying again")), "{said:?}");
}

#[test]
fn a_sink_that_fails_does_not_hold_up_the_guest() {
    let daemon = Daemon::start("filesink location={}/no/such/directory/out sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(0, 2);
    play(&mut guest, 20, 2);
    guest.finish(0);
    daemon.end();
}

#[test]
fn queues_go_on_where_they_were_stopped_and_lose_nothing() {
    for format in FORMATS {
        let daemon = Daemon::start("filesink location={}/out sync=true");
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        play(&mut guest, 4, 4);
        (4..8).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
        guest.stop_queues();
        // Nothing comes back that is not played.
        assert!(guest.is_quiet(TX_QUEUE));
        guest.start_queues();
        (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
        guest.set_memory_table();
        (8..10).for_each(|index| guest.play(0, &counting(index * FRAMES..(index + 1) * FRAMES)));
        (0..2).for_each(|_| assert_eq!(guest.played().status, OK));
        guest.finish(0);
        assert!(fs::read(daemon.end().path().join("out")).unwrap() == counting(0..10 * FRAMES));
    }
}

#[test]
fn one_machine_after_the_other_has_sound() {
    let daemon = Daemon::start("fakesink sync=true");
    for format in [Format::Packed, Format::Split, Format::Packed] {
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        // It goes away with messages in flight.
        play(&mut guest, 2, 2);
        guest.play(0, &counting(0..FRAMES));
    }
    daemon.end();
}

#[test]
fn the_configuration_counts_the_streams_and_a_query_tells_what_each_can_do() {
    let daemon = Daemon::start("fakesink");
    let mut guest = Guest::connect(&daemon, Format::Split);
    assert_eq!(guest.config(), words(&[2, 2, 10, 0]));
    let info = guest.request(&words(&[request::PCM_INFO, 0, 2, 32]), 68);
    assert_eq!((info.len(), status_of(&info)), (68, OK));
    // One to eight channels, of a stream that plays and of one that records.
    assert_eq!(info[28..36], [0, 1, 8, 0, 0, 0, 0, 0]);
    assert_eq!(info[60..], [1, 1, 8, 0, 0, 0, 0, 0]);
}

#[test]
fn a_reset_brings_every_stream_back_to_the_beginning() {
    use vhost::vhost_user::VhostUserFrontend;
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(0, 4);
    play(&mut guest, 2, 2);
    guest.frontend.reset_device().unwrap();
    drop(guest);
    let mut guest = Guest::connect(&daemon, Format::Split);
    assert_eq!(guest.command(&words(&[request::PCM_STOP, 0])), Status::BadMsg as u32);
    guest.prepare(0, 4);
}
