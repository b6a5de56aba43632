//! Compares a recording with a counting pattern: lost, repeated, misplaced and foreign frames.
//!
//! This module handles frame numbers only; [`pattern`](crate::pattern) encodes them in samples.

use std::fmt;
use std::ops::Range;

use indicatif::HumanCount;

/// The interpretation of a recorded frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The frame holds this number.
    Number(u32),
    /// All samples are zero.
    Silence,
    /// No frame of the pattern has these samples.
    Foreign,
}

/// The result of a comparison.
///
/// Each frame counts once: as `in_order` or as one of the faults. A misplaced frame is not lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The number of frames in the pattern.
    pub expected: u32,
    /// The number of bit-exact frames that follow their predecessor.
    pub in_order: u32,
    /// The number of frames of the pattern that the recording does not contain.
    pub lost: u32,
    /// The number of recorded frames that also occur earlier in the recording.
    pub repeated: u32,
    /// The number of recorded frames that are out of order.
    pub misplaced: u32,
    /// The number of recorded frames within the sound, silent or not, that do not belong to the
    /// pattern.
    pub foreign: u32,
    /// The number of silent frames before the sound. Sinks may add such frames, so they are not
    /// faults.
    pub silence_before: usize,
    /// The number of silent frames after the sound. They are padding of the player or the sink, and
    /// not faults.
    pub silence_after: usize,
    /// The first difference from the pattern.
    pub first_fault: Option<Fault>,
}

/// A difference between recording and pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// The number of recorded frames before the difference.
    pub position: usize,
    /// The expected frame number.
    pub expected: u32,
    /// The frame found instead, or `None` if the recording ends.
    pub found: Option<Found>,
}

/// Compares frame numbers with those of a pattern of known length.
#[derive(Debug)]
pub struct Checker {
    seen: Vec<bool>,
    next: u32,
    report: Report,
}

impl Checker {
    /// Returns a checker for a pattern of `expected` frames.
    #[must_use]
    pub fn new(expected: u32) -> Self {
        Self {
            seen: vec![false; expected as usize],
            next: 0,
            report: Report {
                expected,
                in_order: 0,
                lost: 0,
                repeated: 0,
                misplaced: 0,
                foreign: 0,
                silence_before: 0,
                silence_after: 0,
                first_fault: None,
            },
        }
    }

    /// Compares a whole recording.
    #[must_use]
    pub fn check(mut self, recording: &[Found]) -> Report {
        let sound = sound(recording);
        self.report.silence_before = sound.start;
        self.report.silence_after = recording.len() - sound.end;
        for position in sound.clone() {
            let following = recording[..sound.end].get(position + 1).copied();
            self.compare(position, recording[position], following);
        }
        if self.next != self.report.expected {
            self.fault(sound.end, None);
        }
        let missing = self.seen.iter().filter(|seen| !**seen).count();
        // The number is at most `expected`, which is a `u32`.
        self.report.lost = u32::try_from(missing).unwrap_or(u32::MAX);
        self.report
    }

    fn compare(&mut self, position: usize, found: Found, following: Option<Found>) {
        let Found::Number(number) = found else {
            return self.foreign(position, found);
        };
        let Some(&seen) = self.seen.get(number as usize) else {
            return self.foreign(position, found);
        };
        self.seen[number as usize] = true;

        if number == self.next {
            self.next += 1;
            if seen {
                self.report.repeated += 1;
            } else {
                self.report.in_order += 1;
            }
            return;
        }
        self.fault(position, Some(found));
        // A frame whose successor follows starts a new run: the recording skips forward or back.
        // A single frame is itself misplaced, and the current run continues after that frame.
        let run = match following {
            Some(Found::Number(following)) => following == number + 1,
            _ => number > self.next,
        };
        if run {
            self.next = number + 1;
        }
        match (seen, run) {
            (true, _) => self.report.repeated += 1,
            (false, true) => self.report.in_order += 1,
            (false, false) => self.report.misplaced += 1,
        }
    }

    fn foreign(&mut self, position: usize, found: Found) {
        self.report.foreign += 1;
        self.fault(position, Some(found));
    }

    fn fault(&mut self, position: usize, found: Option<Found>) {
        self.report.first_fault.get_or_insert(Fault { position, expected: self.next, found });
    }
}

/// Returns the range from the first to the last frame that is not silent.
fn sound(recording: &[Found]) -> Range<usize> {
    let audible = |found: &Found| *found != Found::Silence;
    match recording.iter().position(audible) {
        Some(first) => {
            let last = recording.iter().rposition(audible).unwrap_or(first);
            first..last + 1
        }
        None => recording.len()..recording.len(),
    }
}

impl Report {
    /// Returns whether every frame of the pattern was recorded bit-exact, once and in order.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.in_order == self.expected && self.first_fault.is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} frames bit-exact and in order, {} lost, {} repeated",
            HumanCount(self.in_order.into()),
            HumanCount(self.expected.into()),
            HumanCount(self.lost.into()),
            HumanCount(self.repeated.into()),
        )?;
        if self.misplaced > 0 || self.foreign > 0 {
            write!(
                f,
                ", {} misplaced, {} foreign",
                HumanCount(self.misplaced.into()),
                HumanCount(self.foreign.into()),
            )?;
        }
        match self.first_fault {
            None => write!(f, ", first and last frame present"),
            Some(fault) => write!(f, "; {fault}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, expected, .. } = self;
        write!(f, "first fault at recorded frame {position}: ")?;
        match self.found {
            Some(Found::Number(number)) => write!(f, "number {number} instead of {expected}"),
            Some(Found::Silence) => write!(f, "silence instead of number {expected}"),
            Some(Found::Foreign) => write!(f, "foreign samples instead of number {expected}"),
            None => write!(f, "the recording ends before number {expected}"),
        }
    }
}

#[cfg(test)]
mod tests;
