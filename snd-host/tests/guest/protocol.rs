//! What a front-end says, and what it says only for some guests.

use std::time::{Duration, Instant};

use crate::support::{
    BYTES, Daemon, FORMATS, FRAMES, Format, Guest, MEMORY_END, OK, VMM_OFFSET, counting, status_of, words,
};
use snd_host::spec::{RX_QUEUE, Status, TX_QUEUE, request};
use vhost::VringConfigData;
use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::VhostUserConfigFlags;

/// Plays a period.
fn plays(guest: &mut Guest) {
    guest.play(0, &counting(0..FRAMES));
    assert_eq!(guest.played().status, OK);
}

#[test]
fn a_guest_that_writes_to_its_configuration_keeps_its_card() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let config = guest.config();
    guest.frontend.set_config(0, VhostUserConfigFlags::WRITABLE, &[0xff; 16]).unwrap();
    assert_eq!(guest.config(), config);
    assert_eq!(status_of(&guest.pcm_info()), OK);
}

#[test]
fn queues_in_impossible_places_are_of_no_use_and_harm_no_other() {
    let places: [fn(&mut VringConfigData); 3] = [
        |place| place.desc_table_addr = VMM_OFFSET + MEMORY_END - 16,
        |place| place.avail_ring_addr = VMM_OFFSET + MEMORY_END - 2,
        |place| place.used_ring_addr = VMM_OFFSET + MEMORY_END - 4,
    ];
    let daemon = Daemon::start("fakesink sync=true");
    for format in FORMATS {
        let mut guest = Guest::connect(&daemon, format);
        for change in places {
            guest.stop_queue(TX_QUEUE);
            guest.start_queue(TX_QUEUE, change);
            guest.kick(TX_QUEUE);
            assert_eq!(status_of(&guest.pcm_info()), OK);
        }
        guest.stop_queue(TX_QUEUE);
        guest.start_queue(TX_QUEUE, |_| {});
        guest.prepare(0, 4);
        guest.start(0);
        plays(&mut guest);
    }
}

#[test]
fn a_packed_queue_may_have_any_size() {
    let daemon = Daemon::start("fakesink sync=true");
    for size in [7, 48, 63] {
        let mut guest = Guest::connect_with(&daemon, Format::Packed, size);
        guest.prepare(0, 4);
        guest.start(0);
        // A message has four pieces, so that the queue goes round several times.
        (0..50).for_each(|_| plays(&mut guest));
        guest.finish(0);
    }
}

#[test]
fn a_machine_that_is_paused_plays_on_wherever_its_queues_stand() {
    for format in FORMATS {
        let daemon = Daemon::start("fakesink sync=true");
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        guest.start(0);
        // After as many requests, of two pieces each, a packed queue of 64 stands where it began.
        (3..64).for_each(|_| assert_eq!(status_of(&guest.pcm_info()), OK));
        guest.stop_queues();
        guest.start_queues();
        plays(&mut guest);
        guest.finish(0);
    }
}

#[test]
fn a_machine_that_begins_anew_knows_of_no_stream() {
    for format in FORMATS {
        let daemon = Daemon::start("fakesink sync=true");
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(0, 4);
        guest.start(0);
        plays(&mut guest);
        guest.reboot();
        assert_eq!(guest.command(&words(&[request::PCM_STOP, 0])), Status::BadMsg as u32);
        guest.prepare(0, 4);
        guest.start(0);
        plays(&mut guest);
    }
}

#[test]
fn a_pause_returns_only_what_came_before_something_that_is_over() {
    // Halves of a second of U8 mono at 8 kHz, each with a number of its own.
    const LONG: u32 = 4000;
    let long = |number: u8| [number; LONG as usize];
    let daemon =
        Daemon::start_with(&["--streams", "2,1", "--sink", "filesink location={}/out-{stream} sync=true"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.must(&words(&[request::PCM_SET_PARAMS, 0, 4 * LONG, LONG, 0, 0x0001_0401]));
    guest.must(&words(&[request::PCM_PREPARE, 0]));
    guest.prepare(1, 4);
    (0..2).for_each(|number| guest.play(0, &long(number)));
    guest.play(1, &counting(0..FRAMES));
    (2..4).for_each(|number| guest.play(0, &long(number)));
    (0..2).for_each(|stream| guest.start(stream));
    // The short one.
    assert_eq!(guest.played().status, OK);
    guest.stop_queues();
    (0..2).for_each(|_| assert!(!guest.is_quiet(TX_QUEUE)));
    assert!(guest.is_quiet(TX_QUEUE));
    guest.start_queues();
    let start = Instant::now();
    guest.play(0, &long(4));
    (0..3).for_each(|_| assert_eq!(guest.played().status, OK));
    let time = start.elapsed();
    // What has come back early, a second of it, does not count any more.
    assert!(time < Duration::from_millis(2200), "{time:?}");
    (0..2).for_each(|stream| guest.finish(stream));
    let directory = daemon.end();
    let heard = |stream: u32| std::fs::read(directory.path().join(format!("out-{stream}"))).unwrap();
    assert!(heard(0) == (0..5).flat_map(long).collect::<Vec<u8>>());
    assert!(heard(1) == counting(0..FRAMES));
}

#[test]
fn a_machine_that_is_paused_records_on_without_a_gap() {
    let daemon = Daemon::start_with(&["--sink", "fakesink", "--source", "audiotestsrc wave=square"]);
    for format in FORMATS {
        let mut guest = Guest::connect(&daemon, format);
        guest.prepare(1, 8);
        (0..8).for_each(|_| guest.record(1, BYTES));
        guest.start(1);
        let mut recorded = guest.recorded().audio;
        guest.stop_queues();
        assert!(guest.is_quiet(RX_QUEUE));
        guest.start_queues();
        (0..7).for_each(|_| recorded.extend(guest.recorded().audio));
        assert_eq!(recorded.len(), 8 * BYTES as usize);
        let silent = |frame: &&[u8]| **frame == [0; 4];
        let frames: Vec<&[u8]> = recorded.chunks(4).collect();
        assert!(!frames.iter().skip_while(|frame| silent(frame)).any(silent));
        guest.finish(1);
    }
}

#[test]
fn a_machine_that_is_paused_is_not_recorded() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(1, 8);
    guest.record(1, BYTES);
    guest.start(1);
    assert_eq!(guest.recorded().status, OK);
    guest.stop_queue(RX_QUEUE);
    // Half a second at least passes.
    guest.prepare(0, 4);
    guest.start(0);
    (0..50).for_each(|_| plays(&mut guest));
    guest.finish(0);
    guest.start_queue(RX_QUEUE, |_| {});
    guest.record(1, BYTES);
    let recorded = guest.recorded();
    assert_eq!(recorded.status, OK);
    assert!(recorded.latency_bytes < 20 * BYTES, "{} bytes are old", recorded.latency_bytes);
    guest.finish(1);
}
