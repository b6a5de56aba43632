//! The gaps that interruptions of the audio process leave. They are counted in frames.

use std::error::Error;

use end_to_end::check::Found;
use end_to_end::pattern::Pattern;
use end_to_end::runs::runs;

/// The largest number of frames that the next audio process may write again. `filesink` writes a
/// buffer when its first frame is heard, and a buffer has at most the audio of `--latency`, 500 ms.
const REPEATED: i64 = 24_000;

/// A place at which a recording does not continue with the next frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    /// The number of frames before the gap.
    pub(super) position: usize,
    /// The number of missing frames. Negative if frames were repeated.
    pub(super) frames: i64,
}

impl Gap {
    /// Asserts that the gap is not longer than `limit`, and that few frames were repeated.
    pub(super) fn assert_at_most(self, limit: i64) {
        assert!((-REPEATED..=limit).contains(&self.frames), "{self:?}");
    }
}

/// Returns the gaps of what was played. Asserts that it begins with the first frame and ends with
/// the last one, without silence.
pub(super) fn of_playback(played: &[u8], pattern: Pattern) -> Result<Vec<Gap>, Box<dyn Error>> {
    let played = runs(&Pattern::found(played))?;
    assert!(played.iter().all(|run| run.silence == 0), "{played:?}");
    assert_eq!(played.first().map(|run| run.first), Some(0));
    assert_eq!(played.last().map(|run| run.end), Some(pattern.frames()), "the last frame was not heard");
    let gaps = played.windows(2).map(|pair| Gap {
        position: pair[1].position,
        frames: i64::from(pair[1].first) - i64::from(pair[0].end),
    });
    let gaps: Vec<Gap> = gaps.collect();
    let frames: Vec<i64> = gaps.iter().map(|gap| gap.frames).collect();
    println!("gaps of playback in frames, negative if frames were written again: {frames:?}");
    Ok(gaps)
}

/// Returns the gaps of what was recorded, one for each beginning of the source but the first.
/// Asserts that all frames of the source are in order in between.
pub(super) fn of_recording(recorded: &[Found], pattern: Pattern) -> Result<Vec<Gap>, Box<dyn Error>> {
    assert_eq!(recorded.len(), pattern.frames() as usize);
    let (mut gaps, mut late) = (Vec::new(), 0);
    for pair in runs(recorded)?.windows(2) {
        let frames = i64::try_from(pair[1].silence)?;
        match pair[1].first {
            0 => gaps.push(Gap { position: pair[1].position, frames }),
            // On a busy machine, the source was late.
            next if next == pair[0].end => late += frames,
            _ => panic!("frames are lost between {:?} and {:?}", pair[0], pair[1]),
        }
    }
    let frames: Vec<i64> = gaps.iter().map(|gap| gap.frames).collect();
    println!("gaps of the recording in frames: {frames:?}, and {late} frames of silence elsewhere");
    Ok(gaps)
}
