//! Recordings of the firmware's sound: the counting pattern once for each combination, with silence
//! between the patterns.

use anyhow::{Result, bail};
use end_to_end::pattern::Pattern;
use end_to_end::wav::Frame;

/// The number of frames that the firmware plays with one combination.
const FRAMES: u32 = 24_000;

/// Fails unless the samples, left and right in turn, are the complete pattern `times` times.
pub(super) fn judge(samples: &[i16], times: usize) -> Result<()> {
    let (frames, _) = samples.as_chunks::<2>();
    let pattern = Pattern::new(FRAMES)?;
    let pieces: Vec<&[Frame]> = frames.split(|frame| *frame == [0, 0]).filter(|it| !it.is_empty()).collect();
    for piece in &pieces {
        let report = pattern.check(piece);
        if !report.is_exact() {
            bail!("a recording differs from what was played: {report}");
        }
    }
    if pieces.len() != times {
        bail!("{} recordings of {times}; some combinations played nothing", pieces.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(times: usize) -> Result<Vec<i16>> {
        let piece = Pattern::new(FRAMES)?.samples().chain([[0, 0]; 100]);
        let piece: Vec<i16> = piece.flatten().collect();
        Ok(piece.repeat(times))
    }

    #[test]
    fn complete_patterns_with_silence_between_are_correct() -> Result<()> {
        judge(&played(2)?, 2)
    }

    #[test]
    fn a_missing_piece_or_a_gap_in_one_is_a_fault() -> Result<()> {
        assert!(judge(&played(1)?, 2).is_err());
        let mut gap = played(1)?;
        gap.drain(1000..1002);
        assert!(judge(&gap, 1).is_err());
        Ok(())
    }
}
