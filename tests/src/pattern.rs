//! The counting pattern: audio in which every frame holds its own number.
//!
//! [`check`](crate::check) determines for each frame whether the frame was received, once, in order
//! and bit-exact. No frame of the pattern is silent, so silence that a sink adds before and after
//! the sound is not mistaken for the pattern.

use std::path::Path;
use std::time::Duration;

use thiserror::Error;

use crate::check::{Checker, Found, Report};
use crate::wav::{self, Frame, RecordingError};

/// The number of different frames. The two samples of a frame hold its number.
const NUMBERS: u32 = (i16::MAX as u32 - HIGH_BASE + 1) << LOW_BITS;
/// The number of low bits that the left sample holds.
const LOW_BITS: u32 = 15;
/// The right sample's value for high bits of 0. Not zero, so that no frame is silent.
const HIGH_BASE: u32 = 1000;

/// A counting pattern of a number of frames: 48 kHz, S16, stereo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    frames: u32,
}

/// The pattern is too long to number its frames.
#[derive(Debug, Error)]
#[error("a counting pattern has at most {NUMBERS} frames, not {frames}")]
pub struct TooLong {
    /// The requested length.
    pub frames: u32,
}

impl Pattern {
    /// The rate at which the pattern is played, in frames a second.
    pub const RATE: u32 = wav::RATE;

    /// Returns a pattern of `frames` frames.
    ///
    /// # Errors
    /// Fails if the samples of a frame cannot hold these numbers.
    pub fn new(frames: u32) -> Result<Self, TooLong> {
        if frames > NUMBERS {
            return Err(TooLong { frames });
        }
        Ok(Self { frames })
    }

    /// Returns a pattern that plays for `seconds`.
    #[must_use]
    pub fn seconds(seconds: u8) -> Self {
        const { assert!(Self::RATE * (u8::MAX as u32) <= NUMBERS) };
        Self { frames: Self::RATE * u32::from(seconds) }
    }

    /// Returns the number of frames.
    #[must_use]
    pub fn frames(self) -> u32 {
        self.frames
    }

    /// Returns the duration of the pattern.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(1) * self.frames / Self::RATE
    }

    /// Returns the samples of all frames in order.
    pub fn samples(self) -> impl Iterator<Item = Frame> {
        (0..self.frames).map(encode)
    }

    /// Returns the pattern as raw little-endian samples.
    #[must_use]
    pub fn to_raw(self) -> Vec<u8> {
        self.samples().flatten().flat_map(i16::to_le_bytes).collect()
    }

    /// Returns the pattern as the bytes of a WAV file.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "writing to a vector does not fail, and NUMBERS frames fit into a WAV file"
    )]
    pub fn to_wav(self) -> Vec<u8> {
        wav::to_bytes(self.samples())
            .expect("writing to a vector does not fail, and NUMBERS frames fit into a WAV file")
    }

    /// Returns what each frame of raw little-endian samples is. An incomplete frame at the end is
    /// ignored.
    #[must_use]
    pub fn found(raw: &[u8]) -> Vec<Found> {
        let frames = raw.as_chunks::<4>().0.iter();
        frames.map(|[a, b, c, d]| decode([[*a, *b], [*c, *d]].map(i16::from_le_bytes))).collect()
    }

    /// Compares a recorded WAV file with the pattern.
    ///
    /// # Errors
    /// Fails if the recording cannot be read or has another format. Wrong frames are not an error;
    /// the report counts them.
    pub fn check_wav(self, path: &Path) -> Result<Report, RecordingError> {
        Ok(self.check(&wav::read(path)?))
    }

    /// Compares recorded frames with the pattern.
    #[must_use]
    pub fn check(self, frames: &[Frame]) -> Report {
        let found: Vec<Found> = frames.iter().copied().map(decode).collect();
        Checker::new(self.frames).check(&found)
    }
}

/// Returns the frame that holds `number`. [`Pattern::new`] bounds the number by [`NUMBERS`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits are masked to 15, and below NUMBERS the high part is at most i16::MAX"
)]
fn encode(number: u32) -> Frame {
    let low = number & ((1 << LOW_BITS) - 1);
    let high = (number >> LOW_BITS) + HIGH_BASE;
    [low as i16, high as i16]
}

/// Returns what a recorded frame is.
fn decode(frame: Frame) -> Found {
    if frame == [0, 0] {
        return Found::Silence;
    }
    let [low, high] = frame.map(u32::try_from);
    match (low, high) {
        (Ok(low), Ok(high)) if high >= HIGH_BASE => Found::Number(((high - HIGH_BASE) << LOW_BITS) | low),
        _ => Found::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_decodes_to_its_number() {
        for number in (0..NUMBERS).step_by(9973).chain([1, 32767, 32768, NUMBERS - 1]) {
            assert_eq!(decode(encode(number)), Found::Number(number));
        }
    }

    #[test]
    fn raw_samples_are_decoded_frame_by_frame() {
        let raw = [Pattern { frames: 2 }.to_raw(), vec![0; 5]].concat();
        assert_eq!(Pattern::found(&raw), [Found::Number(0), Found::Number(1), Found::Silence]);
    }

    #[test]
    fn no_frame_of_the_pattern_is_silent() {
        assert_eq!(encode(0), [0, 1000]);
        assert_eq!(decode([0, 0]), Found::Silence);
    }

    #[test]
    fn samples_below_the_pattern_are_foreign() {
        assert_eq!(decode([-1, 1000]), Found::Foreign);
        assert_eq!(decode([0, 999]), Found::Foreign);
        assert_eq!(decode([0, -1000]), Found::Foreign);
    }

    #[test]
    fn a_pattern_longer_than_its_numbers_is_refused() {
        assert!(Pattern::new(NUMBERS).is_ok());
        assert!(Pattern::new(NUMBERS + 1).is_err());
    }

    #[test]
    fn a_wav_file_of_the_pattern_is_found_exact() -> Result<(), Box<dyn std::error::Error>> {
        let file = tempfile::NamedTempFile::new()?;
        let pattern = Pattern::seconds(1);
        std::fs::write(file.path(), pattern.to_wav())?;
        let report = pattern.check_wav(file.path())?;
        assert!(report.is_exact(), "{report}");
        Ok(())
    }
}
