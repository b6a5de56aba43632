//! How evenly the guest gets its recording, and whether the recording has gaps.

use std::time::{Duration, Instant};

use crate::player::PERIOD;
use crate::report::Report;
use crate::support::{BYTES, Daemon, FRAMES, Format, Guest, OK, Recorded, write_counting_wav};

/// The number of periods in flight.
const AHEAD: u32 = 4;
/// The stream that records.
const STREAM: u32 = 1;
/// The largest deviation of a period's end: twice the distance that the pacer allows.
const TOLERANCE: Duration = Duration::from_millis(40);

/// A recording of half a second.
struct Recording {
    /// The largest difference between the end of a period and its due time.
    deviation: Duration,
    /// The number of silent frames before the first frame of the source.
    before: u32,
    /// The number of silent frames after the first frame of the source.
    gaps: usize,
}

pub(crate) fn measure(report: &mut Report) {
    let live = record("audiotestsrc is-live=true wave=square samplesperbuffer=480");
    report.at_most("recording, live source: deviation of a period's end", live.deviation, TOLERANCE);
    report.no_frames("recording, live source: silence in the audio", live.gaps);
    let unpaced = record("audiotestsrc wave=square");
    report.at_most("recording, source without a clock: deviation", unpaced.deviation, TOLERANCE);
    report.no_frames("recording, source without a clock: silence in the audio", unpaced.gaps);
    let absent = record("filesrc location={}/nothing ! wavparse");
    report.at_most("recording, no source: deviation of a period's end", absent.deviation, TOLERANCE);
    let file = record("filesrc location={}/in.wav ! wavparse");
    let before = PERIOD * file.before / FRAMES;
    report.at_most("recording, file: silence before the audio", before, Duration::from_millis(100));
    report.no_frames("recording, file: silence in the audio", file.gaps);
}

fn record(source: &str) -> Recording {
    let daemon = Daemon::start_with(&["--sink", "fakesink", "--source", source]);
    write_counting_wav(&daemon, "in.wav", 60 * FRAMES);
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
    let silent = |frame: &&[u8]| **frame == [0; 4];
    let before = all.chunks(4).take_while(silent).count();
    let gaps = all.chunks(4).skip(before).filter(silent).count();
    Recording { deviation, before: u32::try_from(before).unwrap(), gaps }
}
