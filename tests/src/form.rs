//! Forms of audio, and a counting pattern for each form.
//!
//! Even if a frame has few bits, a few consecutive frames determine their position in the pattern.

use std::fmt;

use crate::check::Report;
use crate::positions::Positions;
use crate::random::mix;

/// A sample format of ALSA, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Unsigned 8 bits.
    U8,
    /// Signed 16 bits.
    S16,
    /// Signed 24 bits in the low bits of four bytes.
    S24,
    /// Signed 32 bits.
    S32,
    /// 32-bit floating-point numbers.
    Float,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [Self::U8, Self::S16, Self::S24, Self::S32, Self::Float];

    /// Returns the name that `aplay -f` takes.
    #[must_use]
    pub const fn alsa_name(self) -> &'static str {
        match self {
            Self::U8 => "U8",
            Self::S16 => "S16_LE",
            Self::S24 => "S24_LE",
            Self::S32 => "S32_LE",
            Self::Float => "FLOAT_LE",
        }
    }

    /// Returns the number of bytes of a sample.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::S16 => 2,
            Self::S24 | Self::S32 | Self::Float => 4,
        }
    }

    /// Returns the byte that silent samples consist of.
    const fn silence(self) -> u8 {
        match self {
            Self::U8 => 0x80,
            _ => 0,
        }
    }

    /// Appends a sample that is made from random bits.
    #[expect(clippy::cast_possible_truncation, reason = "a part of the random bits suffices")]
    fn sample(self, bits: u64, into: &mut Vec<u8>) {
        let bits = (bits >> 32) as u32;
        match self {
            Self::U8 => into.push(bits as u8),
            Self::S16 => into.extend((bits as u16).to_le_bytes()),
            Self::S24 => into.extend((bits.cast_signed() >> 8).to_le_bytes()),
            Self::S32 => into.extend(bits.to_le_bytes()),
            Self::Float => {
                let sample = (f64::from(bits.cast_signed()) / -f64::from(i32::MIN)) as f32;
                into.extend(sample.to_le_bytes());
            }
        }
    }
}

/// The format, channels and rate of audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The format of the samples.
    pub format: Format,
    /// The number of samples in a frame.
    pub channels: u8,
    /// Frames per second.
    pub rate: u32,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} channels, {} Hz", self.format.alsa_name(), self.channels, self.rate)
    }
}

impl Form {
    /// Returns the number of bytes of a frame.
    #[must_use]
    pub fn frame_bytes(self) -> usize {
        self.format.bytes() * usize::from(self.channels)
    }

    /// Returns the options of `aplay` and `arecord` for this form.
    #[must_use]
    pub fn alsa_options(self) -> String {
        format!("-t raw -f {} -c {} -r {}", self.format.alsa_name(), self.channels, self.rate)
    }

    /// Returns the first `frames` frames of the counting pattern of `seed`.
    #[must_use]
    pub fn pattern(self, seed: u32, frames: u32) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(frames as usize * self.frame_bytes());
        for frame in 0..u64::from(frames) {
            for channel in 0..u64::from(self.channels) {
                self.format.sample(mix(u64::from(seed) << 40 | frame << 8 | channel), &mut bytes);
            }
        }
        bytes
    }

    /// Compares a recording with the first `frames` frames of the counting pattern of `seed`.
    #[must_use]
    pub fn check(self, seed: u32, frames: u32, recording: &[u8]) -> Report {
        let size = self.frame_bytes();
        let pattern = self.pattern(seed, frames);
        let key_frames = KEY_BYTES.div_ceil(size);
        Positions::new(&pattern, size, key_frames, self.format.silence()).check(recording)
    }

    /// Converts frames from GStreamer's channel order to ALSA's.
    ///
    /// In GStreamer's order, centre and low frequencies precede the rear channels.
    #[must_use]
    pub fn in_alsa_order(self, frames: &[u8]) -> Vec<u8> {
        let order: &[usize] = match self.channels {
            6 => &[0, 1, 4, 5, 2, 3],
            8 => &[0, 1, 4, 5, 2, 3, 6, 7],
            _ => return frames.to_vec(),
        };
        let size = self.format.bytes();
        let frames = frames.chunks_exact(self.frame_bytes());
        frames
            .flat_map(|frame| order.iter().flat_map(move |from| &frame[from * size..][..size]))
            .copied()
            .collect()
    }
}

/// Random bytes of this length do not occur twice in a pattern.
const KEY_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn forms() -> impl Iterator<Item = Form> {
        let form = |format| [1, 2, 6, 8].map(|channels| Form { format, channels, rate: 48_000 });
        Format::ALL.into_iter().flat_map(form)
    }

    #[test]
    fn a_whole_pattern_of_any_form_is_exact_and_one_with_a_gap_is_not() {
        for form in forms() {
            let pattern = form.pattern(0, 2000);
            assert_eq!(pattern.len(), 2000 * form.frame_bytes());
            let report = form.check(0, 2000, &pattern);
            assert!(report.is_exact(), "{form}: {report}");
            let size = form.frame_bytes();
            let gap = [&pattern[..500 * size], &pattern[600 * size..]].concat();
            let report = form.check(0, 2000, &gap);
            assert_eq!((report.lost, report.foreign, report.misplaced), (100, 0, 0), "{form}: {report}");
        }
    }

    #[test]
    fn a_changed_frame_is_foreign() {
        for form in forms().filter(|form| form.frame_bytes() >= KEY_BYTES) {
            let mut pattern = form.pattern(0, 100);
            pattern[50 * form.frame_bytes()] ^= 1;
            let report = form.check(0, 100, &pattern);
            assert_eq!((report.foreign, report.lost), (1, 1), "{form}: {report}");
        }
    }

    #[test]
    fn silence_around_the_sound_is_no_fault() {
        let form = Form { format: Format::S16, channels: 1, rate: 48_000 };
        let recording = [vec![0; 200], form.pattern(0, 500), vec![0; 20]].concat();
        let report = form.check(0, 500, &recording);
        assert!(report.is_exact(), "{report}");
        assert_eq!((report.silence_before, report.silence_after), (100, 10));
    }

    #[test]
    fn the_channel_order_of_alsa_is_restored() {
        let form = Form { format: Format::S16, channels: 6, rate: 48_000 };
        let frame = |samples: [u8; 6]| samples.iter().flat_map(|sample| [*sample, 0]).collect::<Vec<_>>();
        assert_eq!(form.in_alsa_order(&frame([1, 2, 5, 6, 3, 4])), frame([1, 2, 3, 4, 5, 6]));
    }
}
