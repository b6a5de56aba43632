//! A hostile guest gets each of its messages back, and the device keeps working.

mod chains;
mod lifecycles;
mod rings;

use crate::support::{Daemon, FORMATS, Format, Guest, OK, counting, set_params, status_of, words};
use ring_core::Segment;
use ring_core::memory::Memory;
use snd_host::spec::{CONTROL_QUEUE, RX_QUEUE, Status, TX_QUEUE, request};

const BAD_MSG: u32 = Status::BadMsg as u32;
const NOT_SUPP: u32 = Status::NotSupp as u32;
const IO_ERR: u32 = Status::IoErr as u32;

/// What a guest does, and the code that does it.
type Case = (&'static str, fn(&mut Guest));

/// Malformed requests and messages. Each case returns once its answer has arrived.
const CASES: &[Case] = &[
    ("a request of two bytes", |guest| assert_eq!(guest.command(&[0, 1]), BAD_MSG)),
    ("a request of no bytes", |guest| assert_eq!(guest.command(&[]), BAD_MSG)),
    ("an unknown request", |guest| assert_eq!(guest.command(&words(&[0xdead_beef, 0])), NOT_SUPP)),
    ("a control element", |guest| assert_eq!(guest.command(&words(&[0x300, 0, 1, 96])), NOT_SUPP)),
    ("START before anything", |guest| assert_eq!(guest.command(&words(&[request::PCM_START, 0])), BAD_MSG)),
    ("STOP before anything", |guest| assert_eq!(guest.command(&words(&[request::PCM_STOP, 0])), BAD_MSG)),
    ("PREPARE without parameters", |guest| {
        assert_eq!(guest.command(&words(&[request::PCM_PREPARE, 0])), BAD_MSG);
    }),
    ("parameters cut short", |guest| {
        assert_eq!(guest.command(&set_params(7680, 1920)[..23]), BAD_MSG);
    }),
    ("format 69", |guest| {
        let request = words(&[request::PCM_SET_PARAMS, 0, 7680, 1920, 0, 0x0007_4502]);
        assert_eq!(guest.command(&request), NOT_SUPP);
    }),
    ("no channels", |guest| {
        let request = words(&[request::PCM_SET_PARAMS, 0, 7680, 1920, 0, 0x0007_0500]);
        assert_eq!(guest.command(&request), NOT_SUPP);
    }),
    ("a period of nothing", |guest| assert_eq!(guest.command(&set_params(7680, 0)), BAD_MSG)),
    ("a buffer of 4 GiB", |guest| assert_eq!(guest.command(&set_params(u32::MAX - 3, 4)), BAD_MSG)),
    ("a stream that does not exist", |guest| {
        assert_eq!(guest.command(&words(&[request::PCM_PREPARE, 1000])), BAD_MSG);
    }),
    ("information without room", |guest| {
        assert_eq!(guest.request(&words(&[request::PCM_INFO, 0, 1, 32]), 35), words(&[BAD_MSG]));
    }),
    ("information on 2^32 streams", |guest| {
        let request = words(&[request::PCM_INFO, 0, u32::MAX, u32::MAX]);
        assert_eq!(guest.request(&request, 36), words(&[BAD_MSG]));
    }),
    ("no room for an answer", |guest| {
        assert_eq!(guest.request(&words(&[request::PCM_INFO, 0, 1, 32]), 0), [0u8; 0]);
        assert_eq!(guest.request(&words(&[request::PCM_INFO, 0, 1, 32]), 3), [0u8; 0]);
    }),
    ("a request that is not in memory", |guest| {
        let answer = guest.allocate();
        let elsewhere = [Segment::new(1 << 40, 8)];
        guest.add(CONTROL_QUEUE, &elsewhere, &[Segment::new(answer, 4)], 0);
        assert_eq!(guest.wait(CONTROL_QUEUE).written, 4);
    }),
    ("an answer that is not in memory", |guest| {
        let address = guest.allocate();
        guest.memory.write_bytes(address, &words(&[request::PCM_STOP, 0])).unwrap();
        let elsewhere = [Segment::new(u64::MAX - 100, 4)];
        guest.add(CONTROL_QUEUE, &[Segment::new(address, 8)], &elsewhere, 0);
        assert_eq!(guest.wait(CONTROL_QUEUE).written, 0);
    }),
    ("audio before PREPARE", |guest| refused(guest, 0, &counting(0..480))),
    ("audio for a stream that does not exist", |guest| {
        prepared(guest, |guest| refused(guest, 1000, &counting(0..480)))
    }),
    ("a partial frame", |guest| prepared(guest, |guest| refused(guest, 0, &[1, 2, 3]))),
    ("no audio", |guest| prepared(guest, |guest| refused(guest, 0, &[]))),
    ("more audio than the buffer holds", |guest| {
        prepared(guest, |guest| {
            (0..4).for_each(|_| guest.play(0, &counting(0..480)));
            refused(guest, 0, &counting(0..480));
        });
        (0..4).for_each(|_| assert_eq!(guest.played().status, OK));
    }),
    ("audio that is not in memory", |guest| {
        prepared(guest, |guest| {
            let address = guest.allocate();
            guest.memory.write_bytes(address, &words(&[0])).unwrap();
            let readable = [Segment::new(address, 4), Segment::new(1 << 40, 1920)];
            guest.add(TX_QUEUE, &readable, &[Segment::new(address + 8, 8)], address + 8);
            assert_eq!(guest.played().status, IO_ERR);
        });
    }),
    ("a message of two bytes", |guest| {
        let address = guest.allocate();
        guest.add(TX_QUEUE, &[Segment::new(address, 2)], &[Segment::new(address + 8, 8)], address + 8);
        assert_eq!(guest.played().status, IO_ERR);
    }),
    ("no room for a status", |guest| {
        let address = guest.allocate();
        guest.add(TX_QUEUE, &[Segment::new(address, 64)], &[], address);
        assert_eq!(guest.wait(TX_QUEUE).written, 0);
        guest.add(TX_QUEUE, &[Segment::new(address, 64)], &[Segment::new(address, 4)], address);
        assert_eq!(guest.wait(TX_QUEUE).written, 0);
    }),
    ("a request for audio before PREPARE", |guest| {
        let address = guest.allocate();
        guest.add(RX_QUEUE, &[Segment::new(address, 4)], &[Segment::new(address + 8, 8)], address + 8);
        assert_eq!(guest.wait(RX_QUEUE).written, 8);
        guest.add(RX_QUEUE, &[Segment::new(address, 4)], &[Segment::new(address + 8, 4)], address + 8);
        assert_eq!(guest.wait(RX_QUEUE).written, 0);
    }),
    ("a request for audio of a stream that plays", |guest| {
        prepared(guest, |guest| not_recorded(guest, 0, 1920));
    }),
    ("audio for a stream that records", |guest| {
        recording(guest, |guest| refused(guest, 1, &counting(0..480)));
    }),
    ("a request for a partial frame, for no frame, and for more than the buffer holds", |guest| {
        recording(guest, |guest| {
            [3, 0, 7684].into_iter().for_each(|bytes| not_recorded(guest, 1, bytes));
        });
    }),
    ("a request for audio into memory that does not exist", |guest| {
        recording(guest, |guest| {
            let address = guest.allocate();
            guest.memory.write_bytes(address, &words(&[1])).unwrap();
            let writable = [Segment::new(1 << 40, 1920), Segment::new(address + 8, 8)];
            guest.add(RX_QUEUE, &[Segment::new(address, 4)], &writable, address + 8);
            guest.start(1);
            assert_eq!(guest.wait(RX_QUEUE).written, 8);
            guest.must(&words(&[request::PCM_STOP, 1]));
        });
    }),
    ("audio after STOP", |guest| {
        prepared(guest, |guest| {
            guest.start(0);
            guest.must(&words(&[request::PCM_STOP, 0]));
            guest.play(0, &counting(0..480));
            assert_eq!(guest.command(&words(&[request::PCM_STOP, 0])), BAD_MSG);
        });
        assert_eq!(guest.played().status, OK);
    }),
    ("audio after RELEASE", |guest| {
        prepared(guest, |_| {});
        refused(guest, 0, &counting(0..480));
    }),
];

/// These cases break their queue, so they come last.
const LAST: &[Case] = &[
    ("a descriptor area full of ones", |guest| {
        guest.play(0, &counting(0..480));
        guest.memory.write_bytes(2 * 65_536, &[0xff; 1024]).unwrap();
        guest.kick(TX_QUEUE);
    }),
    ("an available index that jumps", |guest| {
        guest.memory.write_bytes(3 * 65_536 + 16_384, &[0, 0, 0xff, 0x7f]).unwrap();
        guest.kick(RX_QUEUE);
    }),
];

/// Sends audio that has to be refused.
fn refused(guest: &mut Guest, stream: u32, audio: &[u8]) {
    guest.play(stream, audio);
    assert_eq!(guest.played().status, IO_ERR);
}

/// Calls `act` with stream 0 prepared for 4 periods of 480 frames, then releases the stream.
fn prepared(guest: &mut Guest, act: impl FnOnce(&mut Guest)) {
    guest.prepare(0, 4);
    act(guest);
    guest.must(&words(&[request::PCM_RELEASE, 0]));
}

/// Sends a message for recorded audio that has to be refused.
fn not_recorded(guest: &mut Guest, stream: u32, bytes: u32) {
    guest.record(stream, bytes);
    let refused = guest.recorded();
    assert_eq!((refused.status, refused.audio), (IO_ERR, vec![]));
}

/// Calls `act` with stream 1 prepared to record 4 periods of 480 frames, then releases the stream.
fn recording(guest: &mut Guest, act: impl FnOnce(&mut Guest)) {
    guest.prepare(1, 4);
    act(guest);
    guest.must(&words(&[request::PCM_RELEASE, 1]));
}

/// Calls `act` while the prepared stream 0 runs.
fn run(guest: &mut Guest, act: impl FnOnce(&mut Guest)) {
    guest.start(0);
    act(guest);
    guest.must(&words(&[request::PCM_STOP, 0]));
}

/// Returns the cases that break no queue.
fn cases() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(chains::CASES).chain(lifecycles::CASES)
}

