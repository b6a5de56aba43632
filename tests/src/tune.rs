//! A tune for listening and for comparison bit by bit: broken chords of plucked notes.
//!
//! The low bits of each sample are pseudo-random, like dither. So a few frames determine their
//! position, although the chords repeat.

use std::f64::consts::TAU;
use std::path::Path;
use std::time::Duration;

use crate::check::Report;
use crate::positions::Positions;
use crate::random::mix;
use crate::wav::{self, Frame, RATE, RecordingError};

/// The frames from one note to the next.
const NOTE_FRAMES: u32 = RATE / 4;
/// The number of notes after which a note is no longer heard.
const HEARD: u32 = 8;
/// The seconds in which the level of a note falls to 37 %.
const DECAY: f64 = 0.4;
/// The seconds in which a note reaches its level.
const ATTACK: f64 = 0.004;
/// The level of a note, as a part of full scale. With the notes before, the sum is below 1.
const LEVEL: f64 = 0.95;
/// The levels of the multiples of a note's frequency.
const HARMONICS: [f64; 3] = [0.62, 0.26, 0.12];
/// The notes of each chord in semitones above C4: C major, A minor, F major, G major.
const CHORDS: [[i32; 5]; 4] = [[0, 7, 12, 16, 19], [-3, 4, 9, 12, 16], [-7, 0, 5, 9, 12], [-5, 2, 7, 11, 14]];
/// The frequency of C4 in Hz.
const C4: f64 = 261.6256;
/// The left channel's part of a note's level, in turns; the right channel has the rest.
const LEFT: [f64; 2] = [0.75, 0.35];
/// The number of pseudo-random bits in a sample.
const RANDOM_BITS: u32 = 2;
/// The number of frames that determine their position: they have 64 pseudo-random bits.
const RUN: usize = 16;
/// The number of bytes in a frame.
const FRAME_BYTES: usize = size_of::<Frame>();

/// The first seconds of the tune, which has no end: 48 kHz, S16, stereo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tune {
    frames: Vec<Frame>,
}

impl Tune {
    /// Returns the first `seconds` of the tune. A longer tune starts with the same frames.
    #[must_use]
    pub fn seconds(seconds: u8) -> Self {
        Self { frames: (0..RATE * u32::from(seconds)).map(frame).collect() }
    }

    /// Returns the first `seconds` of this tune.
    #[must_use]
    pub fn beginning(&self, seconds: u8) -> Self {
        let count = (RATE * u32::from(seconds)) as usize;
        Self { frames: self.frames.iter().take(count).copied().collect() }
    }

    /// Returns the frames.
    #[must_use]
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// Returns the duration of the tune.
    #[must_use]
    pub fn duration(&self) -> Duration {
        // A tune has at most 255 seconds.
        Duration::from_secs(1) * u32::try_from(self.frames.len()).unwrap_or(u32::MAX) / RATE
    }

    /// Returns the tune as the bytes of a WAV file.
    #[must_use]
    #[expect(clippy::missing_panics_doc, reason = "writing to a vector does not fail")]
    pub fn to_wav(&self) -> Vec<u8> {
        wav::to_bytes(self.frames.iter().copied())
            .expect("writing to a vector does not fail, and 255 seconds fit into a WAV file")
    }

    /// Compares a recorded WAV file with the tune.
    ///
    /// # Errors
    /// Fails if the recording cannot be read or has another format. Wrong frames are not an error;
    /// the report counts them.
    pub fn check_wav(&self, path: &Path) -> Result<Report, RecordingError> {
        Ok(check(&self.frames, &wav::read(path)?))
    }

    /// Compares recorded frames with the beginning of the tune. Silence may precede the frames.
    #[must_use]
    pub fn check_beginning(&self, recorded: &[Frame]) -> Report {
        let silence = recorded.iter().take_while(|frame| **frame == [0, 0]).count();
        let expected = (recorded.len() - silence).min(self.frames.len());
        check(&self.frames[..expected], recorded)
    }
}

