//! The mapping of frames to a pipeline's running time.

use std::time::Duration;

use crate::pcm::Params;

/// The lead of audio that follows a gap: enough for a sink to take the audio in time.
const LEAD: Duration = Duration::from_millis(20);

/// Maps frames to a pipeline's running time.
///
/// Contiguous frames are scheduled without a gap. A new segment begins after a discontinuity: where
/// frames come too late, because the guest paused or did not keep up, or where frames are missing.
#[derive(Debug)]
pub struct Timeline {
    params: Params,
    /// The first frame of the segment.
    first: u64,
    /// The running time at which `first` is heard.
    at: Duration,
    /// The next frame to schedule.
    next: u64,
}

/// Contiguous frames, the last ones on a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The first frame.
    pub first: u64,
    /// The running time at which `first` is heard.
    pub at: Duration,
    /// The frame after the last one.
    pub next: u64,
}

/// The running times at which frames are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The running time of the first frame.
    pub start: Duration,
    /// The running time after the last frame.
    pub end: Duration,
    /// Whether a new segment begins.
    pub discontinuity: bool,
}

impl Timeline {
    /// Continues a timeline from what [`segment`](Self::segment) has returned.
    pub(crate) const fn resume(params: Params, segment: Segment) -> Self {
        let Segment { first, at, next } = segment;
        Self { params, first, at, next }
    }

    /// Returns the frames that are being heard.
    pub const fn segment(&self) -> Segment {
        Segment { first: self.first, at: self.at, next: self.next }
    }

    /// Creates a timeline on which frame `first` is heard at running time 0.
    pub const fn new(params: Params, first: u64) -> Self {
        Self { params, first, at: Duration::ZERO, next: first }
    }

    /// Schedules `frames` frames from `first` on. `now` is the running time, if the pipeline plays.
    pub fn schedule(&mut self, first: u64, frames: u64, now: Option<Duration>) -> Slot {
        let late = now.is_some_and(|now| self.time_of(first) < now);
        let discontinuity = late || first != self.next;
        if discontinuity {
            self.at = self.time_of(self.next).max(now.map_or(Duration::ZERO, |now| now + LEAD));
            self.first = first;
        }
        self.next = first + frames;
        Slot { start: self.time_of(first), end: self.time_of(self.next), discontinuity }
    }

    fn time_of(&self, frame: u64) -> Duration {
        self.at + self.params.duration(frame.saturating_sub(self.first))
    }

    /// Returns the number of the frame that is about to be heard.
    ///
    /// Before the segment begins, this is as far before the segment as the segment is in time, so
    /// that the distance to each later frame is the time until that frame is heard.
    pub fn heard(&self, now: Option<Duration>) -> u64 {
        let now = now.unwrap_or_default();
        if now < self.at {
            return self.first.saturating_sub(self.params.frames_in(self.at - now));
        }
        self.first.saturating_add(self.params.frames_in(now - self.at)).min(self.next)
    }

    /// Returns the duration of the frames that are scheduled and not heard yet.
    pub fn ahead(&self, now: Option<Duration>) -> Duration {
        self.params.duration(self.next - self.heard(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pcm::tests::s16_stereo;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn contiguous_frames_are_scheduled_without_a_gap() {
        let mut timeline = Timeline::new(s16_stereo(), 0);
        let slot = |start, end| Slot { start: ms(start), end: ms(end), discontinuity: false };
        assert_eq!(timeline.schedule(0, 480, None), slot(0, 10));
        assert_eq!(timeline.schedule(480, 480, Some(ms(1))), slot(10, 20));
        assert_eq!(timeline.schedule(960, 480, Some(ms(20))), slot(20, 30));
        assert_eq!(timeline.heard(Some(ms(25))), 1200);
        assert_eq!(timeline.ahead(Some(ms(25))), ms(5));
    }

    #[test]
    fn only_scheduled_frames_are_heard_and_only_while_time_runs() {
        let mut timeline = Timeline::new(s16_stereo(), 7);
        timeline.schedule(7, 480, None);
        assert_eq!((timeline.heard(None), timeline.ahead(None)), (7, ms(10)));
        assert_eq!(timeline.heard(Some(ms(500))), 487);
        assert_eq!(timeline.ahead(Some(ms(500))), ms(0));
    }

    #[test]
    fn late_frames_are_delayed_and_not_dropped() {
        let mut timeline = Timeline::new(s16_stereo(), 0);
        timeline.schedule(0, 480, None);
        let late = timeline.schedule(480, 480, Some(ms(300)));
        assert_eq!(late, Slot { start: ms(320), end: ms(330), discontinuity: true });
        // The next frame is heard in 10 ms.
        assert_eq!(timeline.heard(Some(ms(310))), 0);
        assert_eq!(timeline.heard(Some(ms(325))), 720);
    }

    #[test]
    fn missing_frames_leave_no_gap() {
        let mut timeline = Timeline::new(s16_stereo(), 0);
        timeline.schedule(0, 4800, None);
        let after = timeline.schedule(9600, 480, Some(ms(10)));
        assert_eq!(after, Slot { start: ms(100), end: ms(110), discontinuity: true });
        assert_eq!(timeline.heard(Some(ms(105))), 9840);
    }
}