/// Runs a case, then asserts that the device answers and has returned every buffer.
fn survive(guest: &mut Guest, (name, case): &Case) {
    case(guest);
    assert_eq!(status_of(&guest.pcm_info()), OK, "after {name}");
    for queue in [CONTROL_QUEUE, TX_QUEUE, RX_QUEUE] {
        assert_eq!(guest.in_flight(queue), 0, "a buffer of queue {queue} was not returned after {name}");
    }
}

#[test]
fn the_device_survives_every_hostile_message() {
    for format in FORMATS {
        let daemon = Daemon::start("fakesink sync=true");
        let mut guest = Guest::connect(&daemon, format);
        for case in cases() {
            eprintln!("{format:?}: {}", case.0);
            survive(&mut guest, case);
        }
        for (name, case) in LAST {
            eprintln!("{format:?}: {name}");
            case(&mut guest);
            assert_eq!(status_of(&guest.pcm_info()), OK, "after {name}");
        }
        // A broken queue works again for the next driver.
        drop(guest);
        let mut guest = Guest::connect(&daemon, format);
        prepared(&mut guest, |guest| guest.play(0, &counting(0..480)));
        assert_eq!(guest.played().status, OK);
        daemon.end();
    }
}

#[test]
fn a_broken_queue_does_not_affect_other_queues_or_the_next_driver() {
    for format in FORMATS {
        let daemon = Daemon::start("fakesink sync=true");
        for (name, ring) in rings::of(format) {
            eprintln!("{format:?}: {name}");
            let mut guest = Guest::connect(&daemon, format);
            ring(&mut guest);
            assert_eq!(status_of(&guest.pcm_info()), OK, "after {name}");
            drop(guest);
            let mut guest = Guest::connect(&daemon, format);
            prepared(&mut guest, |guest| guest.play(0, &counting(0..480)));
            assert_eq!(guest.played().status, OK, "after {name}");
        }
        daemon.end();
    }
}

