//! How far a sink has played, as the audio process reports it.

use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use super::fields::Field;
use super::shared_area::SharedArea;
use crate::pcm::Params;
use crate::timeline::{Segment, Timeline};

/// How often a reader tries to read words that belong together. A writer that is not hostile
/// changes them a few times in a period.
const ATTEMPTS: usize = 8;

/// The progress of a take that plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which audio process has reported it: the number with which the take was opened.
    pub generation: u64,
    /// What the sink does.
    pub sink: SinkProgress,
}

/// What a sink does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkProgress {
    /// The sink is being opened for the first time, and will play all audio.
    Opening,
    /// The sink cannot be opened, or has failed. A new sink will start at the guest's position.
    Lost,
    /// The sink is open.
    Open {
        /// When `running` was read, in nanoseconds of CLOCK_MONOTONIC.
        sampled_at: u64,
        /// The running time of the pipeline; `None` if it does not play.
        running: Option<Duration>,
        /// The frames that are being heard.
        segment: Segment,
    },
}

impl SinkProgress {
    /// Returns the number of the frame that is about to be heard `age` after the running time was
    /// read; `None` if no sink is open.
    pub(crate) fn heard(&self, params: &Params, age: Duration) -> Option<u64> {
        match *self {
            Self::Opening | Self::Lost => None,
            Self::Open { running, segment, .. } => {
                let running = running.map(|running| running.saturating_add(age));
                Some(Timeline::resume(*params, segment).heard(running))
            }
        }
    }
}

impl Progress {
    /// Makes the progress visible to the card.
    pub(super) fn write(&self, area: &SharedArea) {
        let version = area.get(Field::Version);
        area.set(Field::Version, version | 1);
        // Pairs with the fence in `read`: a reader that sees one of the following words sees the
        // odd version.
        fence(Ordering::Release);
        let (sink, [at, running, first, segment_at, next]) = match self.sink {
            SinkProgress::Opening => (0, [0; 5]),
            SinkProgress::Lost => (1, [0; 5]),
            SinkProgress::Open { sampled_at, running, segment } => {
                let running = running.map_or(u64::MAX, nanos);
                (2, [sampled_at, running, segment.first, nanos(segment.at), segment.next])
            }
        };
        area.set(Field::Generation, self.generation);
        area.set(Field::Sink, sink);
        area.set(Field::SampledAt, at);
        area.set(Field::Running, running);
        area.set(Field::SegmentFirst, first);
        area.set(Field::SegmentAt, segment_at);
        area.set(Field::SegmentNext, next);
        // Pairs with the load in `read`: a reader that sees the even version sees the words.
        area.word(Field::Version).store((version | 1).wrapping_add(1), Ordering::Release);
    }

    /// Reads the progress; `None` if it changes during each attempt. No frame number exceeds
    /// `written`.
    pub(super) fn read(area: &SharedArea, written: u64) -> Option<Self> {
        (0..ATTEMPTS).find_map(|_| {
            // Pairs with the store at the end of `write`.
            let version = area.word(Field::Version).load(Ordering::Acquire);
            let progress = Self::read_once(area, written);
            // Pairs with the fence in `write`.
            fence(Ordering::Acquire);
            (version.is_multiple_of(2) && area.get(Field::Version) == version).then_some(progress)
        })
    }

    fn read_once(area: &SharedArea, written: u64) -> Self {
        let frame = |field| area.get(field).min(written);
        let sink = match area.get(Field::Sink) {
            0 => SinkProgress::Opening,
            2 => {
                let running = area.get(Field::Running);
                let running = (running != u64::MAX).then(|| Duration::from_nanos(running));
                let next = frame(Field::SegmentNext);
                let first = area.get(Field::SegmentFirst).min(next);
                let at = Duration::from_nanos(area.get(Field::SegmentAt));
                SinkProgress::Open {
                    sampled_at: area.get(Field::SampledAt),
                    running,
                    segment: Segment { first, at, next },
                }
            }
            _ => SinkProgress::Lost,
        };
        Self { generation: area.get(Field::Generation), sink }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Progress {
        let segment = Segment { first: 480, at: Duration::from_millis(3), next: 960 };
        let running = Some(Duration::from_millis(8));
        Progress { generation: 3, sink: SinkProgress::Open { sampled_at: 5, running, segment } }
    }

    #[test]
    fn progress_is_read_as_it_was_written() {
        let area = SharedArea::create(4).unwrap();
        let others = [SinkProgress::Opening, SinkProgress::Lost].map(|sink| Progress { generation: 2, sink });
        for progress in [open(), others[0], others[1]] {
            progress.write(&area);
            assert_eq!(Progress::read(&area, 960), Some(progress));
        }
    }

    #[test]
    fn progress_that_is_being_written_is_not_read() {
        let area = SharedArea::create(4).unwrap();
        open().write(&area);
        area.set(Field::Version, 7);
        assert_eq!(Progress::read(&area, 960), None);
    }

    #[test]
    fn no_value_of_the_other_process_panics_or_exceeds_the_frames_written() {
        let params = crate::pcm::tests::s16_stereo();
        let values = [0, 1, 2, 1 << 40, u64::MAX / 2, u64::MAX - 1, u64::MAX];
        let area = SharedArea::create(4).unwrap();
        area.set(Field::Sink, 2);
        for (running, at) in values.into_iter().flat_map(|value| values.map(|other| (value, other))) {
            for (first, next) in values.into_iter().flat_map(|value| values.map(|other| (value, other))) {
                area.set(Field::Running, running);
                area.set(Field::SegmentAt, at);
                area.set(Field::SegmentFirst, first);
                area.set(Field::SegmentNext, next);
                let progress = Progress::read(&area, 480).unwrap();
                let heard = progress.sink.heard(&params, Duration::from_secs(1));
                assert!(heard.is_some_and(|heard| heard <= 480));
            }
        }
    }
}
