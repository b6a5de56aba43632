//! The counting pattern: audio in which every frame carries its own number.
//!
//! Whoever receives it can tell for each frame whether it is there, once, in its place and
//! bit-exact; [`check`](crate::check) does that. A frame of the pattern is never all zero, so
//! silence that a sink adds around the sound cannot be mistaken for it.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use thiserror::Error;

use crate::check::{Checker, Found, Report};

/// How many frames of the pattern the two samples of one frame can number.
const NUMBERS: u32 = (i16::MAX as u32 - HIGH_BASE + 1) << LOW_BITS;
/// The left sample carries this many low bits of the number.
const LOW_BITS: u32 = 15;
/// What the right sample, which carries the rest, starts from. Not zero, so that no frame is silent.
const HIGH_BASE: u32 = 1000;

/// The samples of one frame, left and right.
pub type Frame = [i16; 2];

/// A counting pattern of so many frames: 48 kHz, S16, stereo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pattern {
    frames: u32,
}

/// The pattern is too long to number its frames.
#[derive(Debug, Error)]
#[error("a counting pattern has at most {NUMBERS} frames, not {frames}")]
pub struct TooLong {
    /// The length asked for.
    pub frames: u32,
}

/// Why a recording could not be compared.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// It is not there, or not a finished WAV file.
    #[error("{path} is not a readable WAV file", path = path.display())]
    Unreadable {
        /// The recording.
        path: PathBuf,
        /// What the reader says.
        source: hound::Error,
    },
    /// It holds something else than what was played.
    #[error("{path} holds {found:?}, but {expected:?} was played", path = path.display())]
    OtherFormat {
        /// The recording.
        path: PathBuf,
        /// Its format.
        found: WavSpec,
        /// The pattern's format.
        expected: WavSpec,
    },
}

impl Pattern {
    /// The rate at which the pattern is played, in frames a second.
    pub const RATE: u32 = 48_000;

    /// A pattern of `frames` frames.
    ///
    /// # Errors
    /// If the format has no room to number that many.
    pub fn new(frames: u32) -> Result<Self, TooLong> {
        if frames > NUMBERS {
            return Err(TooLong { frames });
        }
        Ok(Self { frames })
    }

    /// A pattern that plays for `seconds`, at most 255.
    #[must_use]
    pub fn seconds(seconds: u8) -> Self {
        const { assert!(Self::RATE * (u8::MAX as u32) <= NUMBERS) };
        Self { frames: Self::RATE * u32::from(seconds) }
    }

    /// The number of frames.
    #[must_use]
    pub fn frames(self) -> u32 {
        self.frames
    }

    /// How long it plays.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(1) * self.frames / Self::RATE
    }

    /// The samples of all frames, in order.
    pub fn samples(self) -> impl Iterator<Item = Frame> {
        (0..self.frames).map(encode)
    }

    /// The pattern as bare samples, little-endian.
    #[must_use]
    pub fn to_raw(self) -> Vec<u8> {
        self.samples().flatten().flat_map(i16::to_le_bytes).collect()
    }

    /// The pattern as the bytes of a WAV file.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        reason = "a vector takes all that is written, and NUMBERS frames fit in a WAV file"
    )]
    pub fn to_wav(self) -> Vec<u8> {
        let mut file = Cursor::new(Vec::new());
        self.write(&mut file)
            .expect("a vector takes all that is written, and NUMBERS frames fit in a WAV file");
        file.into_inner()
    }

    fn write(self, file: &mut Cursor<Vec<u8>>) -> hound::Result<()> {
        let mut wav = WavWriter::new(file, self.spec())?;
        for sample in self.samples().flatten() {
            wav.write_sample(sample)?;
        }
        wav.finalize()
    }

    /// Compares a recorded WAV file with the pattern.
    ///
    /// # Errors
    /// If the recording cannot be read or has another format. Wrong frames are no error: they are
    /// what the report tells.
    pub fn check_wav(self, path: &Path) -> Result<Report, RecordingError> {
        let unreadable = |source| RecordingError::Unreadable { path: path.to_owned(), source };
        let wav = WavReader::open(path).map_err(unreadable)?;
        if wav.spec() != self.spec() {
            return Err(RecordingError::OtherFormat {
                path: path.to_owned(),
                found: wav.spec(),
                expected: self.spec(),
            });
        }
        let samples: Vec<i16> = wav.into_samples().collect::<Result<_, _>>().map_err(unreadable)?;
        let (frames, _) = samples.as_chunks::<2>();
        Ok(self.check(frames))
    }

    /// Compares recorded frames with the pattern.
    #[must_use]
    pub fn check(self, frames: &[Frame]) -> Report {
        let found: Vec<Found> = frames.iter().copied().map(decode).collect();
        Checker::new(self.frames).check(&found)
    }

    /// The format of the pattern.
    pub(crate) fn spec(self) -> WavSpec {
        WavSpec {
            channels: 2,
            sample_rate: Self::RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        }
    }
}

/// The frame that carries `number`, which [`Pattern::new`] has bounded by [`NUMBERS`].
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low bits are masked to 15, and below NUMBERS the high part is at most i16::MAX"
)]
fn encode(number: u32) -> Frame {
    let low = number & ((1 << LOW_BITS) - 1);
    let high = (number >> LOW_BITS) + HIGH_BASE;
    [low as i16, high as i16]
}

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
    fn every_frame_decodes_to_its_own_number() {
        for number in (0..NUMBERS).step_by(9973).chain([1, 32767, 32768, NUMBERS - 1]) {
            assert_eq!(decode(encode(number)), Found::Number(number));
        }
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

    #[test]
    fn a_recording_in_another_format_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let file = tempfile::NamedTempFile::new()?;
        let spec = WavSpec { sample_rate: 44_100, ..Pattern::seconds(1).spec() };
        WavWriter::create(file.path(), spec)?.finalize()?;
        let refused = Pattern::seconds(1).check_wav(file.path());
        assert!(matches!(refused, Err(RecordingError::OtherFormat { .. })));
        Ok(())
    }
}
