//! The position of a stream: the clock that completions follow.
//!
//! A driver learns the progress of its audio from the completion of messages. If no message is
//! completed for a tenth of a second, Linux gives up; if messages are completed in bursts, the
//! driver's idea of the position jumps. A host sink causes both: it opens slowly, stalls and
//! disappears. Completions therefore follow a position of our own. The position follows the sink,
//! but stays within [`SLACK`] of a reference that moves evenly. The same applies to a source.
//!
//! ```text
//!      reference − SLACK      reference      reference + SLACK
//!  ────────────┼──────────────────┼──────────────────┼──────────▶ time played
//!              └───── the position is in here ───────┘
//!                at the sink's position, or at the nearer end
//! ```
//!
//! The reference itself is steered towards the sink, too slowly to be heard or noticed by a guest.
//! The position therefore follows a sink whose clock is slightly fast or slow, permanently.

use std::time::{Duration, Instant};

/// The largest distance between the position and the reference.
pub(crate) const SLACK: Duration = Duration::from_millis(20);

/// The reference is corrected by at most this part of the time that has passed: 0.5 %.
const STEERING: u32 = 200;

/// The position of a stream, in time played since PREPARE.
#[derive(Debug, Default)]
pub(super) struct Pacer {
    /// When the position was last updated; `None` while the stream is stopped.
    last: Option<Instant>,
    reference: Duration,
    position: Duration,
}

impl Pacer {
    /// Lets the position move from `now` on.
    pub(super) fn start(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Stops the position.
    pub(super) fn stop(&mut self) {
        self.last = None;
    }

    /// Returns whether the position moves.
    pub(super) const fn runs(&self) -> bool {
        self.last.is_some()
    }

    /// Updates the position to `now`, and returns it.
    ///
    /// `heard` is the position of the sink, if the sink plays. `written` is the end of the audio
    /// that the guest has given: the position stops there, and continues from there after an
    /// underrun.
    pub(super) fn advance(&mut self, now: Instant, heard: Option<Duration>, written: Duration) -> Duration {
        let Some(last) = self.last else { return self.position };
        self.last = Some(now);
        let passed = now.saturating_duration_since(last);
        self.reference += passed;
        if let Some(heard) = heard {
            self.steer(heard, passed / STEERING);
        }
        let floor = self.reference.saturating_sub(SLACK);
        let target = heard.map_or(floor, |heard| heard.clamp(floor, self.reference + SLACK));
        self.position = self.position.max(target.min(written));
        // Once all audio is played, the reference stops until there is more.
        self.reference = if self.position == written { written } else { self.reference.min(written + SLACK) };
        self.position
    }

    /// Moves the reference to the position, when a source starts to be followed. The source then
    /// has the full [`SLACK`] until its first audio arrives.
    pub(super) fn rebase(&mut self) {
        self.reference = self.position;
    }

    /// Moves the position to `end`, if it is not past `end`.
    pub(super) fn skip_to(&mut self, end: Duration) {
        self.position = self.position.max(end);
        self.reference = self.reference.max(self.position);
    }

    fn steer(&mut self, towards: Duration, limit: Duration) {
        self.reference = if towards >= self.reference {
            self.reference + (towards - self.reference).min(limit)
        } else {
            self.reference - (self.reference - towards).min(limit)
        };
    }

    /// Returns the estimated time until the position reaches `end`; `None` if it is stopped.
    pub(super) fn time_until(&self, end: Duration) -> Option<Duration> {
        self.last.map(|_| end.saturating_sub(self.position))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDLESS: Duration = Duration::from_secs(1 << 30);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Runs a pacer for `steps` steps of 1 ms against a sink.
    fn run(
        pacer: &mut Pacer,
        from: Instant,
        steps: u64,
        sink: impl Fn(u64) -> Option<Duration>,
    ) -> (Instant, Vec<Duration>) {
        let positions = (1..=steps).map(|step| pacer.advance(from + ms(step), sink(step), ENDLESS)).collect();
        (from + ms(steps), positions)
    }

    #[test]
    fn a_sink_that_keeps_time_is_followed_exactly() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| ms(step).saturating_sub(ms(3));
        let (_, positions) = run(&mut pacer, start, 1000, |step| Some(sink(step)));
        assert!(positions.iter().zip(1..).all(|(position, step)| *position == sink(step)));
    }

    #[test]
    fn without_a_sink_the_position_is_one_slack_behind() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let (_, positions) = run(&mut pacer, start, 1000, |_| None);
        assert_eq!(positions[999], ms(1000) - SLACK);
    }

