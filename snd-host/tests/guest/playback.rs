//! All audio that a guest plays arrives at the sink once, in order and unchanged.

use std::fs;
use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use ring_core::Segment;
use ring_core::memory::Memory as _;

use crate::support::{
    BYTES, DEADLINE, Daemon, FORMATS, FRAMES, Format, Guest, OK, Played, counting, counting_period,
    free_address, status_of, words,
};
use snd_host::spec::{Status, TX_QUEUE, request};

/// Starts a prepared stream and plays `periods` periods of the counting pattern in a buffer of
/// `ahead` periods.
fn play(guest: &mut Guest, periods: u32, ahead: u32) {
    (0..ahead).for_each(|index| guest.play(0, &counting_period(index)));
    guest.start(0);
    for index in 0..periods {
        let Played { status, written, .. } = guest.played();
        assert_eq!((status, written), (OK, 8), "period {index}");
        if index + ahead < periods {
            guest.play(0, &counting_period(index + ahead));
        }
    }
}

/// Plays silent periods on a running stream until `happened` returns a value.
fn play_until<T>(guest: &mut Guest, mut happened: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        assert_eq!(guest.played().status, OK);
        guest.play(0, &[0; BYTES as usize]);
        if let Some(value) = happened() {
            return value;
        }
    }
    panic!("the expected event has not happened within {DEADLINE:?}");
}

