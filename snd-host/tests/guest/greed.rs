//! A guest that makes snd-host hold as much memory as possible.

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

/// The size of the largest buffer. One message holds all of it.
const BUFFER: u32 = 4 << 20;
/// The number of buffers on each stream. Together they hold more audio than snd-host keeps.
const BUFFERS: usize = 9;

/// The size of the ring of a take, which `BUFFERS` overfill: three buffers, and two seconds.
const RING: u32 = 3 * BUFFER + 2 * 192_000 * 8 * 8;

/// The number of takes, each from PREPARE to RELEASE. Fewer takes may have a thread.
const TAKES: u32 = 20;

/// Makes the FIFO of each take. No process reads them, so their sinks accept a few pages only.
fn sinks_that_hang(directory: &Path) -> Vec<OwnedFd> {
    let fifo = |take: u32| {
        let path = directory.join(format!("fifo-{take}"));
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        open(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap()
    };
    (0..TAKES).map(fifo).collect()
}

/// Plays more on all streams at once than snd-host keeps, and releases the streams.
fn play_on_all_streams(guest: &mut Guest) {
    let headers: Vec<u64> = (0..STREAMS).map(|_| guest.allocate()).collect();
    // The audio is what guest memory holds from address 0 on.
    let give = |guest: &mut Guest, stream: u32| {
        let header = headers[stream as usize];
        guest.memory.write_bytes(header, &stream.to_le_bytes()).unwrap();
        let message = [Segment::new(header, 4), Segment::new(0, BUFFER)];
        guest.add(TX_QUEUE, &message, &[Segment::new(header + 8, 8)], stream.into());
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

/// Returns the limit in bytes that `--help` names.
fn documented_limit() -> u64 {
    let help = String::from_utf8(Command::new(PROGRAM).arg("--help").output().unwrap().stdout).unwrap();
    let mib =
        help.split_once("uses at most ").and_then(|(_, rest)| rest.split_once(" MiB on behalf of a guest"));
    mib.and_then(|(mib, _)| mib.parse::<u64>().ok()).unwrap() << 20
}

#[test]
fn no_guest_makes_snd_host_hold_more_than_the_help_says() {
    let daemon =
        Daemon::start_with(&["--streams", "4", "--sink", "filesink location={}/fifo-{take} sync=true"]);
    let _fifos = sinks_that_hang(daemon.as_ref());
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.pcm_info();
    let limit = documented_limit();
    let before = daemon.usage().memory;
    let mut most = 0;
    for _ in 0..TAKES / STREAMS {
        play_on_all_streams(&mut guest);
        most = most.max(daemon.usage().memory - before);
        eprintln!("holds {} MiB of {} MiB", most >> 20, limit >> 20);
    }
    assert!(most <= limit, "{most}");
    // The guest fills the rings of four takes at a time. The takes before are still there until
    // their process, whose sinks do not close, is replaced. When that is depends on the machine.
    assert!(most >= u64::from(STREAMS * RING), "{most}");
}
