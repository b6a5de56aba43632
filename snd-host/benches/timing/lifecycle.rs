//! How long the daemon and its streams take to start and to end.

use std::time::{Duration, Instant};

use crate::report::{Report, longest};
use crate::support::{BYTES, Daemon, FRAMES, Format, Guest, OK, counting, set_params, words};
use snd_host::spec::request;

/// The number of starts of the daemon.
const STARTS: u32 = 20;
/// The number of takes of a stream, from PREPARE to RELEASE.
const LIVES: u32 = 500;
/// The number of periods in flight when their stream is released.
const RELEASED: u32 = 64;

pub(crate) fn measure(report: &mut Report) {
    start_daemon();
    let starts = longest((0..STARTS).map(|_| start_daemon()));
    report.at_most("start of the process until it listens, longest of 20", starts, Duration::from_millis(20));
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    report.at_most("PREPARE to RELEASE, mean of 500", live(&mut guest), Duration::from_millis(30));
    let released = release(&mut guest);
    report.at_most("STOP and RELEASE with 640 ms of audio in flight", released, Duration::from_millis(100));
}

/// Returns how long the daemon takes until it listens. The first start may have to list all
/// plugins of GStreamer.
fn start_daemon() -> Duration {
    let start = Instant::now();
    let _daemon = Daemon::start("fakesink");
    start.elapsed()
}

/// Returns the mean time that a stream takes from PREPARE to RELEASE.
fn live(guest: &mut Guest) -> Duration {
    guest.must(&set_params(4 * BYTES, BYTES));
    let start = Instant::now();
    for _ in 0..LIVES {
        guest.must(&words(&[request::PCM_PREPARE, 0]));
        (0..3).for_each(|_| guest.play(0, &counting(0..FRAMES)));
        guest.start(0);
        guest.finish(0);
        (0..3).for_each(|_| assert_eq!(guest.played().status, OK));
    }
    start.elapsed() / LIVES
}

/// Returns how long it takes to stop and release a stream that has just begun to play.
fn release(guest: &mut Guest) -> Duration {
    guest.prepare(0, RELEASED);
    guest.start(0);
    (0..RELEASED / 4).for_each(|_| guest.play(0, &counting(0..4 * FRAMES)));
    let start = Instant::now();
    guest.finish(0);
    let time = start.elapsed();
    (0..RELEASED / 4).for_each(|_| assert_eq!(guest.played().status, OK));
    time
}
