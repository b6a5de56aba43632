//! Which frame is heard when.

use std::time::Duration;

use crate::pcm::Params;

/// How long after now audio is scheduled that follows a gap: enough for a sink to take it in time.
const RESTART: Duration = Duration::from_millis(20);

/// Maps frames to a pipeline's running time.
///
/// Frames that follow each other are scheduled without a seam. Where frames come too late, because the guest
/// paused or did not keep up, or where some are missing, a new stretch begins.
#[derive(Debug)]
pub(super) struct Timeline {
    params: Params,
    /// The first frame of this stretch.
    first: u64,
    /// When it is heard.
    at: Duration,
    /// The next frame to schedule.
    next: u64,
}

/// When some frames shall be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) start: Duration,
    pub(super) end: Duration,
    /// Whether a new stretch begins.
    pub(super) restart: bool,
}

impl Timeline {
    /// A timeline on which `first` is heard as soon as time begins to run.
    pub(super) const fn new(params: Params, first: u64) -> Self {
        Self { params, first, at: Duration::ZERO, next: first }
    }

    /// Schedules `frames` frames from `first` on. `now` is the running time, if time runs yet.
    pub(super) fn schedule(&mut self, first: u64, frames: u64, now: Option<Duration>) -> Slot {
        let late = now.is_some_and(|now| self.time_of(first) < now);
        let restart = late || first != self.next;
        if restart {
            self.at = self.time_of(self.next).max(now.map_or(Duration::ZERO, |now| now + RESTART));
            self.first = first;
        }
        self.next = first + frames;
        Slot { start: self.time_of(first), end: self.time_of(self.next), restart }
    }

    fn time_of(&self, frame: u64) -> Duration {
        self.at + self.params.duration(frame.saturating_sub(self.first))
    }

    /// The frame that is about to be heard: all before it have been.
    pub(super) fn heard(&self, now: Option<Duration>) -> u64 {
        let passed = now.unwrap_or_default().saturating_sub(self.at);
        (self.first + self.params.frames_in(passed)).min(self.next)
    }

    /// How much is scheduled and not heard yet.
    pub(super) fn ahead(&self, now: Option<Duration>) -> Duration {
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
    fn frames_follow_each_other_without_a_seam() {
        let mut timeline = Timeline::new(s16_stereo(), 0);
        let slot = |start, end| Slot { start: ms(start), end: ms(end), restart: false };
        assert_eq!(timeline.schedule(0, 480, None), slot(0, 10));
        assert_eq!(timeline.schedule(480, 480, Some(ms(1))), slot(10, 20));
        assert_eq!(timeline.schedule(960, 480, Some(ms(20))), slot(20, 30));
        assert_eq!(timeline.heard(Some(ms(25))), 1200);
        assert_eq!(timeline.ahead(Some(ms(25))), ms(5));
    }

    #[test]
    fn nothing_is_heard_before_time_runs_and_nothing_that_was_not_given() {
        let mut timeline = Timeline::new(s16_stereo(), 7);
        timeline.schedule(7, 480, None);
        assert_eq!((timeline.heard(None), timeline.ahead(None)), (7, ms(10)));
        assert_eq!(timeline.heard(Some(ms(500))), 487);
        assert_eq!(timeline.ahead(Some(ms(500))), ms(0));
    }

    #[test]
    fn frames_that_come_too_late_are_moved_and_not_dropped() {
        let mut timeline = Timeline::new(s16_stereo(), 0);
        timeline.schedule(0, 480, None);
        let late = timeline.schedule(480, 480, Some(ms(300)));
        assert_eq!(late, Slot { start: ms(320), end: ms(330), restart: true });
        assert_eq!(timeline.heard(Some(ms(310))), 480);
        assert_eq!(timeline.heard(Some(ms(325))), 720);
    }

    #[test]
    fn missing_frames_leave_no_gap_behind() {
        let mut timeline = Timeline::new(s16_stereo(), 0);
        timeline.schedule(0, 4800, None);
        let after = timeline.schedule(9600, 480, Some(ms(10)));
        assert_eq!(after, Slot { start: ms(100), end: ms(110), restart: true });
        assert_eq!(timeline.heard(Some(ms(105))), 9840);
    }
}
