//! WAV files of the demo's and the tests' only format: 48 kHz, S16, stereo.

use std::io::{Cursor, Seek, Write};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use thiserror::Error;

/// The samples of one frame, left and right.
pub type Frame = [i16; 2];

/// Frames in a second.
pub const RATE: u32 = 48_000;

/// The format.
pub const SPEC: WavSpec =
    WavSpec { channels: 2, sample_rate: RATE, bits_per_sample: 16, sample_format: SampleFormat::Int };

/// An error of reading a recording.
#[derive(Debug, Error)]
pub enum RecordingError {
    /// The file does not exist or is not a finished WAV file.
    #[error("{path} is not a readable WAV file", path = path.display())]
    Unreadable {
        /// The recording.
        path: PathBuf,
        /// The reader's error.
        source: hound::Error,
    },
    /// The recording has another format.
    #[error("{path} holds {found:?}, but {expected:?} was played", path = path.display())]
    OtherFormat {
        /// The recording.
        path: PathBuf,
        /// The recording's format.
        found: WavSpec,
        /// The expected format.
        expected: WavSpec,
    },
}

/// Reads all frames of a file.
///
/// # Errors
/// Fails if the file cannot be read or has another format.
pub fn read(path: &Path) -> Result<Vec<Frame>, RecordingError> {
    let unreadable = |source| RecordingError::Unreadable { path: path.to_owned(), source };
    let wav = WavReader::open(path).map_err(unreadable)?;
    if wav.spec() != SPEC {
        return Err(RecordingError::OtherFormat { path: path.to_owned(), found: wav.spec(), expected: SPEC });
    }
    let samples: Vec<i16> = wav.into_samples().collect::<Result<_, _>>().map_err(unreadable)?;
    Ok(samples.as_chunks().0.to_vec())
}

/// Returns frames as the bytes of a WAV file.
///
/// # Errors
/// Fails if a WAV file cannot hold that many frames.
pub fn to_bytes(frames: impl IntoIterator<Item = Frame>) -> hound::Result<Vec<u8>> {
    let mut file = Cursor::new(Vec::new());
    write(&mut file, frames)?;
    Ok(file.into_inner())
}

fn write(file: impl Write + Seek, frames: impl IntoIterator<Item = Frame>) -> hound::Result<()> {
    let mut wav = WavWriter::new(file, SPEC)?;
    for sample in frames.into_iter().flatten() {
        wav.write_sample(sample)?;
    }
    wav.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_were_written() -> Result<(), Box<dyn std::error::Error>> {
        let file = tempfile::NamedTempFile::new()?;
        let frames = [[1, -1], [i16::MIN, i16::MAX]];
        std::fs::write(file.path(), to_bytes(frames)?)?;
        assert_eq!(read(file.path())?, frames);
        Ok(())
    }

    #[test]
    fn a_recording_in_another_format_is_refused() -> Result<(), Box<dyn std::error::Error>> {
        let file = tempfile::NamedTempFile::new()?;
        WavWriter::create(file.path(), WavSpec { sample_rate: 44_100, ..SPEC })?.finalize()?;
        assert!(matches!(read(file.path()), Err(RecordingError::OtherFormat { .. })));
        Ok(())
    }
}