#[test]
fn there_are_at_least_sixty_hostile_cases() {
    for format in FORMATS {
        let count = cases().count() + LAST.len() + rings::of(format).len();
        assert!(count >= 60, "{format:?}: {count}");
    }
}

#[test]
fn repeated_hostile_messages_take_no_memory() {
    for format in FORMATS {
        let daemon = Daemon::start("fakesink sync=true");
        let round = || {
            let mut guest = Guest::connect(&daemon, format);
            cases().for_each(|case| survive(&mut guest, case));
        };
        // The resources of an idle session.
        let idle = || {
            let _guest = Guest::connect(&daemon, format);
            daemon.settled()
        };
        // The allocator reaches its steady size.
        (0..3).for_each(|_| round());
        let before = idle();
        (0..20).for_each(|_| round());
        let after = idle();
        eprintln!("{format:?}: from {before:?} to {after:?}");
        assert_eq!((after.files, after.threads), (before.files, before.threads));
        assert!(after.memory < before.memory + (4 << 20), "{before:?} {after:?}");
    }
}

#[test]
fn two_thousand_takes_leave_no_thread_file_or_memory_behind() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let live = |guest: &mut Guest, count| {
        for _ in 0..count {
            guest.must(&words(&[request::PCM_PREPARE, 0]));
            (0..2).for_each(|index| guest.play(0, &counting(index * 480..(index + 1) * 480)));
            run(guest, |guest| guest.play(0, &counting(960..1440)));
            guest.must(&words(&[request::PCM_RELEASE, 0]));
            (0..3).for_each(|_| assert_eq!(guest.played().status, OK));
        }
    };
    guest.must(&set_params(7680, 1920));
    live(&mut guest, 200);
    let before = daemon.settled();
    live(&mut guest, 2000);
    let after = daemon.settled();
    eprintln!("from {before:?} to {after:?}");
    assert_eq!((after.files, after.threads), (before.files, before.threads));
    // The limit is one KiB for each take, because the allocator's fragmentation varies a little.
    assert!(after.memory < before.memory + (2 << 20), "{before:?} {after:?}");
}

#[test]
fn a_period_before_prepare_is_refused_a_thousand_times() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    for _ in 0..1000 {
        refused(&mut guest, 0, &counting(0..480));
    }
    assert_eq!(status_of(&guest.pcm_info()), OK);
}

#[test]
fn a_kick_that_is_read_back_does_not_end_the_device() {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Split);
    // Some of these delays end between the wake-up of the device and its read of the kick.
    for round in 0..10_000 {
        guest.kick_and_take_back(RX_QUEUE, round % 100 * 40);
    }
    assert_eq!(status_of(&guest.pcm_info()), OK);
}
