//! How streams resume after the machine was paused: its queues were stopped and started again.

use std::time::{Duration, Instant};

use crate::player::PERIOD;
use crate::report::Report;
use crate::support::{BYTES, Daemon, FRAMES, Format, Guest, OK, counting, record_after_pause, words};
use snd_host::spec::request;

/// Half a second of U8 mono at 8 kHz, in bytes.
const LONG: u32 = 4000;

pub(crate) fn measure(report: &mut Report) {
    let time = play_over_a_pause();
    report.at_most("1.5 s of audio after a pause", time, Duration::from_millis(2200));
    report.no_frames("recording over a pause: silence in the audio", record_over_a_pause());
    let age = age_after_a_pause();
    report.at_most("recording after a pause of 0.5 s: age of the audio", age, PERIOD * 20);
}

/// Returns how long three messages of half a second take after a pause that completed two earlier
/// messages early.
fn play_over_a_pause() -> Duration {
    let daemon = Daemon::start_with(&["--streams", "2,1", "--sink", "fakesink sync=true"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let long = [0x40; LONG as usize];
    guest.must(&words(&[request::PCM_SET_PARAMS, 0, 4 * LONG, LONG, 0, 0x0001_0401]));
    guest.must(&words(&[request::PCM_PREPARE, 0]));
    guest.prepare(1, 4);
    (0..2).for_each(|_| guest.play(0, &long));
    guest.play(1, &counting(0..FRAMES));
    (0..2).for_each(|_| guest.play(0, &long));
    (0..2).for_each(|stream| guest.start(stream));
    // The short message ends first. The two long messages before it cannot be put back into the
    // ring.
    assert_eq!(guest.played().status, OK);
    guest.stop_queues();
    (0..2).for_each(|_| assert_eq!(guest.played().status, OK));
    guest.start_queues();
    let start = Instant::now();
    guest.play(0, &long);
    (0..3).for_each(|_| assert_eq!(guest.played().status, OK));
    start.elapsed()
}

/// Returns the number of silent frames in a recording during which the queues were stopped.
fn record_over_a_pause() -> usize {
    let daemon = Daemon::start_with(&["--sink", "fakesink", "--source", "audiotestsrc wave=square"]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(1, 8);
    (0..8).for_each(|_| guest.record(1, BYTES));
    guest.start(1);
    let mut recorded = guest.recorded().audio;
    guest.stop_queues();
    guest.start_queues();
    (0..7).for_each(|_| recorded.extend(guest.recorded().audio));
    guest.finish(1);
    let silent = |frame: &&[u8]| **frame == [0; 4];
    recorded.chunks(4).skip_while(silent).filter(silent).count()
}

/// Returns the age of the first audio that is recorded after half a second in which the receive
/// queue was stopped.
fn age_after_a_pause() -> Duration {
    let daemon = Daemon::start("fakesink sync=true");
    let mut guest = Guest::connect(&daemon, Format::Packed);
    let recorded = record_after_pause(&mut guest, 8, 50);
    PERIOD * recorded.latency_bytes / BYTES
}