    #[test]
    fn without_a_sink_the_last_message_is_played_one_slack_late() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        for written in [10, 20, 30, 31] {
            let from = start + ms(100 * written);
            pacer.advance(from, None, pacer.position);
            let end = ms(written);
            let before = pacer.advance(from + SLACK, None, end);
            assert!(before < end, "{before:?}");
            assert_eq!(pacer.advance(from + SLACK + ms(10), None, end), end);
        }
    }

    #[test]
    fn a_sink_that_opens_late_causes_neither_a_stall_nor_a_burst() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| (step > 700).then(|| ms(step - 700));
        let (_, positions) = run(&mut pacer, start, 3000, sink);
        assert!(positions[29] > Duration::ZERO, "the first period ends at most one slack late");
        let steps = positions.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(steps.skip(30).all(|step| step > ms(1) / 2 && step < ms(2)));
    }

    #[test]
    fn a_sink_that_jumps_ahead_moves_the_position_by_at_most_two_slacks() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let (_, positions) =
            run(&mut pacer, start, 1000, |step| Some(ms(if step < 500 { step } else { 10_000 })));
        let largest = positions.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(largest <= Some(SLACK * 2), "{largest:?}");
    }

    #[test]
    fn a_sink_that_is_slow_by_a_thousandth_is_followed_for_good() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let sink = |step: u64| ms(step) - ms(step) / 1000;
        let (_, positions) = run(&mut pacer, start, 600_000, |step| Some(sink(step)));
        assert_eq!(positions[599_999], sink(600_000));
    }

    #[test]
    fn the_position_never_moves_backwards() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let erratic = |step: u64| (!step.is_multiple_of(7)).then(|| ms(step * 31 % 97));
        let (_, positions) = run(&mut pacer, start, 1000, erratic);
        assert!(positions.is_sorted());
    }

    #[test]
    fn a_position_that_is_updated_a_minute_late_is_within_one_slack() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let position = pacer.advance(start + ms(60_000), Some(ms(0)), ENDLESS);
        assert_eq!((position, pacer.reference), (ms(59_700) - SLACK, ms(59_700)));
    }

    #[test]
    fn after_an_underrun_the_position_continues_with_the_next_message() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        assert_eq!(pacer.advance(start + ms(500), Some(ms(100)), ms(100)), ms(100));
        // A message of 10 ms arrives. Had the reference moved on, the message would be due at once.
        assert_eq!(pacer.advance(start + ms(501), Some(ms(100)), ms(110)), ms(100));
        assert_eq!(pacer.advance(start + ms(506), Some(ms(105)), ms(110)), ms(105));
        assert_eq!(pacer.advance(start + ms(540), Some(ms(110)), ms(110)), ms(110));
    }

    #[test]
    fn a_source_that_delivers_large_pieces_is_followed_without_gaps() {
        // What a source has delivered by step `step`, in pieces of 60 ms, without the last.
        let delivered = |start: Duration, step: u64| start + ms(step / 60 * 60);
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let (from, positions) = run(&mut pacer, start, 300, |_| None);
        pacer.rebase();
        let silence = positions[299];
        let (_, positions) = run(&mut pacer, from, 60_000, |step| Some(delivered(silence, step)));
        // The last piece is there too: nothing is missing as long as the position is not past it.
        let missing = positions.iter().zip(1..).find(|(at, step)| **at > delivered(silence, *step) + ms(60));
        assert_eq!(missing, None);
    }

    #[test]
    fn after_a_skip_the_next_message_takes_its_own_duration() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        pacer.advance(start + ms(5), Some(ms(5)), ms(1000));
        pacer.skip_to(ms(1000));
        assert_eq!(pacer.advance(start + ms(6), Some(ms(6)), ms(1010)), ms(1000));
        assert_eq!(pacer.advance(start + ms(6) + ms(10) + SLACK, Some(ms(36)), ms(1010)), ms(1010));
    }

    #[test]
    fn a_stopped_stream_does_not_move() {
        let (mut pacer, start) = (Pacer::default(), Instant::now());
        pacer.start(start);
        let at = pacer.advance(start + ms(50), Some(ms(50)), ENDLESS);
        pacer.stop();
        assert_eq!(pacer.advance(start + ms(5000), Some(ms(90)), ENDLESS), at);
        assert_eq!(pacer.time_until(ms(60)), None);
        pacer.start(start + ms(5000));
        assert_eq!(pacer.time_until(ms(60)), Some(ms(10)));
        assert_eq!(pacer.advance(start + ms(5010), Some(ms(60)), ENDLESS), ms(60));
    }
}