/// Compares recorded frames with sent ones.
fn check(sent: &[Frame], recorded: &[Frame]) -> Report {
    let (sent, recorded) = (bytes(sent), bytes(recorded));
    Positions::new(&sent, FRAME_BYTES, RUN, 0).check(&recorded)
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flatten().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Returns the frame at a position of the tune.
fn frame(number: u32) -> Frame {
    let time = f64::from(number) / f64::from(RATE);
    let latest = number / NOTE_FRAMES;
    let sounding = latest.saturating_sub(HEARD)..=latest;
    let (mut left, mut right) = (0.0, 0.0);
    for note in sounding {
        let age = time - f64::from(note * NOTE_FRAMES) / f64::from(RATE);
        let (level, part) = (level(note, age), LEFT[note as usize % LEFT.len()]);
        left += level * part;
        right += level * (1.0 - part);
    }
    let random = mix(u64::from(number));
    [sample(left, random), sample(right, random >> RANDOM_BITS)]
}

/// Returns the level of a note that was plucked `age` seconds ago.
fn level(note: u32, age: f64) -> f64 {
    let note = note as usize;
    let chord = CHORDS[note / CHORDS[0].len() % CHORDS.len()];
    let frequency = C4 * (f64::from(chord[note % chord.len()]) / 12.0).exp2();
    let multiples = HARMONICS.iter().zip([1.0, 2.0, 3.0]);
    let wave: f64 = multiples.map(|(level, times)| level * (TAU * frequency * times * age).sin()).sum();
    LEVEL * wave * (age / ATTACK).min(1.0) * (-age / DECAY).exp()
}

/// Returns a level as a sample with pseudo-random low bits.
#[expect(clippy::cast_possible_truncation, reason = "levels are below 1, and the random bits are masked")]
fn sample(level: f64, random: u64) -> i16 {
    let mask = (1 << RANDOM_BITS) - 1;
    let exact = (level * f64::from(i16::MAX)) as i16;
    exact & !mask | random as i16 & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_frames_of_the_tune_determine_their_position() {
        let tune = bytes(Tune::seconds(7).frames());
        assert!(Positions::new(&tune, FRAME_BYTES, RUN, 0).are_unique());
    }

    #[test]
    fn the_tune_is_loud_and_does_not_clip() {
        let tune = Tune::seconds(6);
        let peak = |channel: usize| tune.frames().iter().map(|it| it[channel].unsigned_abs()).max();
        for channel in [0, 1] {
            let peak = peak(channel).unwrap_or(0);
            assert!((12_000..32_000).contains(&peak), "channel {channel}: {peak}");
        }
    }

    #[test]
    fn the_tune_itself_is_exact_and_a_single_changed_bit_is_not() {
        let tune = Tune::seconds(1);
        let mut recorded = [vec![[0, 0]; 100], tune.frames().to_vec(), vec![[0, 0]; 10]].concat();
        let report = check(tune.frames(), &recorded);
        assert!(report.is_exact(), "{report}");
        assert_eq!((report.silence_before, report.silence_after), (100, 10));
        recorded[5000][1] ^= 1;
        let report = check(tune.frames(), &recorded);
        assert_eq!((report.in_order, report.foreign, report.lost), (RATE - 1, 1, 1));
    }

    #[test]
    fn a_lost_period_is_counted() {
        let tune = Tune::seconds(1);
        let recorded = [&tune.frames()[..4800], &tune.frames()[5280..]].concat();
        let report = check(tune.frames(), &recorded);
        assert_eq!((report.in_order, report.lost, report.foreign), (RATE - 480, 480, 0), "{report}");
    }

    #[test]
    fn a_longer_tune_is_compared_by_its_beginning() {
        let (short, long) = (Tune::seconds(1), Tune::seconds(2));
        let report = long.check_beginning(short.frames());
        assert!(report.is_exact() && report.expected == RATE, "{report}");
    }
}
