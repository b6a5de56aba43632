//! Whatever the source does, the guest gets its recording in time.

use std::time::{Duration, Instant};

use crate::good_once;
use crate::player::PERIOD;
use crate::support::{BYTES, Daemon, Format, Guest, OK, Recorded};

/// How many periods are on their way.
const AHEAD: u32 = 4;

/// How far a period may be from its time: two slacks of the pacer's.
const TOLERANCE: Duration = Duration::from_millis(40);

/// The stream that records.
const STREAM: u32 = 1;

/// A recording of half a second.
#[derive(Debug)]
struct Recording {
    /// How far the worst of its periods was from its time.
    deviation: Duration,
    /// How many of its frames are silent after the first that is not.
    gaps: usize,
}

fn record(source: &str) -> Recording {
    let daemon = Daemon::start_with(&["--sink", "fakesink", "--source", source]);
    let mut guest = Guest::connect(&daemon, Format::Packed);
    guest.prepare(STREAM, AHEAD);
    (0..AHEAD).for_each(|_| guest.record(STREAM, BYTES));
    let start = Instant::now();
    guest.start(STREAM);
    let (mut all, mut deviation) = (Vec::new(), Duration::ZERO);
    for period in 1..=50 {
        let Recorded { status, audio, .. } = guest.recorded();
        deviation = deviation.max(start.elapsed().abs_diff(PERIOD * period));
        assert_eq!((status, audio.len()), (OK, BYTES as usize));
        all.extend(audio);
        guest.record(STREAM, BYTES);
    }
    guest.finish(STREAM);
    let sound = all.chunks(4).skip_while(|frame| *frame == [0; 4]);
    Recording { deviation, gaps: sound.filter(|frame| *frame == [0; 4]).count() }
}

#[test]
fn a_live_source_is_recorded_in_time_and_without_a_gap() {
    good_once(
        || record("audiotestsrc is-live=true wave=square samplesperbuffer=480"),
        |recording| recording.deviation < TOLERANCE && recording.gaps == 0,
    );
}

#[test]
fn a_source_without_a_pace_of_its_own_is_recorded_in_time_and_without_a_gap() {
    good_once(
        || record("audiotestsrc wave=square"),
        |recording| recording.deviation < TOLERANCE && recording.gaps == 0,
    );
}

#[test]
fn without_a_source_there_is_a_recording_in_time() {
    good_once(
        || record("filesrc location={}/nothing ! wavparse"),
        |recording| recording.deviation < TOLERANCE,
    );
}