#[test]
fn a_wav_file_holds_every_frame_from_the_first_to_the_last() {
    for format in FORMATS {
        let daemon = Daemon::start("wavenc ! filesink location={}/out.wav sync=true");
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        play(&mut guest, 50, 4);
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
fn audio_passes_unchanged_if_the_sink_accepts_its_form() {
    // Format number, bytes of a sample, channels, rate number.
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
fn samples_of_20_bits_become_the_upper_bits_of_24() {
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

/// Converts frames from Linux's channel order to GStreamer's, in which centre and low frequencies
/// precede the rear channels.
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
    (0..4).for_each(|index| guest.play(0, &counting_period(index)));
    guest.start(0);
    guest.played();
    guest.must(&words(&[request::PCM_STOP, 0]));
    guest.start(0);
    (0..3).for_each(|_| assert_eq!(guest.played().status, OK));
    guest.finish(0);
    assert!(fs::read(daemon.end().path().join("out")).unwrap() == counting(0..4 * FRAMES));
}

#[test]
fn nothing_is_played_before_start() {
    let daemon = Daemon::start("filesink location={}/out sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(0, 4);
    (0..4).for_each(|index| guest.play(0, &counting_period(index)));
    // The messages are taken before a request is answered.
    assert_eq!(status_of(&guest.pcm_info()), OK);
    assert!(!guest.has_returned(TX_QUEUE));
    guest.must(&words(&[request::PCM_RELEASE, 0]));
    for _ in 0..4 {
        let expected = Played { status: OK, latency_bytes: 0, written: 8 };
        assert_eq!(guest.played(), expected);
    }
    assert_eq!(fs::read(daemon.end().path().join("out")).unwrap_or_default(), [0u8; 0]);
}

/// Each message holds 47 s of audio, so a RELEASE that waited for the end of the audio would miss
/// the deadline.
#[test]
fn a_release_returns_every_message_before_its_answer() {
    // A sixteenth of the largest buffer, in bytes of U8 mono at 5,512 Hz.
    const LONG: u32 = 256 << 10;
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.must(&words(&[request::PCM_SET_PARAMS, 0, 16 * LONG, LONG, 0, 0x0000_0401]));
    guest.must(&words(&[request::PCM_PREPARE, 0]));
    guest.start(0);
    for _ in 0..16 {
        let header = guest.allocate();
        guest.memory.write_bytes(header, &words(&[0])).unwrap();
        // The audio is the contents of guest memory, starting at address 0.
        let message = [Segment::new(header, 4), Segment::new(0, LONG)];
        guest.add(TX_QUEUE, &message, &[Segment::new(header + 8, 8)], header + 8);
    }
    guest.finish(0);
    for index in 0..16 {
        assert!(guest.has_returned(TX_QUEUE), "message {index}");
        assert_eq!(guest.played().status, OK);
    }
}

#[test]
fn takes_use_an_exclusive_sink_one_after_the_other() {
    // Only one process can listen on a port at a time.
    let port = free_address().port();
    let mut daemon = Daemon::start(&format!("tcpserversink host=127.0.0.1 port={port} sync=true"));
    let mut guest = Guest::connect(&daemon, Format::Packed);
    for _ in 0..5 {
        guest.prepare(0, 8);
        (0..8).for_each(|_| guest.play(0, &counting(0..FRAMES)));
        guest.start(0);
        guest.played();
        // The sink still plays what it already has.
        guest.finish(0);
        (0..7).for_each(|_| assert_eq!(guest.played().status, OK));
    }
    drop(guest);
    let log = daemon.terminate();
    assert!(!log.iter().any(|line| line.contains("trying again")), "{log:?}");
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
fn a_sink_that_comes_and_goes_is_used_while_the_guest_plays() {
    let address = free_address();
    let daemon = Daemon::start(&format!("tcpclientsink host=127.0.0.1 port={} sync=true", address.port()));
    let mut guest = Guest::connect(&daemon, Format::Split);
    guest.prepare(0, 4);
    (0..4).for_each(|_| guest.play(0, &[0; BYTES as usize]));
    guest.start(0);
    for _ in 0..2 {
        // The guest's messages are returned even without a sink.
        let mut periods = 30;
        play_until(&mut guest, || {
            periods -= 1;
            (periods == 0).then_some(())
        });
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let mut sink: TcpStream = play_until(&mut guest, || listener.accept().ok()).0;
        sink.set_nonblocking(true).unwrap();
        let mut heard = vec![0; BYTES as usize];
        play_until(&mut guest, || sink.read(&mut heard).ok().filter(|bytes| *bytes > 0));
    }
}

/// Messages are put back into the ring before START, when no message can end. While the stream
/// runs, a message may end before its queue stops. In any case, all messages are returned and all
/// audio is heard.
#[test]
fn a_pause_of_the_machine_loses_no_played_frame() {
    for format in FORMATS {
        let daemon = Daemon::start("filesink location={}/out sync=true");
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        (0..4).for_each(|index| guest.play(0, &counting_period(index)));
        // The messages are taken before a request is answered.
        guest.pcm_info();
        guest.stop_queues();
        assert!(!guest.has_returned(TX_QUEUE));
        guest.start_queues();
        guest.start(0);
        (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
        (4..8).for_each(|index| guest.play(0, &counting_period(index)));
        guest.stop_queues();
        guest.start_queues();
        (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
        guest.set_memory_table();
        (8..10).for_each(|index| guest.play(0, &counting_period(index)));
        (0..2).for_each(|_| assert_eq!(guest.played().status, OK));
        assert!(!guest.has_returned(TX_QUEUE));
        guest.finish(0);
        assert!(fs::read(daemon.end().path().join("out")).unwrap() == counting(0..10 * FRAMES));
    }
}

#[test]
fn one_daemon_serves_machines_one_after_the_other() {
    let daemon = Daemon::start("fakesink sync=true");
    for format in [Format::Packed, Format::Split, Format::Packed] {
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        // The machine disappears with a message in flight.
        play(&mut guest, 2, 2);
        guest.play(0, &counting(0..FRAMES));
    }
    daemon.end();
}

#[test]
fn configuration_and_queries_describe_the_streams() {
    let daemon = Daemon::start("fakesink");
    let mut guest = Guest::connect(&daemon, Format::Split);
    assert_eq!(guest.config(), words(&[2, 2, 10, 0]));
    let info = guest.request(&words(&[request::PCM_INFO, 0, 2, 32]), 68);
    assert_eq!((info.len(), status_of(&info)), (68, OK));
    // The stream that plays and the stream that records have one to eight channels.
    assert_eq!(info[28..36], [0, 1, 8, 0, 0, 0, 0, 0]);
    assert_eq!(info[60..], [1, 1, 8, 0, 0, 0, 0, 0]);
}

#[test]
fn a_device_reset_releases_every_stream() {
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
