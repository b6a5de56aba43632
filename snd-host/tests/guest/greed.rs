//! A guest that has this process hold as much as it can.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::Command;

use ring_core::Segment;
use ring_core::memory::Memory as _;
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};

use crate::support::{Daemon, Format, Guest, PROGRAM, words};
use snd_host::spec::{TX_QUEUE, request};

/// The streams that play.
const STREAMS: u32 = 4;

/// The largest frames at the highest rate: eight channels of 64 bits, 192,000 times a second.
const FORM: u32 = 8 | 20 << 8 | 12 << 16;

/// The largest buffer there is, all of it in one message, and how many of them last longer than anything is kept.
const BUFFER: u32 = 4 << 20;
const BUFFERS: usize = 9;

/// More than there are places for stretches of audio.
const STRETCHES: u32 = 20;

/// The FIFOs of all stretches. Nobody reads them, so that their sinks never take more than a few pages.
fn sinks_that_hang(directory: &Path) -> Vec<OwnedFd> {
    let fifo = |take: u32| {
        let path = directory.join(format!("fifo-{take}"));
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        open(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap()
    };
    (0..STRETCHES).map(fifo).collect()
}

/// Plays as much on every stream at once as this process can have to keep, and releases them.
fn play_on_all_streams(guest: &mut Guest) {
    let places: Vec<u64> = (0..STREAMS).map(|_| guest.place()).collect();
    // Whatever lies in memory serves for audio.
    let give = |guest: &mut Guest, stream: u32| {
        let place = places[stream as usize];
        guest.memory.write_bytes(place, &stream.to_le_bytes()).unwrap();
        let message = [Segment::new(place, 4), Segment::new(0, BUFFER)];
        guest.add(TX_QUEUE, &message, &[Segment::new(place + 8, 8)], stream.into());
    };
    for stream in 0..STREAMS {
        guest.must(&words(&[request::PCM_SET_PARAMS, stream, BUFFER, BUFFER, 0, FORM]));
        guest.must(&words(&[request::PCM_PREPARE, stream]));
        give(guest, stream);
        guest.start(stream);
    }
    let mut left = [BUFFERS; STREAMS as usize];
    while left.iter().any(|left| *left > 0) {
        let stream = u32::try_from(guest.wait(TX_QUEUE).cookie).unwrap();
        let left = &mut left[stream as usize];
        *left -= 1;
        if *left > 0 {
            give(guest, stream);
        }
    }
    for stream in 0..STREAMS {
        guest.finish(stream);
    }
}

/// The most bytes, as the help says it.
fn promised() -> u64 {
    let help = String::from_utf8(Command::new(PROGRAM).arg("--help").output().unwrap().stdout).unwrap();
    let mib = help.split_once("holds at most ").and_then(|(_, rest)| rest.split_once(" MiB for it"));
    mib.and_then(|(mib, _)| mib.parse::<u64>().ok()).unwrap() << 20
}

#[test]
fn the_greediest_guest_has_no_more_held_than_the_help_says() {
    let daemon =
        Daemon::start_with(&["--streams", "4", "--sink", "filesink location={}/fifo-{take} sync=true"]);
    let _fifos = sinks_that_hang(daemon.as_ref());
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.pcm_info();
    let before = daemon.usage().memory;
    let mut most = 0;
    for _ in 0..STRETCHES / STREAMS {
        play_on_all_streams(&mut guest);
        most = most.max(daemon.usage().memory - before);
        eprintln!("holds {} MiB of {} MiB", most >> 20, promised() >> 20);
    }
    assert!(most <= promised(), "{most}");
    // It has tried hard.
    assert!(most > promised() / 2, "{most}");
}
