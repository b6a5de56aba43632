//! Finds the position that each recorded frame has in known audio.
//!
//! A few consecutive frames determine their position, even if one frame has few bits.

use std::cell::OnceCell;
use std::collections::HashMap;

use crate::check::{Checker, Found, Report};

/// Known audio, and the position of each run of frames.
#[derive(Debug)]
pub struct Positions<'a> {
    audio: &'a [u8],
    /// The number of bytes in a frame.
    size: usize,
    /// The number of frames in a run.
    run: usize,
    /// The byte that silent samples consist of.
    silence: u8,
    /// Filled when a frame does not follow its predecessor.
    of_runs: OnceCell<HashMap<&'a [u8], u32>>,
}

impl<'a> Positions<'a> {
    /// Takes audio in which no run of `run` frames occurs twice. A frame has `size` bytes.
    #[must_use]
    pub const fn new(audio: &'a [u8], size: usize, run: usize, silence: u8) -> Self {
        Self { audio, size, run, silence, of_runs: OnceCell::new() }
    }

    /// Returns whether no run occurs twice.
    #[must_use]
    pub fn are_unique(&self) -> bool {
        self.of_runs().len() + self.run == self.audio.len() / self.size + 1
    }

    /// Compares a recording with the audio. Silence before and after the audio is no fault.
    #[must_use]
    pub fn check(&self, recording: &[u8]) -> Report {
        let mut expected = 0;
        let mut find = |frame| {
            let found = self.find(recording, frame * self.size, expected);
            if let Found::Number(number) = found {
                expected = number + 1;
            }
            found
        };
        let found: Vec<Found> = (0..recording.len() / self.size).map(&mut find).collect();
        let frames = u32::try_from(self.audio.len() / self.size).unwrap_or(u32::MAX);
        Checker::new(frames).check(&found)
    }

    /// Identifies the frame at byte `at`, together with the frames after it or those before it.
    fn find(&self, recording: &[u8], at: usize, expected: u32) -> Found {
        let (bytes, end) = (self.run * self.size, at + self.size);
        let from = |start: usize| recording.get(start..start + bytes);
        if let Some(number) = from(at).and_then(|run| self.number(run, expected)) {
            return Found::Number(number);
        }
        // A run consists of a few frames.
        let others = u32::try_from(self.run - 1).unwrap_or(u32::MAX);
        let before = end.checked_sub(bytes).and_then(from);
        if let Some(number) = before.and_then(|run| self.number(run, expected.saturating_sub(others))) {
            return Found::Number(number + others);
        }
        let frame = &recording[at..end];
        if frame.iter().all(|byte| *byte == self.silence) { Found::Silence } else { Found::Foreign }
    }

    /// Returns the number of the first frame of a run, which probably is `expected`.
    fn number(&self, run: &[u8], expected: u32) -> Option<u32> {
        let start = expected as usize * self.size;
        if self.audio.get(start..start + run.len()) == Some(run) {
            return Some(expected);
        }
        self.of_runs().get(run).copied()
    }

    fn of_runs(&self) -> &HashMap<&'a [u8], u32> {
        self.of_runs
            .get_or_init(|| self.audio.windows(self.run * self.size).step_by(self.size).zip(0..).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_occur_twice_are_noticed() {
        assert!(Positions::new(b"abcdef", 1, 2, 0).are_unique());
        assert!(!Positions::new(b"abcabd", 1, 2, 0).are_unique());
    }

    #[test]
    fn one_changed_frame_is_foreign_and_its_neighbours_are_found() {
        let report = Positions::new(b"abcdefghi", 1, 3, 0).check(b"\0abcdXfghi");
        assert_eq!((report.in_order, report.foreign, report.silence_before), (8, 1, 1));
    }
}
